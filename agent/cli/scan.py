"""``instrument-agent scan``: serial ports, and the meters on them."""

import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from instrument_agent.cli import words
from instrument_agent.cli.at_terminal import quiet_log, until_interrupted
from instrument_agent.cli.options import as_json, config_option, examples
from instrument_agent.core.errors import AgentError, ConfigError, DeviceUnavailable
from instrument_agent.i18n import _

if TYPE_CHECKING:
    from instrument_agent.config import Config, InstrumentConfig
    from instrument_agent.field.search import Found, Plan

UNITS = (1, 247)
BAUDS = (300, 921_600)
PORT_OR_HOST, PORT, HOST = "--port / --host", "--port", "--host"
NEEDED = {"units": PORT_OR_HOST, "tcp_port": HOST, "baud": PORT, "parity": PORT}
"""What an option does nothing without."""


def numbers(low: int, high: int) -> Callable[[click.Context, click.Parameter, str], tuple[int, ...]]:
    """Return what reads whole numbers and ranges of them, ``1-20,33``, in the order given."""

    def read(_ctx: click.Context, _param: click.Parameter, value: str) -> tuple[int, ...]:
        found: dict[int, None] = {}
        for part in value.split(","):
            first, _dash, last = part.strip().partition("-")
            if not first.isdecimal() or (last and not last.isdecimal()):
                raise click.BadParameter(_("{value} is no list of numbers: write 1-20 or 1,2,5").format(value=value))
            if last and int(last) < int(first):
                sentence = _("{value} is backwards: write {low}-{high}")
                raise click.BadParameter(sentence.format(value=part.strip(), low=last, high=first))
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
@click.pass_context
def scan(
    ctx: click.Context,
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
    given = {name for name in ctx.params if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE}
    _refuse_idle(given)
    config = _config(config_path, must_exist="config_path" in given)
    if not port and not host:
        _list_ports(json_wanted)
        return
    from instrument_agent.cli.found_meters import result, tell
    from instrument_agent.field.search import Plan, serial_plan

    plan = serial_plan(port, units, baud, parity) if port else Plan(units, host=str(host), tcp_port=tcp_port)
    if config is not None and (instrument := _watched_there(config, plan)) is not None:
        plan = _through_agent(config, instrument, plan, given)
    found, broken = _searched(plan)
    if json_wanted:
        click.echo(as_json(result(found)))
    elif found.meters or not broken:
        tell(found, plan)
    if broken:
        raise broken


def _refuse_idle(given: set[str]) -> None:
    """Refuse options that would do nothing: whoever gives them expects a search they are part of."""
    there = {f"--{name}" for name in given}
    for name, needed in NEEDED.items():
        if name in given and not there & set(needed.split(" / ")):
            option = "--" + name.replace("_", "-")
            raise ConfigError(
                _("{option} does nothing without {needed}").format(option=option, needed=needed),
                _("add {needed}, or leave {option} out").format(option=option, needed=needed),
            )


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


def _config(path: Path, *, must_exist: bool) -> "Config | None":
    """Return the box's config; None on a box without one, unless it was named."""
    from instrument_agent.config import load_config

    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        if not must_exist:
            return None
    except OSError:
        pass  # its reader says why it may not be read, and what to do
    return load_config(path)


def _watched_there(config: "Config", plan: "Plan") -> "InstrumentConfig | None":
    """Return an instrument that the running agent reads on this line; None if it reads none there."""
    from instrument_agent.field.access import agent_runs

    for item in config.instruments:
        bus = item.driver.bus
        if bus is None:
            continue
        if plan.port:
            mine = Path(bus).resolve() == Path(plan.port).resolve()
        else:
            host, _colon, port = bus.rpartition(":")
            mine = port == str(plan.tcp_port) and _same_host(host, plan.host)
        if mine:
            return item if agent_runs(config) else None
    return None


def _through_agent(config: "Config", instrument: "InstrumentConfig", plan: "Plan", given: set[str]) -> "Plan":
    """Have the agent ask on its line, as two masters never share one; it does so at its own settings only."""
    from instrument_agent.field.access import stop_hint
    from instrument_agent.field.asking import plan_through_agent

    line, asked = plan.port or plan.host, plan_through_agent(instrument, config.box.runtime_dir, plan.units)
    other_settings = given & {"baud", "parity"} and asked.settings[0] not in plan.settings
    if other_settings or not hasattr(instrument.driver.driver, "ask"):
        problem = _("the running agent reads {line}, and two masters never share a line")
        raise AgentError(problem.format(line=line), stop_hint())
    sentence = _("the agent reads {line} and asks between its readings, at its own settings; it goes on meanwhile")
    click.echo(sentence.format(line=line), err=True)
    return asked


def _same_host(one: str, other: str) -> bool:
    return one.lower() == other.lower() or not _addresses(one).isdisjoint(_addresses(other))


def _addresses(host: str) -> set[str]:
    """Return the addresses of a host; none where nobody knows it, and then nothing can be read there either."""
    try:
        return {str(found[4][0]) for found in socket.getaddrinfo(host, None)}
    except (OSError, UnicodeError):  # UnicodeError: no name can look so
        return set()


def _searched(plan: "Plan") -> tuple["Found", AgentError | None]:
    """Search; return what was found, and what ended it early if the line broke."""
    from rich.console import Console
    from rich.progress import Progress

    from instrument_agent.cli.found_meters import meter_name
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
                progress.console.print(meter_name(meter))
            shown_meters = len(found.meters)

        try:
            search(plan, found, stopping, shown)
        except DeviceUnavailable as error:
            return found, error
        if stopping.is_set():
            progress.console.print(_("ended early: what was found until then follows"))
    return found, None
