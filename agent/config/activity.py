"""How an instrument is judged, as its config file says it."""

from dataclasses import dataclass, field
from math import inf

from instrument_agent.config.fields import check_identifier, check_states
from instrument_agent.core.activity import STATE_OFF_BELOW, STATE_RUN_ABOVE, Rules
from instrument_agent.core.readings import NS_PER_S, Activity


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivityConfig:
    """How an instrument is judged: by thresholds in the unit of ``channel``, or by what its raw ``states`` mean.

    Without ``run_below`` a run ends under the same value above which it begins. Slow drift of standby away from
    ``standby_level`` is followed, if that is given. With neither thresholds nor states the agent observes first and
    learns (commission/unattended.py). ``witness`` is the id of another instrument of the box that watches the same one.
    """

    channel: str = "power_w"
    off_below: float | None = None
    run_above: float | None = None
    run_below: float | None = None
    standby_level: float | None = None
    states: dict[str, str] | None = field(default=None, metadata={"check": check_states})
    min_on_s: float = field(default=60.0, metadata={"low": 0, "high": 86_400})
    min_off_s: float = field(default=120.0, metadata={"low": 0, "high": 86_400})
    off_settle_s: float = field(default=10.0, metadata={"low": 0, "high": 86_400})
    single_readings: bool = False
    gap_s: float = field(default=60.0, metadata={"low": 1, "high": 86_400})
    bridge_s: float = field(default=300.0, metadata={"low": 1, "high": 86_400})
    witness: str | None = field(default=None, metadata={"check": check_identifier})

    @property
    def told(self) -> bool:
        """Whether somebody has said how to judge."""
        return self.states is not None or self.off_below is not None

    def rules(self) -> Rules:
        """Return the same for the core, in nanoseconds; not calibrated if nobody has said how to judge."""
        low, high = (STATE_OFF_BELOW, STATE_RUN_ABOVE) if self.states else (self.off_below, self.run_above)
        low, high = inf if low is None else low, inf if high is None else high
        return Rules(
            channel=self.channel,
            off_below=low,
            run_above=high,
            run_below=high if self.run_below is None else self.run_below,
            min_on_ns=round(self.min_on_s * NS_PER_S),
            min_off_ns=round(self.min_off_s * NS_PER_S),
            off_settle_ns=round(self.off_settle_s * NS_PER_S),
            gap_ns=round(self.gap_s * NS_PER_S),
            bridge_ns=round(self.bridge_s * NS_PER_S),
            single_readings=self.single_readings,
            standby_level=self.standby_level,
            states={code: Activity(name) for code, name in self.states.items()} if self.states else None,
            calibrated=self.told,
        )
