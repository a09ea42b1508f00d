"""What values of the config file must be to each other; each check looks at whatever values are good by themselves."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from instrument_agent.core.readings import Channel
from instrument_agent.i18n import _
from instrument_agent.tables.mistakes import KeyPath, Notebook, key_text, nearest, shortened

_LINE_SETTINGS = ("baud", "parity", "stop_bits", "rtu_over_tcp")

Values = Mapping[str, Any]
"""The good values of one table."""


def bus_name(options: Values) -> str | None:
    """Return the bus a driver's options put it on: a serial port, or ``host:tcp_port``; None is a bus of its own."""
    if options.get("port"):
        return str(options["port"])
    if options.get("host"):
        return f"{str(options['host']).lower()}:{options.get('tcp_port', '')}"
    return None


def check_unique(tables: Sequence[tuple[KeyPath, Values]], key: str, book: Notebook) -> None:
    """Note every table whose ``key`` an earlier one already has."""
    first: dict[str, KeyPath] = {}
    for at, values in tables:
        value = values.get(key)
        if value is not None and first.setdefault(value, at) is not at:
            problem = _("{value} is already taken by {other}")
            book.note((*at, key), problem.format(value=shortened(value), other=key_text(first[value])))


def check_activity(values: Values, poll_s: float | None, at: KeyPath, book: Notebook) -> None:
    """Note thresholds and times that contradict each other; ``values`` are those of the activity table."""
    _check_kind(values, at, book)
    off_below = values.get("off_below")
    run_above = values.get("run_above")
    run_above = math.inf if run_above is None else run_above
    run_below = values.get("run_below")
    if off_below is not None and off_below <= 0:
        book.note((*at, "off_below"), _("must be greater than 0"), _("below it the instrument counts as off"))
    if off_below is not None and run_below is None and off_below > run_above:
        _note_order(("off_below", off_below), ("run_above", run_above), at, book)
    if run_below is not None and run_below > run_above:
        _note_order(("run_below", run_below), ("run_above", run_above), at, book)
    if off_below is not None and run_below is not None and off_below > run_below:
        _note_order(("off_below", off_below), ("run_below", run_below), at, book)
    gap_s, bridge_s = values.get("gap_s"), values.get("bridge_s")
    if gap_s is not None and bridge_s is not None and gap_s > bridge_s:
        _note_order(("gap_s", gap_s), ("bridge_s", bridge_s), at, book)
    if gap_s is not None and poll_s is not None and poll_s >= gap_s:
        problem = _("must be longer than poll_s ({poll_s} s), or all time would be unknown")
        book.note((*at, "gap_s"), problem.format(poll_s=poll_s))


def _check_kind(values: Values, at: KeyPath, book: Notebook) -> None:
    """Note thresholds that are missing, or that stand beside states, which need none."""
    if values.get("states") is not None:
        for key in ("off_below", "run_above", "run_below"):
            if values.get(key) is not None:
                problem = _("states and thresholds exclude each other")
                book.note((*at, key), problem, _("leave this key out, or the states"))
    elif "states" in values:  # it is missing where what stands there was noted already
        for key in ("off_below", "run_above"):
            if key in values and values[key] is None:
                book.note((*at, key), _("this key is required"))


def check_channel(values: Values, channels: Mapping[str, Channel] | None, at: KeyPath, book: Notebook) -> None:
    """Note a channel the driver does not read, and states it never tells; ``channels`` are the driver's, if known."""
    name = values.get("channel")
    if name is None or channels is None:
        return
    if name not in channels:
        hint = nearest(name, [*channels]) or _("one of {names}").format(names=", ".join(channels))
        book.note((*at, "channel"), _("the driver does not read this channel"), hint)
        return
    told = channels[name].states
    if not told:
        return
    if not values.get("states"):
        text = ", ".join(f'{state} = "running"' for state in told)
        problem = _("this channel tells states, not numbers")
        book.note((*at, "channel"), problem, _("write what they mean: states = {{ {text} }}").format(text=text))
    for state in values.get("states") or ():
        # A code that the driver has no text for is told as it is.
        if state not in told and not state.lstrip("-").isdigit():
            hint = nearest(state, told) or _("one of {names}").format(names=", ".join(told))
            book.note((*at, "states", state), _("the driver never tells this state"), hint)


def _note_order(less: tuple[str, float], more: tuple[str, float], at: KeyPath, book: Notebook) -> None:
    problem = _("must not be greater than {other} ({limit}), but is {value}")
    book.note((*at, less[0]), problem.format(other=more[0], limit=more[1], value=less[1]))


def check_buses(drivers: Sequence[tuple[KeyPath, Values]], book: Notebook) -> None:
    """Note instruments that share a bus but not its settings, or that ask the same unit on it.

    ``drivers`` are the options of each driver table, defaults included.
    """
    buses: dict[str, list[tuple[KeyPath, Values]]] = {}
    for at, options in drivers:
        name = bus_name(options)
        if name is not None:
            buses.setdefault(name, []).append((at, options))
    for name, members in buses.items():
        _check_line_settings(name, members, book)
        _check_units(name, members, book)


def _check_line_settings(name: str, members: Sequence[tuple[KeyPath, Values]], book: Notebook) -> None:
    for setting in _LINE_SETTINGS:
        having = [(at, options[setting]) for at, options in members if options.get(setting) is not None]
        for at, value in having[1:]:
            first_at, first = having[0]
            if value != first:
                problem = _("{value} here, but {first} in {other} on the same bus {bus}").format(
                    value=shortened(value), first=shortened(first), other=key_text(first_at), bus=shortened(name)
                )
                hint = _("all meters on one bus need the same settings; a missing key takes its profile's value")
                book.note((*at, setting), problem, hint)


def _check_units(name: str, members: Sequence[tuple[KeyPath, Values]], book: Notebook) -> None:
    first: dict[int | str, KeyPath] = {}
    for at, options in members:
        unit = options.get("unit_id")
        if isinstance(unit, int | str) and first.setdefault(unit, at) is not at:
            problem = _("unit {unit} on the bus {bus} is already asked by {other}")
            book.note((*at, "unit_id"), problem.format(unit=unit, bus=shortened(name), other=key_text(first[unit])))
