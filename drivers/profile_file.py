"""What is known of a model of meter: one TOML file each, ours in the folder ``profiles``, or the technician's own."""

import tomllib
from collections.abc import Container, Iterator
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from importlib.resources import as_file, files
from importlib.resources.abc import Traversable
from pathlib import Path

from instrument_agent.drivers.registers import WORDS, Register, check_texts
from instrument_agent.i18n import _
from instrument_agent.tables.binding import bind
from instrument_agent.tables.file import read_config_file
from instrument_agent.tables.mistakes import InvalidConfig, Notebook, Unfit, nearest, together

SUFFIX = ".toml"
MOST_REGISTERS = 125
"""In one answer (Modbus application protocol V1.1b3, 6.3)."""

BAUD = {"low": 300, "high": 921600}
PARITY = {"choices": ("N", "E", "O")}
STOP_BITS = {"choices": (1, 2)}
CONFIDENCE = {"choices": ("A", "B", "C", "")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Serial:
    """How a meter leaves its factory; without a source, as most do.

    ``confidence`` is A (the maker says so, or two sources agree), B (one good source), C (weak), or empty (none).
    """

    baud: int = field(default=9600, metadata=BAUD)
    parity: str = field(default="N", metadata=PARITY)
    stop_bits: int = field(default=1, metadata=STOP_BITS)
    confidence: str = field(default="", metadata=CONFIDENCE)


@dataclass(frozen=True, kw_only=True)
class Profile:
    """What is known of some models of one maker; the fields are the keys of the file.

    ``function`` is the Modbus function of all registers that name none. One read covers at most ``max_registers``,
    and reads over at most ``max_gap`` registers nobody asked for. ``aliases`` are further names of this profile,
    ``notes`` what a technician must know. ``confidence`` as for Serial.
    """

    maker: str = ""
    models: list[str] = field(default_factory=list, metadata={"check": check_texts})
    aliases: list[str] = field(default_factory=list, metadata={"check": check_texts})
    source: str = ""
    confidence: str = field(default="", metadata=CONFIDENCE)
    function: int | None = field(default=None, metadata={"choices": (1, 2, 3, 4)})
    max_registers: int = field(default=MOST_REGISTERS, metadata={"low": 1, "high": MOST_REGISTERS})
    max_gap: int = field(default=0, metadata={"low": 0, "high": MOST_REGISTERS})
    notes: list[str] = field(default_factory=list, metadata={"check": check_texts})
    serial: Serial = field(default_factory=Serial)
    register: list[Register]

    def __post_init__(self) -> None:
        if not self.register:
            raise Unfit(_("there is no register to read"), at=("register",))
        seen: set[str] = set()
        wrong: list[Unfit] = []
        for number, register in enumerate(self.register):
            wrong += [unfit.below(("register", number)) for unfit in self._wrong(register, seen)]
            seen.add(register.channel)
        if wrong:
            raise together(wrong)

    def _wrong(self, register: Register, seen: Container[str]) -> Iterator[Unfit]:
        """Yield what is wrong with a register, ``seen`` being the channels of those before it."""
        if register.channel in seen:
            yield Unfit(_("this channel is there twice"), at=("channel",))
        if WORDS[register.type] > self.max_registers:
            problem = _("type {type} does not fit into max_registers ({limit})")
            yield Unfit(problem.format(type=register.type, limit=self.max_registers), at=("type",))
        if register.function is None and self.function is None:
            hint = _("1 coils, 2 discrete inputs, 3 holding registers, 4 input registers")
            yield Unfit(_("this key is required"), hint, at=("function",))
        try:
            replace(register, function=register.function or self.function)
        except Unfit as unfit:
            yield unfit

    @cached_property
    def registers(self) -> tuple[Register, ...]:
        """All registers, each with its function."""
        return tuple(replace(item, function=item.function or self.function) for item in self.register)


def check_profile(name: str) -> None:
    """Check that a profile of this name ships with the product."""
    names = profile_names()
    if name not in names:
        known = _("known profiles: {names}").format(names=", ".join(names))
        hint = " ".join(part for part in (nearest(name, names), known) if part)
        raise Unfit(_("there is no meter profile {name}").format(name=name), hint)


def profile_names() -> list[str]:
    """Return the names of the profiles that ship with the product, aliases included, sorted."""
    return sorted([*_files(), *_aliases()])


def load_profile(name: str) -> Profile:
    """Return a profile that ships with the product by its name or an alias.

    Raises:
        Unfit: there is none of that name.
    """
    check_profile(name)
    with as_file(_files().get(name) or _aliases()[name]) as path:
        return read_profile(path)


def read_profile(path: Path) -> Profile:
    """Return the profile in a file.

    Raises:
        InvalidConfig: it cannot be used; ``mistakes`` lists everything that is wrong, by line.
    """
    file = read_config_file(path)
    book = Notebook(path, file.lines)
    values = bind(Profile, file.keys, (), book)
    if not book.mistakes:
        try:
            return Profile(**values)
        except Unfit as unfit:
            book.note_unfit((), unfit)
    raise InvalidConfig(book.mistakes)


@cache
def _files() -> dict[str, Traversable]:
    """Return our files by name; they come with the program and do not change while it runs."""
    folder = files("instrument_agent.drivers") / "profiles"
    return {file.name.removesuffix(SUFFIX): file for file in folder.iterdir() if file.name.endswith(SUFFIX)}


@cache
def _aliases() -> dict[str, Traversable]:
    found: dict[str, Traversable] = {}
    for file in _files().values():
        found |= dict.fromkeys(tomllib.loads(file.read_text(encoding="utf-8")).get("aliases", []), file)
    return found
