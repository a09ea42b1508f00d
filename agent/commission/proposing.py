"""What a trace teaches about one instrument of the config file: the proposal, the keys to write, the runs it makes."""

from dataclasses import dataclass, replace

from instrument_agent.commission.learning import learn
from instrument_agent.commission.recorded import Recording
from instrument_agent.commission.seen import Seen, seen
from instrument_agent.commission.survey import Window
from instrument_agent.commission.thresholds import keys, powered_only, rounded, told_off
from instrument_agent.commission.verdict import Certainty, Proposal
from instrument_agent.config import InstrumentConfig
from instrument_agent.core.activity import Rules
from instrument_agent.core.errors import ConfigError
from instrument_agent.core.readings import Channel
from instrument_agent.i18n import _
from instrument_agent.tables.change import Scalar

POWER_UNITS = ("W", "V.A")
LEAST_RUN = 10.0
"""Watts, or volt-amperes: 2.3 kW read as 2.3 W is less, and a run of any large instrument is more."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """``keys`` are to be written under ``[instrument.activity]``; there are none if no run can be told.

    ``rules`` are those of the config file with what was learned.
    """

    instrument: InstrumentConfig
    channel: Channel
    recording: Recording
    proposal: Proposal
    keys: dict[str, Scalar]
    rules: Rules

    def seen(self, width: int) -> Seen:
        """Return the trace as the proposed rules judge it, in so many columns."""
        return seen(self.recording.readings, self.rules, width)


def lesson(
    instrument: InstrumentConfig,
    recording: Recording,
    profile: str | None = None,
    standby: Window | None = None,
    running: Window | None = None,
    off_between: tuple[float, float] | None = None,
) -> Lesson:
    """Learn from a recording of the channel by which ``instrument`` is judged.

    ``off_between`` are the highest value it was seen to read while off and the lowest in standby, if somebody looked.

    Raises:
        ConfigError: the instrument tells its states itself, or the recording cannot be used.
    """
    check_learnable(instrument)
    channels = {item.name: item for item in instrument.driver.build().channels}
    channel = channels[instrument.activity.channel]
    proposal = _credible(told_off(rounded(learn(recording, profile, standby, running)), off_between), channel)
    only_powered = powered_only(proposal, profile)
    if off_between is None and proposal.off is None and (only_powered or proposal.run_above is not None):
        proposal = _off_unseen(proposal, instrument.activity.off_below)
    if only_powered:  # for off and standby alone a short recording is no little
        sentence = _("only off and on are told apart, as you have said: no run is ever claimed")
        proposal = replace(proposal, refusals=(sentence,))
    new = keys(proposal, profile, channel)
    activity = replace(instrument.activity, **new) if new else None  # type: ignore[arg-type]  # as checked when written
    return Lesson(
        instrument=instrument,
        channel=channel,
        recording=recording,
        proposal=proposal,
        keys=new,
        rules=proposal.rules(instrument.activity) if activity is None else activity.rules(),
    )


def _off_unseen(proposal: Proposal, known: float | None) -> Proposal:
    """Return the same, with the threshold of off that somebody has set before (``known``) rather than a higher guess.

    What draws less than the lowest standby that was seen may be another standby, and a false "off" is the worst error.
    """
    said = _("off was not seen: off_below is an estimate")
    if known is not None and known < proposal.off_below:
        proposal = replace(proposal, off_below=known)
        said = _("off was not seen: off_below stays as it is")
    return replace(proposal, reasons=(*proposal.reasons, said))


def _credible(proposal: Proposal, channel: Channel) -> Proposal:
    """Return the same, refused or doubted if it was learned in another unit than the meter of this instrument reads.

    A trace may come from anywhere. Thresholds over all that is ever read would make every run a standby; watts that
    were kilowatts would make every standby a run.
    """
    if proposal.run_above is None or proposal.running is None:
        return proposal
    if proposal.run_above > channel.high:
        sentence = _("{channel} never reads more than {high:.4g} {unit}: is the trace of another meter or unit?")
        said = sentence.format(channel=channel.name, high=channel.high, unit=channel.unit)
        refused = replace(proposal, run_above=None, run_below=None, certainty=Certainty.REFUSED)
        return replace(refused, refusals=(*proposal.refusals, said))
    if channel.unit not in POWER_UNITS or proposal.running.high >= LEAST_RUN:
        return proposal
    sentence = _("a run of {high:.4g} {unit} is less than any instrument draws: is the trace in kilowatts?")
    said = sentence.format(high=proposal.running.high, unit=channel.unit)
    return replace(proposal, certainty=Certainty.DOUBTFUL, doubts=(*proposal.doubts, said))


def check_learnable(instrument: InstrumentConfig) -> None:
    """Refuse an instrument that has no thresholds.

    Raises:
        ConfigError: it tells its states itself.
    """
    if instrument.activity.states:
        raise ConfigError(
            _("{id} tells its state itself: there is no threshold to learn").format(id=instrument.id),
            _("what each state means stands in the config file, under states"),
        )
