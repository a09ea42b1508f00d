"""The options of ``instrument-agent replay`` that learn the rules from the trace itself."""

import math
from collections.abc import Callable
from typing import Any

import click

from instrument_agent.commission.findings import Profile
from instrument_agent.commission.learning import learn
from instrument_agent.commission.recorded import Recording
from instrument_agent.commission.verdict import Certainty, Proposal
from instrument_agent.core.errors import ConfigError
from instrument_agent.drivers.trace import LARGEST
from instrument_agent.i18n import _

Window = tuple[float, float]


def window(_ctx: click.Context, _param: click.Parameter, value: str | None) -> Window | None:
    """Read START:END, two times of the trace's own clock in seconds."""
    if value is None:
        return None
    start, _colon, end = value.partition(":")
    try:
        window = (float(start), float(end))
    except ValueError:
        raise click.BadParameter(_("{value} is not START:END in seconds of the trace").format(value=value)) from None
    if not -math.inf < window[0] < window[1] < math.inf:
        raise click.BadParameter(_("{value}: the end must come after the start").format(value=value))
    return window


_OPTIONS = (
    click.option("--calibrate", is_flag=True, help=_("learn thresholds and minimum times from the trace")),
    click.option(
        "--activity-profile",
        type=click.Choice([kind.value for kind in Profile]),
        help=_("the kind of load, if you know"),
    ),
    click.option(
        "--standby", metavar="START:END", callback=window, help=_("when it stood by, in seconds of the trace")
    ),
    click.option("--running", metavar="START:END", callback=window, help=_("when it ran, in seconds of the trace")),
    click.option("--scale", type=float, default=1.0, show_default=True, help=_("multiply every value by this first")),
    click.option("--offset", type=float, default=0.0, show_default=True, help=_("then add this to every value")),
)


def calibration_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of this module."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def check_change(scale: float, offset: float) -> None:
    """Refuse to turn the trace upside down."""
    if not (0 < scale <= LARGEST and abs(offset) <= LARGEST):
        raise ConfigError(
            _("--scale must be greater than 0, and neither it nor --offset beyond {most:g}").format(most=LARGEST)
        )


def learned(recording: Recording, profile: str | None, standby: Window | None, running: Window | None) -> Proposal:
    """Learn from the recording, and tell on standard error what was learned and why."""
    proposal = learn(recording, profile, standby, running)
    click.echo(_told(proposal), err=True)
    for sentence in (*proposal.refusals, *proposal.doubts, *proposal.reasons):
        click.echo(f"  {sentence}", err=True)
    return proposal


def _told(proposal: Proposal) -> str:
    if proposal.run_above is None:
        sentence = _("learned: off below {off:.4g}; no run can be told, so none is claimed")
        return sentence.format(off=proposal.off_below)
    certainties = {Certainty.SURE: _("sure"), Certainty.FAIR: _("fair"), Certainty.DOUBTFUL: _("doubtful")}
    sentence = _(
        "learned ({profile}, {certainty}): off below {off:.4g}, run above {above:.4g}, run below {below:.4g},"
        " min_on {on:.0f} s, min_off {pause:.0f} s"
    )
    return sentence.format(
        profile=proposal.profile.value,
        certainty=certainties[proposal.certainty],
        off=proposal.off_below,
        above=proposal.run_above,
        below=proposal.run_below,
        on=proposal.min_on_s,
        pause=proposal.min_off_s,
    )
