"""New values in a TOML text, and nothing else changed: comments, order and spaces stay as somebody wrote them."""

from collections.abc import Mapping
from json import dumps

from instrument_agent.tables.lines import Places, Row, key_places
from instrument_agent.tables.mistakes import KeyPath

Scalar = float | bool | str
"""What a key can be given; a whole number is a float here."""


class NoPlace(Exception):
    """The table that should hold the new one is written in one line."""


def with_keys(text: str, table: KeyPath, values: Mapping[str, Scalar]) -> str:
    """Return a valid TOML text with these keys in ``table``; a key that is not there comes after the others.

    A table that is not there is begun, under its own header.

    Raises:
        NoPlace: it cannot have one.
    """
    for key, value in values.items():
        text = _with_key(text, table, key, _written(value))
    return text


def _with_key(text: str, table: KeyPath, key: str, written: str) -> str:
    places = key_places(text)
    if (*table, key) in places.values:
        start, end = places.values[*table, key]
        return text[:start] + written + text[end:]
    if table in places.values:
        return _in_braces(text, places.values[table], f"{key} = {written}")
    if inside := [row for row in places.rows if row.table == table]:
        return _with_lines(text, inside[-1], f"{key} = {written}")
    if dotted := [row for row in places.rows if row.table == table[:-1] and row.at[: len(table)] == table]:
        return _with_lines(text, dotted[-1], f"{table[-1]}.{key} = {written}")
    return _with_lines(text, _last_of_holder(places, table), f"[{_name(table)}]", f"{key} = {written}")


def _in_braces(text: str, span: tuple[int, int], entry: str) -> str:
    start, end = span
    inside = text[start + 1 : end - 1].rstrip()
    inside = f"{inside}, {entry}" if inside else f" {entry}"
    return f"{text[:start]}{{{inside} }}{text[end:]}"


def _last_of_holder(places: Places, table: KeyPath) -> Row:
    """Return the last row of the table that holds ``table``, its other tables included."""
    rows = [row for row in places.rows if row.table[: len(table) - 1] == table[:-1]]
    if not rows:
        raise NoPlace
    return rows[-1]


def _with_lines(text: str, row: Row, *lines: str) -> str:
    """Put lines after a row, indented and ended as it is."""
    line_start = text.rfind("\n", 0, row.start) + 1
    indent = text[line_start : row.start].lstrip("\ufeff")
    windows = text.endswith("\r", 0, row.end)
    end = row.end - 1 if windows else row.end
    return text[:end] + "".join(("\r\n" if windows else "\n") + indent + line for line in lines) + text[end:]


def _name(table: KeyPath) -> str:
    return ".".join(part for part in table if isinstance(part, str))


def _written(value: Scalar) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return dumps(value, ensure_ascii=False)
    return repr(int(value) if value == int(value) else value)  # as a person would write it
