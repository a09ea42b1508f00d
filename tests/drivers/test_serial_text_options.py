"""What may be sent to an instrument, which patterns may be searched for, and what is said of the rest."""

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from instrument_agent.cli.check import check
from instrument_agent.core.errors import ConfigError
from instrument_agent.drivers.serial_text import SerialTextDriver
from instrument_agent.drivers.text_lines import LONGEST_LINE, LineSplitter, SearchTooLong, wanted

POWER = {"channel": "power_w", "unit": "W", "pattern": "P=(.+)"}


def driver(**options: Any) -> SerialTextDriver:
    return SerialTextDriver(**{"port": "/dev/null", "values": [POWER], **options})


def asking(query: str, **options: Any) -> SerialTextDriver:
    return driver(values=[{**POWER, "query": query}], **options)


@pytest.mark.parametrize("query", ["POW?", "MEAS:POW?", "POW?;VOLT?", "MEAS:VOLT:DC?", " POW? "])
def test_a_question_may_be_asked(query: str) -> None:
    asking(query)


@pytest.mark.parametrize(
    "query",
    [
        "OUTP OFF",
        "READ",
        "OUTP OFF;POW?",
        "POW?;OUTP OFF",
        "POW?;",
        "*RST;*IDN?",
        "*tst?",
        "POW?;*CAL?",
        "OUTP OFF\nPOW?",
        "POW？",
        "\x05?",
    ],
)
def test_what_is_no_question_is_sent_only_if_its_very_text_is_allowed(query: str) -> None:
    with pytest.raises(ConfigError, match="the box only watches") as caught:
        asking(query, allow=["something else", query + " ", query.swapcase() + "!"])
    assert "allow" in caught.value.hint
    assert asking(query, allow=[query], encoding="utf-8").warnings == [f"may send what is no query: {query!r}"]


def test_a_line_end_of_its_own_does_not_smuggle_a_command_into_a_question() -> None:
    with pytest.raises(ConfigError, match="only watches"):
        asking("OFF!POW?", terminator="!")


