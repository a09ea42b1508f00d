"""Which registers are asked for together, and what their words mean."""

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from word_meter import FORMATS, words_of

from instrument_agent.core.readings import Channel
from instrument_agent.drivers.block_reads import Block, blocks, without_gaps
from instrument_agent.drivers.registers import WORDS, Register, decode
from instrument_agent.tables.mistakes import Unfit


def register(address: int, kind: str = "float32", channel: str = "", **more: Any) -> Register:
    more = {"function": 4, "low": -1e300, "high": 1e300} | more
    return Register(channel=channel or f"at_{address}", address=address, type=kind, **more)


def planned(addresses: list[int], max_registers: int, max_gap: int) -> list[tuple[int, int]]:
    found = blocks([register(address) for address in addresses], max_registers, max_gap)
    return [(block.address, block.count) for block in found]


@pytest.mark.parametrize(
    ("addresses", "max_registers", "max_gap", "expected"),
    [
        ([0], 80, 8, [(0, 2)]),
        ([0, 2, 4], 80, 0, [(0, 6)]),
        ([4, 0, 2], 80, 0, [(0, 6)]),
        ([0, 10], 80, 8, [(0, 12)]),
        ([0, 11], 80, 8, [(0, 2), (11, 2)]),
        ([0, 2, 4], 4, 8, [(0, 4), (4, 2)]),
        ([0, 2, 4], 5, 8, [(0, 4), (4, 2)]),
        ([0, 2, 4], 2, 8, [(0, 2), (2, 2), (4, 2)]),
        ([6, 6], 80, 8, [(6, 2)]),
    ],
)
def test_blocks_are_as_few_as_the_meter_allows(
    addresses: list[int], max_registers: int, max_gap: int, expected: list[tuple[int, int]]
) -> None:
    assert planned(addresses, max_registers, max_gap) == expected


def test_a_register_inside_another_does_not_shorten_its_block() -> None:
    assert blocks([register(0, "float64"), register(1, "uint16")], 80, 0) == (Block(4, 0, 4),)


def test_functions_are_never_mixed_in_one_block() -> None:
    wanted = [register(0), register(2, function=3), register(0, "bit", function=1, low=None, high=None)]
    assert blocks(wanted, 80, 8) == (Block(1, 0, 1), Block(3, 2, 2), Block(4, 0, 2))


def test_a_block_without_its_gaps_is_what_somebody_asked_for() -> None:
    wanted = [register(0), register(2), register(8), register(20), register(8, function=3)]
    [block] = blocks([item for item in wanted if item.function == 4], 80, 20)
    assert without_gaps(block, wanted) == (Block(4, 0, 4), Block(4, 8, 2), Block(4, 20, 2))


@st.composite
def apart(draw: st.DrawFn) -> list[Register]:
    """Draw registers that do not overlap, in any order."""
    found, address = [], 0
    for _ in range(draw(st.integers(1, 6))):
        address += draw(st.integers(0, 5))
        kind = draw(st.sampled_from(["uint16", "int32", "float64"]))
        found.append(register(address, kind))
        address += WORDS[kind]
    return draw(st.permutations(found))


def partitions(items: list[Register]) -> Iterator[list[list[Register]]]:
    """Yield every way to divide up a few registers."""
    if not items:
        yield []
        return
    for rest in partitions(items[1:]):
        yield [[items[0]], *rest]
        for number, group in enumerate(rest):
            yield [*rest[:number], [items[0], *group], *rest[number + 1 :]]


def is_a_read(group: list[Register], limit: int, max_gap: int) -> bool:
    ordered = sorted(group, key=lambda item: item.address)
    gaps = [after.address - before.end for before, after in pairwise(ordered)]
    return ordered[-1].end - ordered[0].address <= limit and all(gap <= max_gap for gap in gaps)


@given(wanted=apart(), limit=st.integers(4, 12), max_gap=st.integers(0, 5))
def test_every_register_is_in_one_block_no_block_is_too_long_and_no_plan_has_fewer(
    wanted: list[Register], limit: int, max_gap: int
) -> None:
    found = blocks(wanted, limit, max_gap)
    for item in wanted:
        holding = [block for block in found if block.address <= item.address and item.end <= block.end]
        assert len(holding) == 1
    assert all(block.count <= limit for block in found)
    covered = {address for item in wanted for address in range(item.address, item.end)}
    for block in found:
        unasked = "".join("x" if at in covered else "." for at in range(block.address, block.end))
        assert "." * (max_gap + 1) not in unasked
    possible = [plan for plan in partitions(wanted) if all(is_a_read(group, limit, max_gap) for group in plan)]
    assert len(found) == min(len(plan) for plan in possible)


