"""What instruments of one box share, such as a bus and its settings, and what only one of them can have."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os.path import realpath
from typing import Any

from instrument_agent.i18n import _
from instrument_agent.tables.mistakes import KeyPath, Notebook, key_text, shortened

_LINE_SETTINGS = ("baud", "parity", "stop_bits", "rtu_over_tcp")

Options = Mapping[str, Any]
"""The good options of one driver table, defaults included."""


@dataclass(frozen=True, slots=True)
class Reader:
    """One instrument as its neighbours see it; ``at`` is its driver table.

    ``alone`` names the options that together name what no other may use (protocol.py), ``judged_by`` is its channel.
    """

    at: KeyPath
    options: Options
    alone: tuple[str, ...] = ()
    judged_by: str | None = None


def bus_name(options: Options) -> str | None:
    """Return the bus a driver's options put it on: a serial port, or ``host:tcp_port``; None is a bus of its own."""
    if options.get("port"):
        return str(options["port"])
    if options.get("host"):
        return f"{str(options['host']).lower()}:{options.get('tcp_port', '')}"
    return None


def check_sharing(readers: Sequence[Reader], book: Notebook) -> None:
    """Note instruments that use what another has for itself, or share a bus but not its settings or its meters."""
    taken = _check_alone(readers, book)
    buses: dict[str, list[Reader]] = {}
    for reader in readers:
        name = bus_name(reader.options)
        if name is not None and reader.at not in taken:
            buses.setdefault(name, []).append(reader)
    _check_names(buses, book)
    for name, members in buses.items():
        _check_line_settings(name, members, book)
        _check_units(name, members, book)


def _check_alone(readers: Sequence[Reader], book: Notebook) -> set[KeyPath]:
    """Note whoever uses what an earlier one uses, where one of the two must be alone; return where they stand."""
    noted: set[KeyPath] = set()
    for number, reader in enumerate(readers):
        for earlier in readers[:number]:
            for keys in filter(None, (reader.alone, earlier.alone)):
                values = [reader.options.get(key) for key in keys]
                if None in values or values != [earlier.options.get(key) for key in keys] or reader.at in noted:
                    continue
                noted.add(reader.at)
                problem = _("{value} is already used by {other}")
                text = problem.format(value=shortened(values[-1]), other=key_text(earlier.at))
                book.note((*reader.at, keys[-1]), text, _("only one instrument can read this"))
    return noted


def _check_names(buses: Mapping[str, Sequence[Reader]], book: Notebook) -> None:
    """Note a port that goes by two names here: they would be two buses, of which one never gets the port."""
    first: dict[str, Reader] = {}
    for name, (member, *_others) in buses.items():
        if not member.options.get("port"):
            continue
        known = first.setdefault(realpath(name), member)
        if known is not member:
            problem = _("{name} is the same port as {other}").format(name=shortened(name), other=key_text(known.at))
            hint = _("write it alike in both: {port}").format(port=known.options["port"])
            book.note((*member.at, "port"), problem, hint)


def _check_line_settings(name: str, members: Sequence[Reader], book: Notebook) -> None:
    for setting in _LINE_SETTINGS:
        having = [(item.at, item.options[setting]) for item in members if item.options.get(setting) is not None]
        for at, value in having[1:]:
            first_at, first = having[0]
            if value != first:
                problem = _("{value} here, but {first} in {other} on the same bus {bus}").format(
                    value=shortened(value), first=shortened(first), other=key_text(first_at), bus=shortened(name)
                )
                hint = _("all meters on one bus need the same settings; a missing key takes its profile's value")
                book.note((*at, setting), problem, hint)


def _check_units(name: str, members: Sequence[Reader], book: Notebook) -> None:
    """Note meters that are asked twice for the same: one may watch several instruments, but each by its own channel."""
    first: dict[tuple[int | str, str | None], KeyPath] = {}
    for item in members:
        unit = item.options.get("unit_id")
        if isinstance(unit, int | str) and first.setdefault((unit, item.judged_by), item.at) is not item.at:
            other = key_text(first[unit, item.judged_by])
            problem = _("unit {unit} on the bus {bus} is already asked by {other}")
            hint = _("two instruments on one meter need channels of their own in activity")
            book.note((*item.at, "unit_id"), problem.format(unit=unit, bus=shortened(name), other=other), hint)
