"""Modbus registers: which ones to ask for together, and what their words mean. Pure."""

import math
import struct
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable

from instrument_agent.core.errors import ConfigError
from instrument_agent.core.readings import Channel
from instrument_agent.i18n import _

FLOAT32_WORDS = 2


@dataclass(frozen=True, slots=True)
class Register:
    """A quantity: an IEEE 754 float32 in two 16-bit words, most significant first, at ``address`` (0-based)."""

    channel: Channel
    address: int


@dataclass(frozen=True, slots=True)
class Profile:
    """What is known of a model of meter.

    ``function`` is the Modbus function code it answers (3 or 4). One read covers at most ``max_registers``, and
    reads over at most ``max_gap`` registers nobody asked for.
    """

    function: int
    max_registers: int
    max_gap: int
    registers: tuple[Register, ...]


@dataclass(frozen=True, slots=True)
class Block:
    """One read: ``count`` registers from ``address``."""

    address: int
    count: int


def profile_names() -> list[str]:
    """Return the names of the profiles that ship with the product, sorted."""
    return sorted(entry.name.removesuffix(".toml") for entry in _folder().iterdir() if entry.name.endswith(".toml"))


def load_profile(name: str) -> Profile:
    """Return a profile by name.

    Raises:
        ConfigError: there is none of that name.
    """
    if name not in profile_names():
        raise ConfigError(
            _("there is no meter profile {name}").format(name=name),
            _("known profiles: {names}").format(names=", ".join(profile_names())),
        )
    raw = tomllib.loads((_folder() / f"{name}.toml").read_text(encoding="utf-8"))
    registers = tuple(
        Register(Channel(item["channel"], item["unit"], item["low"], item["high"]), item["address"])
        for item in raw["register"]
    )
    return Profile(raw["function"], raw["max_registers"], raw["max_gap"], registers)


def blocks(profile: Profile) -> tuple[Block, ...]:
    """Return as few reads as cover all registers of the profile."""
    found: list[Block] = []
    for start in sorted(register.address for register in profile.registers):
        end = start + FLOAT32_WORDS
        if found:
            last = found[-1]
            near = start - (last.address + last.count) <= profile.max_gap
            if near and end - last.address <= profile.max_registers:
                found[-1] = Block(last.address, end - last.address)
                continue
        found.append(Block(start, FLOAT32_WORDS))
    return tuple(found)


def decode(registers: Iterable[Register], words: Mapping[int, int]) -> dict[str, float | None]:
    """Return a value for each register whose words were read; None where they are no finite number."""
    values: dict[str, float | None] = {}
    for register in registers:
        pair = [words.get(register.address + offset) for offset in range(FLOAT32_WORDS)]
        if None not in pair:
            number = float32(pair[0] or 0, pair[1] or 0)
            values[register.channel.name] = number if math.isfinite(number) else None
    return values


def float32(high: int, low: int) -> float:
    """Return the IEEE 754 single of two 16-bit words, most significant first."""
    number: float = struct.unpack(">f", struct.pack(">HH", high, low))[0]
    return number


def words_at(block: Block, answer: Sequence[int]) -> dict[int, int]:
    """Return the words of an answer by their address."""
    return {block.address + offset: word for offset, word in enumerate(answer)}


def _folder() -> Traversable:
    return files("instrument_agent.drivers") / "profiles"
