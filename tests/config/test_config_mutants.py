"""Thousands of ways in which people and editors spoil a config file: each is answered with places and what to change.

CONFIG_MUTANTS sets how many; `make faults` takes 10,000.
"""

import os
import random
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from written import outcome

from instrument_agent.config import Config, InvalidConfig, load_config
from instrument_agent.tables.file import MAX_BYTES

EXAMPLE_FILE = Path(__file__).parents[2] / "config.example.toml"
EXAMPLE = EXAMPLE_FILE.read_text(encoding="utf-8")
SHORT = EXAMPLE[: EXAMPLE.index("\n## -")]
ALL_KEYS = "\n".join(line.removeprefix("# ") for line in EXAMPLE.splitlines() if line.startswith("# "))
MUTANTS = int(os.environ.get("CONFIG_MUTANTS", "300"))
SEED = 20261123
VALUES = [
    "0",
    "-1",
    "1.5",
    "nan",
    "1e999",
    "true",
    '""',
    '"modbus"',
    "[]",
    "{}",
    "[[1]]",
    "2026-11-23",
    '"\\u0000"',
    "''",
]

Mutation = Callable[[str, random.Random], bytes]


def _lines(text: str, dice: random.Random, change: Callable[[list[str], int], None]) -> bytes:
    lines = text.splitlines()
    change(lines, dice.randrange(len(lines)))
    return "\n".join(lines).encode()


def with_mark(text: str, dice: random.Random) -> bytes:
    return dice.choice([b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff"]) + text.encode()


def with_windows_ends(text: str, dice: random.Random) -> bytes:
    return text.replace("\n", dice.choice(["\r\n", "\r", "\n\r"])).encode()


def in_another_encoding(text: str, dice: random.Random) -> bytes:
    return ("# 仪器\n" + text).encode(dice.choice(["gbk", "gb18030", "utf-16", "utf-16-le", "big5"]), "replace")


def of_another_type(text: str, dice: random.Random) -> bytes:
    def change(lines: list[str], number: int) -> None:
        settings = [place for place, line in enumerate(lines) if " = " in line]
        place = settings[number % len(settings)]
        lines[place] = f"{lines[place].split(' = ')[0]} = {dice.choice(VALUES)}"

    return _lines(text, dice, change)


def with_a_line_twice(text: str, dice: random.Random) -> bytes:
    return _lines(text, dice, lambda lines, number: lines.insert(dice.randrange(len(lines)), lines[number]))


def with_a_table_twice(text: str, dice: random.Random) -> bytes:
    return (
        text + "\n" + dice.choice(["[box]", "[[box]]", "[instrument]", "[instrument.driver]", "[destination]"])
    ).encode()


def without_a_line(text: str, dice: random.Random) -> bytes:
    return _lines(text, dice, lambda lines, number: lines.pop(number))


def cut_off(text: str, dice: random.Random) -> bytes:
    return text.encode()[: dice.randrange(len(text))]


def mistyped(text: str, dice: random.Random) -> bytes:
    place = dice.randrange(len(text))
    letter = dice.choice(["“", "”", "＝", "，", "'", '"', "[", "]", "\t", "\0", "\x1b", "é", "-", " ", "#", "\\"])
    return (text[:place] + letter + text[place + dice.randrange(2) :]).encode()


def with_a_bit_flipped(text: str, dice: random.Random) -> bytes:
    content = bytearray(text.encode())
    content[dice.randrange(len(content))] ^= 1 << dice.randrange(8)
    return bytes(content)


def nested(text: str, dice: random.Random) -> bytes:
    return (text + "\nx = " + dice.choice(["[", "{a="]) * dice.choice([5, 500, 5000])).encode()


MUTATIONS: list[Mutation] = [
    *(with_mark, with_windows_ends, in_another_encoding, of_another_type, with_a_line_twice, with_a_table_twice),
    *(without_a_line, cut_off, mistyped, with_a_bit_flipped, nested),
]


def judge(path: Path, content: bytes) -> Config | None:
    """Load a mutant; a refusal must say where, and what is wrong or what to write instead."""
    found = outcome(path, content)
    if isinstance(found, Config):
        return found
    for mistake in found.mistakes:
        told = str(mistake)
        assert told.startswith(str(path)), told
        assert mistake.line is not None or missing(mistake.key, content), f"without a line: {told}"
        assert mistake.hint or "TOML" not in mistake.problem, f"without a word on what to change: {told}"
        assert "Traceback" not in told, told
        assert "Error" not in told, told
    return None


def missing(key: str, content: bytes) -> bool:
    """Say whether a whole table is not there, and so stands on no line."""
    return bool(key) and key not in tomllib.loads(content.decode("utf-8-sig"))


def test_mutants_of_the_example_are_taken_or_refused_with_places(tmp_path: Path) -> None:
    dice = random.Random(SEED)
    taken = refused = 0
    for number in range(MUTANTS):
        mutation = MUTATIONS[number % len(MUTATIONS)]
        # All keys together take five times as long to judge.
        content = mutation(ALL_KEYS if dice.random() < 0.25 else SHORT, dice)
        try:
            good = judge(tmp_path / "config.toml", content)
        except Exception as error:
            raise AssertionError(f"mutant {number} of seed {SEED}, {mutation.__name__}: {error}") from error
        taken, refused = taken + (good is not None), refused + (good is None)
    assert taken > MUTANTS / 20, "mutants that are all refused at once test nothing but the parser"
    assert refused > MUTANTS / 3


@pytest.mark.parametrize("filler", [b"#", b"\n", b"[", b"\0"])
def test_ten_megabytes_are_refused_without_being_read(tmp_path: Path, filler: bytes) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(SHORT.encode() + filler * (10 * MAX_BYTES))
    with pytest.raises(InvalidConfig, match="larger than 1 MiB"):
        load_config(path)


def test_brackets_that_are_never_closed_are_told_with_their_line(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("[box]\nid = 'a'\nx = " + "[" * 5000 + "\n\n# the end\n", encoding="utf-8")
    with pytest.raises(InvalidConfig, match=r"config\.toml:3: brackets are nested too deeply \(count"):
        load_config(path)