def test_an_allowed_text_that_the_encoding_lacks_is_refused() -> None:
    with pytest.raises(ConfigError, match="cannot be sent as ascii"):
        asking("功率", allow=["功率"])


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"port": ""}, "needs a port"),
        ({"values": []}, "no values"),
        ({"values": "P=(.+)"}, "no values"),
        ({"values": [POWER, POWER]}, "same channel"),
        ({"values": [POWER, {"channel": "b", "pattern": "(.)", "query": "B?"}]}, "some values have a query"),
        ({"values": ["P=(.+)"]}, "table of texts"),
        ({"values": [{**POWER, "low": 3}]}, "table of texts"),
        ({"values": [{**POWER, "patern": "x"}]}, "no key patern"),
        ({"values": [{**POWER, "channel": "Power W"}]}, "small letters"),
        ({"values": [{"channel": "a"}]}, "needs a pattern"),
        ({"values": [{**POWER, "pattern": "P=(.+"}]}, "cannot be used"),
        ({"values": [{**POWER, "pattern": "P=.+"}]}, "no group"),
        ({"values": [{**POWER, "pattern": "(P)=(.+)"}]}, "no group"),
        ({"values": [{**POWER, "pattern": "x" * 300 + "(.)"}]}, "too long"),
        ({"terminator": ""}, "terminator"),
        ({"terminator": 10}, "terminator"),
        ({"terminator": "。"}, "terminator"),
        ({"allow": "READ"}, "allow must be a list"),
        ({"allow": [""]}, "allow must be a list"),
    ],
)
def test_options_that_cannot_be_used_are_named(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        driver(**options)


@pytest.mark.parametrize("pattern", [r"(a+)+$", r"(?:a|aa)*?(?:a|aa)*?(a)$"])
def test_a_search_that_would_go_on_for_ever_is_given_up_and_says_so(pattern: str) -> None:
    with pytest.raises(SearchTooLong, match="power_w") as caught:
        wanted({**POWER, "pattern": pattern}).search("a" * 5000 + "b")  # minutes, on the fastest machine too
    assert "name the characters" in caught.value.hint


@pytest.mark.parametrize(
    ("pattern", "line", "value"),
    [
        (r"(?i)pow=(\d+)", "POW=5", 5.0),
        (r".*P=\s*([-+.\d]+)\s*W.*", "t P= 7.5 W t", 7.5),
        (r"(?:on|off);(?P<value>[+-]?\d*\.?\d+)\s*(?:W|kW)\b", "on;.5kW", 0.5),
        (r"^\s*\S+\s+(\S+)\s*$", " A 3 ", 3.0),
        (r"P=\s*([-+]?\d+(?:\.\d+)?)\s*W", "U=230 P= -12.5 W", -12.5),
        (r"(?P<value>\d+(\.\d+)?([eE][-+]?\d+)?)", "1.5e3", 1500.0),
        (r"^[^,]*,[^,]*,([^,]*)", "2026-01-01,OK,7", 7.0),
        (r"^(?:\w\w:){2}(\d+)", "ab:cd:42", 42.0),
        (r"[\])]+\((\d+)\)+", ")](3))", 3.0),
        (r"(?:(?P<value>\d*)[])*])", "12]", 12.0),
        (r"(?<=P=)(?!0)(\d+)", "P=0 P=12", 12.0),
    ],
)
def test_patterns_as_people_write_them_are_taken(pattern: str, line: str, value: float) -> None:
    item = wanted({**POWER, "pattern": pattern})
    match = item.search(line)
    assert match is not None
    assert item.value(match) == value


def test_a_group_that_did_not_take_part_is_no_value() -> None:
    item = wanted({"channel": "state", "pattern": r"S(\d)?"})
    match = item.search("S")
    assert match is not None
    assert item.value(match) is None


LINES = st.lists(st.binary(max_size=LONGEST_LINE + 40).map(lambda data: data.replace(b"\r\n", b"")), max_size=6)


@settings(max_examples=50)
@given(lines=LINES, cuts=st.lists(st.integers(1, 700), max_size=12), midway=st.booleans())
def test_lines_come_out_whole_however_they_are_cut_on_the_way(
    lines: list[bytes], cuts: list[int], *, midway: bool
) -> None:
    lines = [line.strip(b"\r\n") for line in lines]
    data = b"".join(line + b"\r\n" for line in lines) + b"begun"
    splitter = LineSplitter(b"\r\n", midway=midway)
    found: list[bytes] = []
    for cut in cuts:
        found += splitter.feed(data[:cut])
        data = data[cut:]
    found += splitter.feed(data)
    assert found == [line for line in lines[midway:] if line.strip() and len(line) <= LONGEST_LINE]


@pytest.mark.parametrize(
    "pieces",
    [
        [b"1" * (LONGEST_LINE + 1) + b"\r\n8\r\n"],
        [b"1" * 600, b"7\r\n8\r\n"],
        [b"1" * 600 + b"\r", b"\n8\r\n"],
        [b"1" * 600, b"1" * 600, b"\r\n8\r\n"],
    ],
)
def test_of_a_line_that_is_too_long_not_even_the_end_is_a_line(pieces: list[bytes]) -> None:
    splitter = LineSplitter(b"\r\n", midway=False)
    assert [line for piece in pieces for line in splitter.feed(piece)] == [b"8"]


def test_check_shows_what_may_be_sent(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(
        '[box]\nid = "b"\n[[instrument]]\nid = "i"\n'
        '[instrument.driver]\nname = "serial_text"\nport = "/dev/ttyUSB0"\nterminator = "\\r\\n"\nallow = ["READ\\r"]\n'
        """values = [{ channel = "power_w", unit = "W", query = "READ\\r", pattern = 'P=(\\d+)' }]\n"""
        "[instrument.activity]\noff_below = 5\nrun_above = 500\n"
    )
    result = CliRunner().invoke(check, ["--config", str(path)])
    assert result.exit_code == 0, result.output
    assert r"note: instrument i: may send what is no query: 'READ\r'" in result.output
