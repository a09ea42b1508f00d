"""``instrument-agent scan``: serial ports, and the meters on them."""

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from instrument_agent.cli import words
from instrument_agent.cli.at_terminal import quiet_log, until_interrupted
from instrument_agent.cli.options import as_json, config_option, examples
from instrument_agent.core.errors import AgentError, ConfigError, DeviceUnavailable
from instrument_agent.i18n import _

if TYPE_CHECKING:
    from instrument_agent.field.fit import Fit
    from instrument_agent.field.search import Found, Meter, Plan

UNITS = (1, 247)
BAUDS = (300, 921_600)
SHOWN_FITS = 3


def numbers(low: int, high: int) -> Callable[[click.Context, click.Parameter, str], tuple[int, ...]]:
    """Return what reads whole numbers and ranges of them, ``1-20,33``, in the order given."""

    def read(_ctx: click.Context, _param: click.Parameter, value: str) -> tuple[int, ...]:
        found: dict[int, None] = {}
        for part in value.split(","):
            first, _dash, last = part.strip().partition("-")
            if not first.isdecimal() or (last and not last.isdecimal()):
                raise click.BadParameter(_("{value} is no list of numbers: write 1-20 or 1,2,5").format(value=value))
            found |= dict.fromkeys(range(int(first), min(int(last or first), high + 1) + 1))
        if not found or not all(low <= number <= high for number in found):
            sentence = _("{value} must lie between {low} and {high}")
            raise click.BadParameter(sentence.format(value=value, low=low, high=high))
        return tuple(found)

    return read


def parities(_ctx: click.Context, _param: click.Parameter, value: str) -> tuple[str, ...]:
    """Read parities, ``N,E,O``, in the order given."""
    letters = tuple(dict.fromkeys(part.strip().upper() for part in value.split(",")))
    if not set(letters) <= {"N", "E", "O"}:
        raise click.BadParameter(_("{value} is no list of parities: write N,E,O").format(value=value))
    return letters


@click.command(
    help=_("List the serial ports, or look for meters on one of them or behind a host. Only registers are read."),
    epilog=examples("scan", "scan --port /dev/ttyUSB0", "scan --port /dev/ttyUSB0 --units 1-247 --baud 9600"),
)
@config_option
@click.option("--port", help=_("look for meters on this serial port"))
@click.option("--host", help=_("look for meters behind this Modbus TCP address"))
@click.option("--tcp-port", type=click.IntRange(1, 65_535), default=502, show_default=True, help=_("port of the host"))
@click.option(
    "--units", callback=numbers(*UNITS), metavar="LIST", default="1-10", show_default=True, help=_("unit ids to ask")
)
@click.option(
    "--baud",
    callback=numbers(*BAUDS),
    metavar="LIST",
    default="9600,2400,19200,4800",
    show_default=True,
    help=_("baud rates"),
)
@click.option(
    "--parity", callback=parities, metavar="LIST", default="N,E", show_default=True, help=_("parities to try")
)
@click.option("--json", "json_wanted", is_flag=True, help=_("print the result as JSON"))
def scan(
    config_path: Path,
    port: str | None,
    host: str | None,
    tcp_port: int,
    units: tuple[int, ...],
    baud: tuple[int, ...],
    parity: tuple[str, ...],
    json_wanted: bool,
) -> None:
    """List ports, or search a line."""
    quiet_log()
    if port and host:
        raise ConfigError(_("give either --port or --host"))
    if not port and not host:
        _list_ports(json_wanted)
        return
    from instrument_agent.field.search import Plan, serial_plan

    plan = serial_plan(port, units, baud, parity) if port else Plan(units, host=str(host), tcp_port=tcp_port)
    _refuse_if_watched(config_path, plan)
    found, broken = _searched(plan)
    if json_wanted:
        click.echo(as_json(_result(found)))
    elif found.meters or not broken:
        _tell(found, plan)
    if broken:
        raise broken


def _list_ports(json_wanted: bool) -> None:
    from dataclasses import asdict

    from instrument_agent.drivers.ports import serial_ports

    ports = serial_ports()
    if json_wanted:
        click.echo(as_json({"ports": [asdict(port) for port in ports]}))
        return
    if not ports:
        click.echo(_("There is no serial port on this machine. Plug the adapter in and scan again."))
        return
    from rich.console import Console
    from rich.markup import escape

    table = words.plain_table(_("port"), _("name for the config file"), _("device"), _("driver"), _("access"))
    for port in ports:
        device = " ".join(part for part in (port.description, port.usb) if part)
        access = _("ok") if port.allowed else "[red]" + _("not allowed") + "[/]"
        table.add_row(port.device, escape(port.stable or port.device), escape(device), port.driver, access)
    console = Console()
    console.print(table)
    for port in ports:
        if port.hint:
            console.print(f"{port.device}: {escape(port.hint)}")
    click.echo(_("Look for meters on one of them:") + "  instrument-agent scan --port " + ports[0].device)


