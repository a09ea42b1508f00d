"""What the agent does about buses that hang: it ends itself, so that systemd starts it anew, at most once an hour.

A thread that hangs cannot be ended, so only a new process reads its bus again. The others lose a few seconds by that.
A bus that hangs in the new process too therefore stays ``driver_hung`` until the hour is over, and they go on.
"""

import logging
import os
from collections.abc import Iterable

from instrument_agent.buffer.restarts import last_restart_ns, save_restart
from instrument_agent.buffer.store import Store
from instrument_agent.clock import Clock
from instrument_agent.core.errors import StoreUnavailable
from instrument_agent.core.readings import NS_PER_S

log = logging.getLogger(__name__)

PATIENCE_NS = 60 * NS_PER_S
"""A call that hangs for less may still return."""
AT_MOST_EVERY_NS = 3600 * NS_PER_S
RETRY_NS = 60 * NS_PER_S


class HungBuses:
    """Decides when a restart is due; what it goes by is in the database, as the next process must know it too."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        # In the foreground of a terminal nobody would start it anew.
        self._supervised = bool(os.environ.get("NOTIFY_SOCKET"))
        self._since_ns: dict[str, int] = {}
        self._not_before_ns = 0

    def restart_due(self, hung: Iterable[str]) -> bool:
        """Tell whether the agent has to end itself for the buses that hang now; if so, that is recorded already."""
        now_ns = self._clock.boottime_ns()
        self._since_ns = {name: self._since_ns.get(name, now_ns) for name in hung}
        waited = [name for name, since_ns in self._since_ns.items() if now_ns - since_ns >= PATIENCE_NS]
        if not (waited and self._supervised and self._store.begun) or now_ns < self._not_before_ns:
            return False
        try:
            last_ns = last_restart_ns(self._store, self._clock.boot_id)
            if last_ns is not None and now_ns - last_ns < AT_MOST_EVERY_NS:
                self._not_before_ns = last_ns + AT_MOST_EVERY_NS
                log.warning("%s: hangs again after a restart; it is left alone for the rest of the hour", waited[0])
                return False
            save_restart(self._store, self._clock.boot_id, now_ns, waited)
        except StoreUnavailable as error:
            # What is not written down is not known afterwards: it would go on for ever.
            self._not_before_ns = now_ns + RETRY_NS
            log.warning("no restart for a hung bus, since it cannot be recorded: %s", error)
            return False
        log.critical("restarting: %s hangs, and a thread that hangs cannot be ended", ", ".join(waited))
        return True