NUMBERS = {
    "uint16": st.integers(0, 0xFFFF),
    "int16": st.integers(-0x8000, 0x7FFF),
    "uint32": st.integers(0, 0xFFFFFFFF),
    "int32": st.integers(-0x80000000, 0x7FFFFFFF),
    "uint64": st.integers(0, 0xFFFFFFFFFFFFFFFF),
    "int64": st.integers(-0x8000000000000000, 0x7FFFFFFFFFFFFFFF),
    "float32": st.floats(width=32, allow_nan=False, allow_infinity=False),
    "float64": st.floats(allow_nan=False, allow_infinity=False),
}


@given(data=st.data(), kind=st.sampled_from(sorted(FORMATS)), order=st.sampled_from(["high_first", "low_first"]))
def test_any_number_of_any_type_in_any_order_is_read_as_it_was_written(
    data: st.DataObject, kind: str, order: str
) -> None:
    number = data.draw(NUMBERS[kind])
    value = register(0, kind, order=order).value(words_of(kind, number, order))
    assert value == float(number)
    assert isinstance(value, float)


def test_the_words_of_the_datasheet_are_its_number() -> None:
    assert register(0).value([0x4366, 0x3334]) == pytest.approx(230.2, abs=1e-4)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("kind", ["float32", "float64"])
def test_what_is_no_number_is_none(kind: str, number: float) -> None:
    assert register(0, kind).value(words_of(kind, number)) is None


@pytest.mark.parametrize("order", ["high_first", "low_first"])
def test_a_pattern_that_means_no_value_is_none_in_the_order_of_the_value(order: str) -> None:
    item = register(0, "int32", order=order, no_value=["7FFFFFFF", "80000000"])
    seen = [item.value(words_of("int32", raw, order)) for raw in (0x7FFFFFFF, -0x80000000, 0x7FFFFFFE, -1)]
    assert seen == [None, None, float(0x7FFFFFFE), -1.0]


def test_states_are_texts_and_unknown_codes_are_themselves() -> None:
    item = register(0, "int16", states={"0": "idle", "-1": "fault"}, no_value=["8000"])
    assert [item.value(words_of("int16", raw)) for raw in (0, -1, 7, -0x8000)] == ["idle", "fault", "7", None]
    assert item.as_channel() == Channel("at_0", "", -math.inf, math.inf, ("idle", "fault"))


def test_a_bit_is_a_number_or_a_state() -> None:
    plain = register(0, "bit", function=2, low=None, high=None)
    assert [plain.value([bit]) for bit in (0, 1)] == [0.0, 1.0]
    assert plain.as_channel() == Channel("at_0", "1", 0.0, 1.0)
    door = register(0, "bit", function=1, states={"0": "open", "1": "closed"}, low=None, high=None)
    assert [door.value([bit]) for bit in (0, 1)] == ["open", "closed"]


def test_what_was_not_read_or_only_by_half_is_left_out() -> None:
    wanted = [register(0, channel="good"), register(4, channel="half"), register(6), register(8, channel="zero")]
    words = {(4, 0): 0x3F80, (4, 1): 0, (4, 4): 0x3F80, (3, 5): 0, (4, 8): 0, (4, 9): 0}
    assert decode(wanted, words, {}) == {"good": 1.0, "zero": 0.0}
    assert not math.copysign(1, decode(wanted, words, {})["zero"]) < 0


@pytest.mark.parametrize(
    ("keys", "at", "problem"),
    [
        ({"kind": "bit"}, ("type",), "functions 1 and 2 read bits"),
        ({"kind": "uint16", "function": 2}, ("type",), "functions 1 and 2 read bits"),
        ({"address": 0xFFFF}, ("address",), "last address is 65535"),
        ({"scale": 0.0}, ("scale",), "must not be 0"),
        ({"low": None}, ("low",), "required"),
        ({"high": None}, ("high",), "required"),
        ({"low": 5.0, "high": 5.0}, ("low",), "less than high"),
        ({"kind": "uint16", "no_value": ["FFFFFFFF"]}, ("no_value",), "not 4 hexadecimal digits"),
        ({"kind": "uint32", "no_value": ["0xFFFFFF"]}, ("no_value",), "not 8 hexadecimal digits"),
        ({"states": {"0": "idle"}}, ("type",), "a state is a whole number, not float32"),
        ({"kind": "uint16", "states": {"-1": "idle"}}, ("states", "-1"), "never reads"),
        ({"kind": "int16", "states": {"32768": "idle"}}, ("states", "32768"), "never reads"),
        ({"kind": "uint16", "states": {"01": "idle"}}, ("states", "01"), "never reads"),
        ({"kind": "bit", "function": 1, "states": {"2": "idle"}}, ("states", "2"), "never reads"),
    ],
)
def test_a_register_that_cannot_be_says_which_key_is_wrong(
    keys: dict[str, Any], at: tuple[str, ...], problem: str
) -> None:
    with pytest.raises(Unfit, match=problem) as caught:
        register(**({"address": 0} | keys))
    assert caught.value.at == at
