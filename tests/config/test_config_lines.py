"""Every key of a valid TOML text is found on the line it stands on, and every value where it starts and ends."""

import itertools
import re
import tomllib
from collections.abc import Iterator
from datetime import datetime

from hypothesis import given
from hypothesis import strategies as st

from instrument_agent.tables.lines import key_lines, key_places
from instrument_agent.tables.mistakes import KeyPath

TRICKY = '''\
# [comment]
top = "# no [table]"
[a] # [b]
"quoted.key" = 'it is = "one"'
b . c = 1
long = """
[not.a.table]
x = \\"""
"""""
raw = \'\'\'
y = 1 \'\' \'\'\'\'
list = [ # not = this
  1, # ] nor this
  { n = 1, m = { o = "}" } },
]
when = 1979-05-27 07:32:00
empty = {}
none = []
  [[d]]
  e = 1
  [d.f]
  g = 1
[[d]]
[d.f]
g = 1
[[ d . "h" ]]
i = 1
[[d.h]]
i = 1
'''


def test_tricky_texts_are_walked_through_without_losing_the_line():
    lines = key_lines(TRICKY)
    expected = {
        ("top",): 2,
        ("a",): 3,
        ("a", "quoted.key"): 4,
        ("a", "b", "c"): 5,
        ("a", "long"): 6,
        ("a", "raw"): 10,
        ("a", "list"): 12,
        ("a", "list", 0): 13,
        ("a", "list", 1, "n"): 14,
        ("a", "list", 1, "m", "o"): 14,
        ("a", "when"): 16,
        ("a", "empty"): 17,
        ("a", "none"): 18,
        ("d",): 19,
        ("d", 0): 19,
        ("d", 0, "e"): 20,
        ("d", 0, "f"): 21,
        ("d", 0, "f", "g"): 22,
        ("d", 1): 23,
        ("d", 1, "f", "g"): 25,
        ("d", 1, "h", 0, "i"): 27,
        ("d", 1, "h", 1): 28,
        ("d", 1, "h", 1, "i"): 29,
    }
    assert {at: lines.get(at) for at in expected} == expected
    assert set(lines) >= set(paths(tomllib.loads(TRICKY)))


def test_windows_line_ends_count_once():
    assert key_lines('a = 1\r\nb = """x\r\n"""\r\nc = 2\r\n') == {("a",): 1, ("b",): 2, ("c",): 4}


def test_a_text_of_a_megabyte_is_walked_through():
    text = 'a = """' + 'x"' * 250_000 + 'x"""\nb = [' + "1," * 250_000 + "]\nc = 3"
    assert key_lines(text)[("c",)] == 3


def paths(value: object, at: KeyPath = ()) -> Iterator[KeyPath]:
    """Yield where every table, key and element of a parsed text is."""
    if at:
        yield at
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from paths(inner, (*at, key))


STRINGS = [
    '"a = 1"',
    "'[b]'",
    '"\\"#"',
    '"""\nc = 1\n"""',
    '"""""""',
    "'''\n[[d]]\n''e = 1'''",
    "''",
    "'#'",
]
SCALARS = st.sampled_from([*STRINGS, "1", "-1.5e3", "true", "inf", "2020-01-01 10:00:00Z"])
BREAKS = st.sampled_from([" ", "\n", " # ] } = [x]\n", "\n\n\t"])


@st.composite
def documents(draw: st.DrawFn) -> str:
    """Write a valid TOML text in which every key has a name of its own: k1, k2, ..."""
    numbers = itertools.count(1)

    def key() -> str:
        name = f"k{next(numbers)}"
        return draw(st.sampled_from([name, f'"{name}"', f"'{name}'"]))

    def value(depth: int) -> str:
        kind = draw(st.sampled_from(["scalar", "scalar", "array", "table"])) if depth < 3 else "scalar"
        if kind == "array":
            items = [draw(BREAKS) + value(depth + 1) + draw(BREAKS) for _ in range(draw(st.integers(0, 3)))]
            return "[" + ",".join(items) + draw(BREAKS) + "]"
        if kind == "table":
            return "{" + ", ".join(f"{key()} = {value(depth + 1)}" for _ in range(draw(st.integers(0, 3)))) + "}"
        return draw(SCALARS)

    def body() -> str:
        dotted = [draw(st.sampled_from(["", f"{key()} . "])) + f"{key()} = {value(0)}{draw(BREAKS)}" for _ in range(3)]
        return "\n".join(dotted)

    parts = [body()]
    for _ in range(draw(st.integers(0, 3))):
        name = key()
        if draw(st.booleans()):
            parts += [f"[{name}]\n{body()}", f"[{name}.{key()}]\n{body()}"]
        else:
            parts += [f"[[{name}]]\n{body()}", f"[[ {name} ]]\n[{name} . {key()}] # [k0]\n{body()}"]
    return "\n".join(parts)


@given(documents())
def test_every_key_is_found_on_the_line_that_holds_it(text: str):
    lines = key_lines(text)
    written = text.split("\n")
    for at in paths(tomllib.loads(text)):
        if isinstance(at[-1], str):
            # Its name stands there for the first time, if it is not one of the second of two [[tables]].
            holding = [number for number, line in enumerate(written, 1) if re.search(rf"\b{at[-1]}\b", line)]
            assert lines[at] in holding
            assert len(holding) == 1 or lines[at] == holding[0] or 1 in at
        else:
            assert lines[at[:-1]] <= lines[at]


@given(documents())
def test_what_stands_at_the_place_of_a_value_is_that_value(text: str):
    parsed = tomllib.loads(text)
    for at, (start, end) in key_places(text).values.items():
        value = parsed
        for part in at:
            value = value[part]
        if not isinstance(value, datetime):
            assert tomllib.loads(f"value = {text[start:end]}") == {"value": value}
