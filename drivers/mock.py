"""An instrument that is not there: plays a script or a recorded trace, and fails on request."""

import threading
import time
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from instrument_agent.core.errors import ConfigError, DeviceUnavailable
from instrument_agent.core.readings import Channel, UnknownReason, Value
from instrument_agent.drivers.trace import BadRow, recorded_rows, trace_channels
from instrument_agent.drivers.units import unit_of
from instrument_agent.i18n import _
from instrument_agent.tables.mistakes import Unfit, together

HUGE = 1e9
"""What is played is as credible as whoever wrote it meant it to be, within this."""
ROWS_LOOKED_AT = 1000
"""A channel that is no number in the first so many rows of a recording is taken for a raw state."""
FAULTS = ("unavailable", "nonsense", "absent", "error", "hang")


@dataclass
class MockDriver:
    """One channel that follows ``script`` or ``trace``, over and over.

    A script is a list of values and faults, each held for ``step_s``: ``unavailable`` does not answer, ``nonsense``
    answers with nothing credible, ``absent`` leaves the channel out, ``error`` is a bug in the driver, ``hang``
    never returns. A trace is a CSV file, either ``timestamp_s,value`` or a recording of several channels, which are
    then those of the recording, failed reads included.
    """

    script: list[float | str] = field(default_factory=list)
    step_s: float = field(default=1.0, metadata={"low": 0.001, "high": 86400})
    trace: Path | None = None
    channel: str = "power_w"
    unit: str = "W"
    monotonic: Callable[[], float] = field(default=time.monotonic, init=False, repr=False)

    def __post_init__(self) -> None:
        if bool(self.script) == (self.trace is not None):
            raise Unfit(
                _("a mock instrument needs either a script or a trace"),
                _('script = [20.0, 1500.0, "unavailable"] or trace = "recorded.csv"'),
                ("trace",) if self.script else (),
            )
        wrong = [
            Unfit(
                _("{item} is no fault a mock instrument knows").format(item=item),
                _("known: {names}").format(names=", ".join(FAULTS)),
                ("script", number),
            )
            for number, item in enumerate(self.script)
            if isinstance(item, str) and item not in FAULTS
        ]
        if wrong:
            raise together(wrong)
        self._times_s: list[float] = []
        self._items: list[Mapping[str, Value] | str] = []
        self._length_s = 0.0
        self._started_s: float | None = None
        self._recorded: dict[str, str] | None = None

    @property
    def channels(self) -> Sequence[Channel]:
        """The one channel, or those of the recording."""
        if self._recorded is None:
            self._recorded = self._units_of_trace()
        units = self._recorded or {self.channel: self.unit}
        return [Channel(name, unit, -HUGE, HUGE) for name, unit in units.items()]

    def open(self) -> None:
        """Load what is to be played; time starts at the first open and goes on over reopening."""
        if self._started_s is None:
            self._load()
            self._started_s = self.monotonic()

    def read(self, timeout_s: float) -> Mapping[str, Value]:
        """Return the value of this moment."""
        del timeout_s
        if self._started_s is None:
            raise DeviceUnavailable(_("the mock instrument is not open"))
        at_s = (self.monotonic() - self._started_s) % self._length_s
        item = self._items[max(0, bisect_right(self._times_s, at_s) - 1)]
        return self._fault(item) if isinstance(item, str) else item

    def close(self) -> None:
        """Do nothing: there is no port."""

    def _load(self) -> None:
        if self.trace is not None:
            rows = list(recorded_rows(self.trace))
            if not rows:
                raise ConfigError(_("the trace {path} has no rows").format(path=self.trace))
            self._times_s = [at_s - rows[0][0] for at_s, _found in rows]
            self._items = [self._played(found) for _at_s, found in rows]
            self._length_s = self._times_s[-1] + 1.0
        else:
            self._times_s = [index * self.step_s for index in range(len(self.script))]
            self._items = [item if isinstance(item, str) else {self.channel: item} for item in self.script]
            self._length_s = len(self.script) * self.step_s

    def _played(self, found: Mapping[str, Value] | UnknownReason) -> Mapping[str, Value] | str:
        if isinstance(found, UnknownReason):
            return "error" if found is UnknownReason.DRIVER_ERROR else "unavailable"
        return {self.channel: found["value"]} if "value" in found else found

    def _units_of_trace(self) -> dict[str, str]:
        """Return the channels of a recording with their units: a number whose name ends in none is a ratio."""
        if self.trace is None:
            return {}
        try:
            units = {name: unit_of(name) for name in trace_channels(self.trace)}
            rows = islice(recorded_rows(self.trace), ROWS_LOOKED_AT) if "" in units.values() else ()
            for values in (found for _at_s, found in rows if not isinstance(found, UnknownReason)):
                units |= {name: units[name] or "1" for name, value in values.items() if isinstance(value, float)}
        except BadRow:
            raise
        except ConfigError:  # not on this machine: a config file may be checked on another
            return {}
        return units

    def _fault(self, name: str) -> Mapping[str, Value]:
        if name == "unavailable":
            raise DeviceUnavailable(_("the script says: no answer"))
        if name == "error":
            raise RuntimeError("the script says: a bug in the driver")
        if name == "hang":
            threading.Event().wait()
        return {} if name == "absent" else {self.channel: None}
