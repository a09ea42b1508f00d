"""When a device that does not answer is tried again, so that its neighbours on the line hardly notice.

A try costs the line the time the device is given, and as long again until a late answer can no longer be mixed up
with another's (docs/decisions/0012). So a try is made in the pause before the next neighbour's turn and lasts at
most half of it, and there is one at a time. Where the pause is too short for an answer, a try overruns it, but all
overrunning together takes at most OVERRUN_SHARE of the time. As a device may be slower than its neighbours, once in
WHOLE_EVERY_S one of them is given all of its timeout besides.
"""

from instrument_agent.core.readings import NS_PER_S

OVERRUN_SHARE = 0.05
WHOLE_EVERY_S = 120
SHORTEST_S = 0.05


class Probing:
    """The tries on one bus; times are those of the boot clock."""

    def __init__(self) -> None:
        self._silent_until_ns = 0
        self._overrun_from_ns = 0
        self._whole_from_ns = 0
        self._whole = False

    def time_s(
        self, now_ns: int, next_ns: int | None, useful_s: float, timeout_s: float, *, its_turn: bool
    ) -> float | None:
        """Return how long a lost device may be tried now, in seconds; None if it has to wait.

        ``next_ns`` is the turn of the next neighbour (None if all are lost), ``useful_s`` what an answer may take;
        ``its_turn`` is whether it is the next to be given all of its timeout.
        """
        self._whole = False
        if next_ns is None:
            return timeout_s
        if now_ns < self._silent_until_ns:
            return None
        half_s = min(timeout_s, (next_ns - now_ns) / 2 / NS_PER_S)
        if half_s < timeout_s and its_turn and now_ns >= self._whole_from_ns:
            self._whole = True
            self._whole_from_ns = now_ns + WHOLE_EVERY_S * NS_PER_S
            return timeout_s
        wanted_s = min(timeout_s, max(useful_s, SHORTEST_S))
        if half_s >= wanted_s:
            return half_s
        return wanted_s if now_ns >= self._overrun_from_ns else None

    def later_ns(self, now_ns: int, next_ns: int | None) -> int:
        """Return when it is worth looking again: after the silence, or after the neighbour's turn."""
        if now_ns < self._silent_until_ns or next_ns is None:
            return self._silent_until_ns
        return next_ns + 1

    def failed(self, began_ns: int, ended_ns: int, next_ns: int | None) -> None:
        """Note a try without an answer."""
        self._silent_until_ns = ended_ns + (ended_ns - began_ns)
        if next_ns is not None and not self._whole and self._silent_until_ns > next_ns:
            lost_ns = self._silent_until_ns - max(next_ns, began_ns)
            self._overrun_from_ns = ended_ns + round(lost_ns / OVERRUN_SHARE)
