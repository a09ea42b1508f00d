"""What values of the config file must be to each other; each check looks at whatever values are good by themselves."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from instrument_agent.core.readings import Channel
from instrument_agent.i18n import _
from instrument_agent.tables.mistakes import KeyPath, Notebook, key_text, nearest, shortened

Values = Mapping[str, Any]
"""The good values of one table."""


def check_unique(tables: Sequence[tuple[KeyPath, Values]], key: str, book: Notebook) -> None:
    """Note every table whose ``key`` an earlier one already has."""
    first: dict[str, KeyPath] = {}
    for at, values in tables:
        value = values.get(key)
        if value is not None and first.setdefault(value, at) is not at:
            problem = _("{value} is already taken by {other}")
            book.note((*at, key), problem.format(value=shortened(value), other=key_text(first[value])))


def check_client(values: Values, at: KeyPath, book: Notebook) -> None:
    """Note a key that belongs to no certificate."""
    if values.get("client_key_file") is not None and values.get("client_cert_file") is None:
        book.note((*at, "client_key_file"), _("there is no certificate for this key"), _("set client_cert_file too"))


def check_witnesses(tables: Sequence[tuple[KeyPath, Values]], book: Notebook) -> None:
    """Note every instrument whose witness is none of the box, is itself, or is one it is the witness of in its turn."""
    named = {values.get("id"): values["activity"].get("witness") for _at, values in tables}
    known = [name for name in named if name is not None]
    for at, values in tables:
        here, own, witness = (*at, "activity", "witness"), values.get("id"), values["activity"].get("witness")
        if witness is None:
            continue
        if witness not in known:
            hint = nearest(witness, known) or _("one of {names}").format(names=", ".join(known))
            book.note(here, _("there is no instrument with this id"), hint)
        elif own in _witnesses_of(own, named):
            hint = _("name the witness at one of the two only")
            book.note(here, _("an instrument cannot be a witness of itself"), hint)


def _witnesses_of(name: str | None, named: Mapping[str | None, str | None]) -> set[str]:
    """Return the witness of an instrument, that one's witness, and so on."""
    found: set[str] = set()
    witness = named.get(name)
    while witness is not None and witness not in found:
        found.add(witness)
        witness = named.get(witness)
    return found


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
    _check_standby(values, at, book)
    gap_s, bridge_s = values.get("gap_s"), values.get("bridge_s")
    if gap_s is not None and bridge_s is not None and gap_s > bridge_s:
        _note_order(("gap_s", gap_s), ("bridge_s", bridge_s), at, book)
    if gap_s is not None and poll_s is not None and poll_s >= gap_s:
        problem = _("must be longer than poll_s ({poll_s} s), or all time would be unknown")
        book.note((*at, "gap_s"), problem.format(poll_s=poll_s))


def _check_standby(values: Values, at: KeyPath, book: Notebook) -> None:
    """Note a standby level that is not between off and running; ``standby_level`` may be missing."""
    level, run_above = values.get("standby_level"), values.get("run_above")
    run_below = run_above if values.get("run_below") is None else values["run_below"]
    if level is None:
        return
    if values.get("off_below") is not None and level < values["off_below"]:
        _note_order(("off_below", values["off_below"]), ("standby_level", level), at, book)
    if run_below is not None and level >= run_below:
        problem = _("must be below the value under which a run ends ({limit}), but is {value}")
        book.note((*at, "standby_level"), problem.format(limit=run_below, value=level))


def _check_kind(values: Values, at: KeyPath, book: Notebook) -> None:
    """Note thresholds that are missing, or that stand beside states, which need none."""
    if values.get("states") is not None:
        for key in ("off_below", "run_above", "run_below", "standby_level"):
            if values.get(key) is not None:
                problem = _("states and thresholds exclude each other")
                book.note((*at, key), problem, _("leave this key out, or the states"))
    elif "states" in values:  # it is missing where what stands there was noted already
        given = any(values.get(key) is not None for key in ("off_below", "run_above", "run_below", "standby_level"))
        for key in ("off_below", "run_above"):
            if given and key in values and values[key] is None:
                book.note((*at, key), _("this key is required"), _("or leave out all thresholds: the agent will learn"))


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
