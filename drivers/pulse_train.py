"""Pulses of an energy meter, from the edges of its output; pure."""

JOULES_PER_KWH = 3_600_000.0


class PulseTrain:
    """Counts the times a contact closed, and measures the time between the last two.

    A level counts once it has lasted ``bounce_s``: shorter ones are bounces or disturbances. Times are seconds of
    one monotonic clock.
    """

    def __init__(self, bounce_s: float, at_s: float, *, closed: bool) -> None:
        self.count = 0
        self.interval_s: float | None = None
        self.last_s: float | None = None
        self._bounce_s = bounce_s
        self._begun_s = at_s
        self._settled = closed
        self._closed = closed
        self._since_s = at_s

    def edge(self, at_s: float, *, closed: bool) -> None:
        """Take the level that begins at ``at_s``; one that is already there is no edge."""
        if closed == self._closed:
            return
        self.settle(at_s)
        self._closed, self._since_s = closed, at_s

    def settle(self, now_s: float) -> None:
        """Count the present level if it has lasted long enough by now."""
        if self._closed == self._settled or now_s - self._since_s < self._bounce_s:
            return
        self._settled = self._closed
        if self._closed:
            self.count += 1
            self.interval_s = None if self.last_s is None else self._since_s - self.last_s
            self.last_s = self._since_s

    def measured_w(self, now_s: float, pulses_per_kwh: float) -> float | None:
        """Return the power in watts: the mean between the last two pulses; None before there have been two.

        When no pulse has come for longer than that, it is at most that of a pulse coming now, and that is returned.
        """
        if not self.interval_s:
            return None
        mean_w = JOULES_PER_KWH / pulses_per_kwh / self.interval_s
        most_w = self.most_w(now_s, pulses_per_kwh)
        return mean_w if most_w is None else min(mean_w, most_w)

    def most_w(self, now_s: float, pulses_per_kwh: float) -> float | None:
        """Return the power (W) at which a pulse would come just now: more it cannot have been since the last one.

        None if no time has passed.
        """
        quiet_s = now_s - (self._begun_s if self.last_s is None else self.last_s)
        return JOULES_PER_KWH / pulses_per_kwh / quiet_s if quiet_s > 0 else None
