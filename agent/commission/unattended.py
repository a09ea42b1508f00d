"""Thresholds for instruments nobody has commissioned: observe, and judge only once there is no doubt.

A wrong threshold gives hours to, or takes them from, somebody; time without one is unknown, which does neither. So
only a proposal without any doubt is taken up: on the loads of the bench those with one doubt claimed up to as much
again as was true, those with none claimed nothing false (docs/detection.md). Everything else waits for a person.
"""

import logging
from collections.abc import Callable, Sequence
from math import isfinite
from typing import TYPE_CHECKING

from instrument_agent.clock import Clock
from instrument_agent.commission.sketch import Sketch
from instrument_agent.config import InstrumentConfig
from instrument_agent.core.readings import NS_PER_S, Observation
from instrument_agent.worker import Worker

if TYPE_CHECKING:
    from instrument_agent.commission.verdict import Proposal

log = logging.getLogger(__name__)

EVERY_S = 10.0
FIRST_S = 8 * 3600.0
"""How long must be seen first: a working day. In less there are hardly two runs with standby before and after them, and
in an hour or two switching on looks like the beginning of a run. More, and a box that is switched off every night would
never learn."""
AGAIN_S = 3600.0
STUCK_AFTER_S = 600.0
"""Learning takes a fraction of a second on a PC, and ten times that on the smallest Pi: this one is broken."""


class Unattended(Worker):
    """Looks at what the buses read, and calls ``adopt`` for an instrument once its thresholds are beyond doubt."""

    def __init__(
        self,
        clock: Clock,
        instruments: Sequence[InstrumentConfig],
        latest: Callable[[str], Observation | None],
        adopt: Callable[[InstrumentConfig, "Proposal"], None],
    ) -> None:
        super().__init__("learning", clock, STUCK_AFTER_S)
        self._latest = latest
        self._adopt = adopt
        start_s = clock.boottime_ns() / NS_PER_S
        self._due_s = start_s + EVERY_S
        self._open = {item.id: _Lesson(item, start_s) for item in instruments}

    def loop(self) -> None:
        """Look every ten seconds, until stopped."""
        while not self.stopping.is_set():
            now_s = self.clock.boottime_ns() / NS_PER_S
            if self._open and now_s >= self._due_s:
                self.look(now_s)
                self._due_s += EVERY_S * (int((now_s - self._due_s) / EVERY_S) + 1)
            self.idle(self.stopping, self._due_s - now_s if self._open else AGAIN_S)

    def leave(self) -> None:
        """Hold nothing that is to be given back."""

    def look(self, now_s: float) -> None:
        """Remember what was read last, and learn if it is time to."""
        for lesson in list(self._open.values()):
            lesson.see(now_s, self._latest(lesson.instrument.id))
            proposal = lesson.proposal(now_s)
            self.progressed()
            if proposal is not None and not self.stopping.is_set():
                del self._open[lesson.instrument.id]
                self._adopt(lesson.instrument, proposal)


class _Lesson:
    """What was seen of one instrument."""

    def __init__(self, instrument: InstrumentConfig, start_s: float) -> None:
        self.instrument = instrument
        self._sketch = Sketch(start_s, max(EVERY_S, instrument.poll_s))
        self._try_s = start_s + FIRST_S
        self._last_ns = -1

    def see(self, now_s: float, found: Observation | None) -> None:
        """Take the newest reading, if there is one since the last time."""
        if found is None or found.at_ns == self._last_ns:
            return
        self._last_ns = found.at_ns
        value = found.values.get(self.instrument.activity.channel)
        if isinstance(value, int | float) and isfinite(value):
            self._sketch.put(now_s, value)

    def proposal(self, now_s: float) -> "Proposal | None":
        """Return what is beyond doubt, at most once an hour."""
        if now_s < self._try_s:
            return None
        self._try_s = now_s + AGAIN_S
        if self._sketch.seen_s < FIRST_S:
            return None
        # A box whose instruments are all commissioned never carries this.
        from instrument_agent.commission.learning import learn
        from instrument_agent.commission.verdict import Certainty

        try:
            proposal = learn(self._sketch)
        except Exception:  # a mistake of ours in learning is no reason to watch no longer
            log.exception("%s: learning failed; it is tried again in an hour", self.instrument.id)
            return None
        log.info("%s: learning is %s", self.instrument.id, proposal.certainty.value)
        sure = proposal.certainty is Certainty.SURE and proposal.run_above is not None
        return proposal if sure and proposal.standby is not None else None
