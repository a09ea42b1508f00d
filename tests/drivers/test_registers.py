"""Which registers are asked for together, and what their words mean."""

import math
import struct

import pytest

from instrument_agent.core.readings import Channel
from instrument_agent.drivers.registers import (
    Block,
    Profile,
    Register,
    blocks,
    decode,
    float32,
    load_profile,
    profile_names,
    words_at,
)


def register(address: int, name: str = "") -> Register:
    return Register(Channel(name or f"at_{address}", "1", 0, 1), address)


def planned(addresses: list[int], max_registers: int, max_gap: int) -> list[tuple[int, int]]:
    profile = Profile(4, max_registers, max_gap, tuple(register(address) for address in addresses))
    return [(block.address, block.count) for block in blocks(profile)]


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


@pytest.mark.parametrize("name", profile_names())
def test_no_two_blocks_of_a_profile_are_of_the_same_length(name: str) -> None:
    # On RTU nothing but its length tells a late answer to one block from the answer to another.
    counts = [block.count for block in blocks(load_profile(name))]
    assert len(set(counts)) == len(counts)


@pytest.mark.parametrize("name", profile_names())
def test_a_profile_only_reads_and_its_ranges_are_ranges(name: str) -> None:
    profile = load_profile(name)
    assert profile.function in (3, 4)
    assert 2 <= profile.max_registers <= 125
    names = [item.channel.name for item in profile.registers]
    assert len(set(names)) == len(names) > 0
    assert all(item.channel.low < item.channel.high for item in profile.registers)


@pytest.mark.parametrize("number", [0.0, -0.0, 1900.0, -12.5, 1e-38, 3.0e38])
def test_two_words_are_a_single_most_significant_word_first(number: float) -> None:
    high, low = struct.unpack(">HH", struct.pack(">f", number))
    assert float32(high, low) == struct.unpack(">f", struct.pack(">f", number))[0]


def test_the_words_of_the_datasheet_are_its_number() -> None:
    assert float32(0x4366, 0x3334) == pytest.approx(230.2, abs=1e-4)


def test_what_was_not_read_is_left_out_and_what_is_no_number_is_none() -> None:
    wanted = [register(0, "good"), register(2, "nan"), register(4, "half"), register(6, "absent"), register(8, "zero")]
    words = {0: 0x3F80, 1: 0x0000, 2: 0x7FC0, 3: 0x0000, 4: 0x3F80, 8: 0, 9: 0}
    assert decode(wanted, words) == {"good": 1.0, "nan": None, "zero": 0.0}
    assert not math.copysign(1, decode(wanted, words)["zero"] or 0.0) < 0


def test_the_words_of_an_answer_stand_at_their_addresses() -> None:
    assert words_at(Block(72, 3), [7, 8, 9]) == {72: 7, 73: 8, 74: 9}
