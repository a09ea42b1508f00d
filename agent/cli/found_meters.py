"""How ``instrument-agent scan`` tells what it found."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import click

from instrument_agent.core.readings import Value
from instrument_agent.drivers.ports import lasting_name
from instrument_agent.field.fit import MOST, POWER, Check, Fit
from instrument_agent.field.search import Found, Meter, Plan
from instrument_agent.i18n import _

SHOWN_FITS = 3
COLUMNS = 2
"""Values side by side: two fit a terminal of 80 columns."""


def meter_name(meter: Meter) -> str:
    """Return which unit answers, and how."""
    if not meter.setting.baud:
        return _("unit {unit} answers").format(unit=meter.unit_id)
    sentence = _("unit {unit} answers at {baud} baud, parity {parity}")
    return sentence.format(unit=meter.unit_id, baud=meter.setting.baud, parity=meter.setting.parity)


def tell(found: Found, plan: Plan) -> None:
    """Print the meters, the driver tables to paste, and what else was met."""
    for meter in found.meters:
        click.echo(meter_name(meter))
        _tell_fits(meter, named=plan.through is not None)
    for address, baud in found.other_protocol:
        sentence = _("a meter with the address {address} speaks DL/T 645 at {baud} baud, not Modbus")
        click.echo(sentence.format(address=address, baud=baud))
        click.echo(_("  switch it to Modbus first: a CHINT DDSU666 by the key on its front, protocol 2"))
    answering = {meter.unit_id for meter in found.meters}
    for unit in sorted({unit for unit, _setting in found.damaged} - answering):
        sentence = _("unit {unit}: something answers, but damaged: two meters with this id, or a bad cable")
        click.echo(sentence.format(unit=unit))
    for setting in found.refused:
        sentence = _("this adapter does not know {baud} baud with parity {parity}: nothing was asked there")
        click.echo(sentence.format(baud=setting.baud, parity=setting.parity))
    if not (found.meters or found.other_protocol):
        click.echo(_("no meter answers on {line}").format(line=plan.port or plan.host))
        click.echo(_("  try other unit ids, baud rates and parities, swap A and B, and look at the meter's display"))


def _tell_fits(meter: Meter, *, named: bool) -> None:
    likely = [item for item in meter.fits if item.likely]
    guesses = [item for item in meter.fits if item.guess]
    for item in (likely or guesses or [item for item in meter.fits if item.share >= MOST])[:SHOWN_FITS]:
        click.echo("  " + _judged(item))
        for line in _value_lines(item.values):
            click.echo("    " + line)
    if not (likely or guesses):
        click.echo(_("  no profile fits a meter on a mains: look up its register map in the manual"))
        return
    if not likely:
        click.echo(_("  best guess, unproven: compare the values with the meter's display"))
    elif len(likely) > 1:
        click.echo(_("  several profiles fit: compare the values with the meter's display"))
    click.echo("\n" + _block(meter, (likely or guesses)[0], named=named) + "\n")


def _judged(item: Fit) -> str:
    sentence = _("{profile}: {plausible} of {channels} channels are credible")
    said = sentence.format(profile=item.profile, plausible=item.plausible, channels=item.channels)
    checks = [f"{_check_word(check)} ✓" for check in item.passed] + [f"{_check_word(check)} ✗" for check in item.failed]
    return f"{said} ({', '.join(checks)})" if checks else said


def _check_word(check: Check) -> str:
    return {Check.VOLTAGE: _("voltage"), Check.FREQUENCY: _("frequency"), Check.POWER: _("power")}[check]


def _value_lines(values: Mapping[str, Value]) -> Iterator[str]:
    """Yield the numbers in columns, the power of the whole meter first: that is what its display shows."""
    numbers = {name: value for name, value in values.items() if isinstance(value, int | float)}
    names = sorted(numbers, key=lambda name: name != POWER)
    width = max(map(len, names), default=0)
    cells = [f"{name:<{width}} {numbers[name]:>12.6g}" for name in names]
    for start in range(0, len(cells), COLUMNS):
        yield "   ".join(cells[start : start + COLUMNS])


def _block(meter: Meter, item: Fit, *, named: bool) -> str:
    """Return the driver table to paste into the config file, with the port by its stable name if it has none there."""
    options = {"name": "modbus", "profile": item.profile, **meter.options}
    if "port" in options and not named:
        options["port"] = lasting_name(str(options["port"]))
    lines = [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in options.items()]
    return "\n".join(["[instrument.driver]", *lines])


def result(found: Found) -> dict[str, Any]:
    """Return what was found, for programs."""
    return {
        "meters": [
            {"options": meter.options, "profiles": [_fit_as_json(item) for item in meter.fits]}
            for meter in found.meters
        ],
        "dlt645": [{"address": address, "baud": baud} for address, baud in found.other_protocol],
        "damaged_units": sorted({unit for unit, _setting in found.damaged}),
    }


def _fit_as_json(item: Fit) -> dict[str, Any]:
    return {
        "profile": item.profile,
        "likely": item.likely,
        "guess": item.guess,
        "plausible": item.plausible,
        "channels": item.channels,
        "values": dict(item.values),
        "passed": list(item.passed),
        "failed": list(item.failed),
    }
