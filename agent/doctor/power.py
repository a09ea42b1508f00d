"""Has the board enough power, and is it cool enough?"""

from instrument_agent.doctor.verdict import Grade, Verdict
from instrument_agent.i18n import _

# Bits of get_throttled (Raspberry Pi documentation, "vcgencmd"); 16 higher: it has happened since the board started.
UNDER_VOLTAGE = 1 << 0
SLOWED = 1 << 1 | 1 << 2 | 1 << 3
"""Frequency capped, throttled, soft temperature limit."""
SINCE_START = 16


def judge_power(bits: int | None) -> Verdict:
    """Judge ``get_throttled``; None where there is no such board."""
    supply = _("use the supply and the cable of the board's maker; weak ones damage cards")
    cool = _("give the box air, or a heat sink")
    if bits is None:
        return Verdict("power", Grade.NOT_APPLICABLE, _("this board does not tell"))
    if bits & UNDER_VOLTAGE:
        return Verdict("power", Grade.FAIL, _("the supply voltage is too low now"), supply)
    if bits & UNDER_VOLTAGE << SINCE_START:
        return Verdict("power", Grade.WARN, _("the supply voltage has been too low since the board started"), supply)
    if bits & SLOWED:
        return Verdict("power", Grade.WARN, _("the processor is slowed down now, for heat"), cool)
    if bits & SLOWED << SINCE_START:
        return Verdict("power", Grade.WARN, _("the processor was slowed down since the board started, for heat"), cool)
    return Verdict("power", Grade.OK, _("no low voltage and no heat since the board started"))
