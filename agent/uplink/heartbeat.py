"""Tells one destination what is going on now; never stored, never behind the backlog."""

import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any

from instrument_agent.clock import Clock
from instrument_agent.core.errors import AgentError
from instrument_agent.core.readings import NS_PER_S
from instrument_agent.uplink.anchoring import Anchoring
from instrument_agent.uplink.answers import Transport
from instrument_agent.uplink.retry import quiet_s, share
from instrument_agent.worker import Worker

log = logging.getLogger(__name__)

SHORTEST_S, LONGEST_S = 15.0, 3600.0
AT_ONCE_EVERY_S = 5.0
"""Changes of activity are told at once, but not more often than this."""
STUCK_AFTER_S = 120.0
"""Longer than any exchange with a platform may take."""


def phase(box_id: str) -> float:
    """Return a factor of 0.9 to 1.1 that spreads the boxes of a province, always the same for one box."""
    return 0.9 + 0.2 * share(box_id)


class Heartbeat(Worker):
    """The heartbeat to one destination, on a thread of its own."""

    def __init__(
        self,
        name: str,
        transport: Transport,
        clock: Clock,
        anchoring: Anchoring,
        period_s: float,
        body: Callable[[], Mapping[str, Any]],
    ) -> None:
        super().__init__(f"heartbeat {name}", clock, STUCK_AFTER_S)
        self.destination = name
        self.first_contact_after_s = 0.0
        self.sent = 0
        self.error = ""
        self.again = threading.Event()
        """Set when there is a reason to believe that a refusal is over, such as a new credential."""
        self._quiet_s = 0.0
        self._transport = transport
        self._anchoring = anchoring
        self._period_s = period_s
        self._body = body

    def loop(self) -> None:
        """Beat once a period, and at once when an activity changes."""
        self.idle(self.stopping, self.first_contact_after_s)
        while True:
            self.wake.clear()
            self.again.clear()
            if self.stopping.is_set():  # looked at after clearing: stop() sets it before the other two
                return
            sent_ns = self.clock.boottime_ns()
            self._beat()
            # A platform that asked for quiet hears of no change either: the next heartbeat tells it.
            self.idle(self.again, max(AT_ONCE_EVERY_S, self._quiet_s))
            self.idle(self.wake, self._period_s - (self.clock.boottime_ns() - sent_ns) / NS_PER_S)

    def stop(self) -> None:
        """End the loop at its next wait."""
        super().stop()
        self.again.set()

    def leave(self) -> None:
        """Drop the connections."""
        self._transport.close()

    def _beat(self) -> None:
        self._quiet_s = 0.0
        try:
            body = dict(self._body())
            reply = self._transport.heartbeat(body)
            self._anchoring.offer(reply, self.destination, self.clock.boottime_ns())
        except AgentError as error:
            # No retry: the next heartbeat says more than this one did.
            if not self.error:
                log.warning("%s: %s", self.destination, error)
            self.error = str(error)
            self._quiet_s = quiet_s(error)
            return
        if self.error:
            log.warning("%s: answers again", self.destination)
        self.error = ""
        self.sent += 1
        asked_s = reply.body.get("next_heartbeat_s")
        if type(asked_s) is int:
            self._period_s = min(max(asked_s, SHORTEST_S), LONGEST_S) * phase(str(body["box_id"]))