def _refuse_if_watched(config_path: Path, plan: "Plan") -> None:
    """Refuse a line the running agent reads: two masters never share one."""
    from instrument_agent.config import load_config
    from instrument_agent.field.access import agent_runs, stop_hint

    try:
        config_path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError:
        pass  # its reader says why it may not be read, and what to do
    config = load_config(config_path)
    buses = {item.driver.bus for item in config.instruments if item.driver.bus}
    if plan.port:
        mine = any(Path(bus).resolve() == Path(plan.port).resolve() for bus in buses)
    else:
        mine = f"{plan.host.lower()}:{plan.tcp_port}" in buses
    if mine and agent_runs(config):
        raise AgentError(
            _("the running agent reads {line}, and two masters never share a line").format(line=plan.port or plan.host),
            stop_hint(),
        )


def _searched(plan: "Plan") -> tuple["Found", AgentError | None]:
    """Search; return what was found, and what ended it early if the line broke."""
    from rich.console import Console
    from rich.progress import Progress

    from instrument_agent.field.search import Found, search

    found = Found()
    click.echo(
        _("looking at up to {seconds:.0f} s of silent line; end with Ctrl-C").format(seconds=plan.longest_s), err=True
    )
    shown_meters = 0
    with (
        until_interrupted() as stopping,
        Progress(console=Console(stderr=True), disable=not sys.stderr.isatty()) as progress,
    ):
        task = progress.add_task(plan.port or plan.host, total=plan.longest_s)

        def shown(done_s: float) -> None:
            nonlocal shown_meters
            progress.update(task, completed=done_s)
            for meter in found.meters[shown_meters:]:
                progress.console.print(_name(meter))
            shown_meters = len(found.meters)

        try:
            search(plan, found, stopping, shown)
        except DeviceUnavailable as error:
            return found, error
        if stopping.is_set():
            progress.console.print(_("ended early: what was found until then follows"))
    return found, None


def _name(meter: "Meter") -> str:
    if not meter.setting.baud:
        return _("unit {unit} answers").format(unit=meter.unit_id)
    sentence = _("unit {unit} answers at {baud} baud, parity {parity}")
    return sentence.format(unit=meter.unit_id, baud=meter.setting.baud, parity=meter.setting.parity)


def _tell(found: "Found", plan: "Plan") -> None:
    for meter in found.meters:
        click.echo(_name(meter))
        likely = [item for item in meter.fits if item.likely]
        for item in (likely or list(meter.fits))[:SHOWN_FITS]:
            click.echo("  " + _judged(item))
        if not likely:
            click.echo(_("  no profile fits a meter on a mains: look up its register map in the manual"))
            continue
        if len(likely) > 1:
            click.echo(_("  several profiles fit: compare the values with the meter's display"))
        click.echo("\n" + _block(meter, likely[0]) + "\n")
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


def _judged(item: "Fit") -> str:
    checks = [f"{name} ✓" for name in item.passed] + [f"{name} ✗" for name in item.failed]
    sentence = _("{profile}: {plausible} of {channels} channels are credible")
    said = sentence.format(profile=item.profile, plausible=item.plausible, channels=item.channels)
    values = ", ".join(f"{name} {value:.6g}" for name, value in item.values.items() if isinstance(value, int | float))
    return f"{said} ({', '.join(checks)}): {values}" if checks else f"{said}: {values}"


def _block(meter: "Meter", item: "Fit") -> str:
    """Return the driver table to paste into the config file, with the port by its stable name."""
    from instrument_agent.drivers.ports import lasting_name

    options = {"name": "modbus", "profile": item.profile, **meter.options}
    if "port" in options:
        options["port"] = lasting_name(str(options["port"]))
    lines = [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in options.items()]
    return "\n".join(["[instrument.driver]", *lines])


def _result(found: "Found") -> dict[str, Any]:
    return {
        "meters": [
            {"options": meter.options, "profiles": [_fit_as_json(item) for item in meter.fits]}
            for meter in found.meters
        ],
        "dlt645": [{"address": address, "baud": baud} for address, baud in found.other_protocol],
        "damaged_units": sorted({unit for unit, _setting in found.damaged}),
    }


def _fit_as_json(item: "Fit") -> dict[str, Any]:
    names: dict[str, Sequence[str]] = {"passed": list(item.passed), "failed": list(item.failed)}
    return {
        "profile": item.profile,
        "likely": item.likely,
        "plausible": item.plausible,
        "channels": item.channels,
        "values": dict(item.values),
        **names,
    }
