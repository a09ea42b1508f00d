"""Modbus registers: what stands where in a device, and what its words mean. Pure."""

import math
import re
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from instrument_agent.core.readings import Channel, Value
from instrument_agent.drivers.units import check_ending
from instrument_agent.i18n import _
from instrument_agent.tables.mistakes import Unfit, check_all, shortened

BIT_FUNCTIONS = (1, 2)
"""Coils and discrete inputs; 3 and 4 are holding and input registers (Modbus application protocol V1.1b3, 6)."""

WORDS = {
    "bit": 1,
    "uint16": 1,
    "int16": 1,
    "uint32": 2,
    "int32": 2,
    "float32": 2,
    "uint64": 4,
    "int64": 4,
    "float64": 4,
}
RATIOS = ("ct_ratio", "vt_ratio")
"""Channels by which a meter says how often its transformers divide; what it measures behind them names its factors."""

LAST_ADDRESS = 0xFFFF
WORD_BITS = 16

Words = Mapping[tuple[int, int], int]
"""Words (or bits) that were read, by function and address."""

_CHANNEL = re.compile(r"[a-z][a-z0-9_]{0,63}")
_CODE = re.compile(r"-?[0-9]{1,20}")


def check_channel(name: str) -> None:
    """Check the name of a channel: it becomes a key in records."""
    if not _CHANNEL.fullmatch(name):
        raise Unfit(_("must be small letters, digits and underscores, not {value}").format(value=shortened(name)))


def check_states(states: object) -> None:
    """Check a table from the code that is read to the text that stands for it."""
    hint = 'states = { 0 = "idle", 1 = "measuring" }'
    if not isinstance(states, dict) or not all(isinstance(text, str) and text for text in states.values()):
        raise Unfit(_("must be a table from codes to texts"), hint)
    for code in states:
        if not _CODE.fullmatch(code):
            raise Unfit(_("{code} is no code: codes are whole numbers").format(code=shortened(code)), hint)


def check_factors(factors: object) -> None:
    """Check which transformer ratios a quantity is multiplied by."""
    if not isinstance(factors, list) or not all(factor in RATIOS for factor in factors):
        raise Unfit(_("must be a list of {names}").format(names=", ".join(RATIOS)))


def check_texts(texts: object) -> None:
    """Check a list of texts."""
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise Unfit(_("must be a list of texts in quotes"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Register:
    """A quantity or a raw state; the fields are the keys of its table in a profile or in the config file.

    It stands at ``address`` (0-based, as on the wire) and the words behind it, where ``function`` (1 to 4) reads it.
    The quantity is raw * ``scale`` in ``unit`` (UCUM), times the ``factors`` the meter leaves out; outside ``low`` to
    ``high`` it is not credible. ``no_value`` holds the raw values (hex, most significant word first) by which the
    device says that it has none; NaN is always one. With ``states`` it is a raw state: the text of its code.
    """

    channel: str = field(metadata={"check": check_channel})
    address: int = field(metadata={"low": 0, "high": LAST_ADDRESS})
    type: str = field(metadata={"choices": tuple(WORDS)})
    function: int | None = field(default=None, metadata={"choices": (1, 2, 3, 4)})
    order: str = field(default="high_first", metadata={"choices": ("high_first", "low_first")})
    scale: float = 1.0
    unit: str = "1"
    low: float | None = None
    high: float | None = None
    no_value: list[str] = field(default_factory=list, metadata={"check": check_texts})
    states: dict[str, str] | None = field(default=None, metadata={"check": check_states})
    factors: list[str] = field(default_factory=list, metadata={"check": check_factors})

    def __post_init__(self) -> None:
        meaning = (
            (lambda: check_ending(self.channel, self.unit), self._check_range)
            if self.states is None
            else (self._check_codes,)
        )
        check_all(self._check_place, self._check_scale, self._check_no_value, *meaning)

    @property
    def end(self) -> int:
        """The address behind the last word."""
        return self.address + WORDS[self.type]

    def as_channel(self) -> Channel:
        """Return it as a driver tells of it; a raw state has neither unit nor range."""
        if self.states is not None:
            return Channel(self.channel, "", -math.inf, math.inf, tuple(self.states.values()))
        low = 0.0 if self.low is None else self.low  # of a bit
        return Channel(self.channel, self.unit, low, 1.0 if self.high is None else self.high)

    def value(self, words: Sequence[int]) -> Value:
        """Return what its words mean: a number, a raw state, or None where the device has none."""
        ordered = words if self.order == "high_first" else [*reversed(words)]
        if self.type == "bit":
            raw = ordered[0]
            return float(raw) if self.states is None else self.states.get(str(raw), str(raw))
        data = struct.pack(f">{len(ordered)}H", *ordered)
        if any(data == bytes.fromhex(pattern) for pattern in self.no_value):
            return None
        if self.type.startswith("float"):
            number: float = struct.unpack(">f" if self.type == "float32" else ">d", data)[0]
            return number * self.scale if math.isfinite(number) else None
        code = int.from_bytes(data, "big", signed=self.type.startswith("int"))
        # A code nobody explained is handed on as it is: nothing is made up, and nothing is lost.
        return code * self.scale if self.states is None else self.states.get(str(code), str(code))

    def _check_place(self) -> None:
        if self.function is not None and (self.type == "bit") != (self.function in BIT_FUNCTIONS):
            problem = _("functions 1 and 2 read bits, 3 and 4 all other types; this is type {type}, function {number}")
            raise Unfit(problem.format(type=self.type, number=self.function), at=("type",))
        if self.end > LAST_ADDRESS + 1:
            raise Unfit(_("the last address is {last}").format(last=LAST_ADDRESS), at=("address",))

    def _check_scale(self) -> None:
        if self.scale == 0:
            raise Unfit(_("must not be 0"), at=("scale",))

    def _check_range(self) -> None:
        if self.low is None or self.high is None:
            if self.type == "bit" and self.low is self.high:
                return
            missing = "low" if self.low is None else "high"
            hint = _("what lies outside low and high is not believed; a register of codes needs states instead")
            raise Unfit(_("this key is required"), hint, at=(missing,))
        if not self.low < self.high:
            raise Unfit(_("must be less than high ({high})").format(high=self.high), at=("low",))

    def _check_no_value(self) -> None:
        digits = WORDS[self.type] * WORD_BITS // 4
        for pattern in self.no_value:
            if not re.fullmatch(f"[0-9A-Fa-f]{{{digits}}}", pattern):
                problem = _("{value} is not {count} hexadecimal digits, as type {type} needs")
                raise Unfit(
                    problem.format(value=shortened(pattern), count=digits, type=self.type),
                    _('for example "FFFF"; one such text for each value that means "no value"'),
                    at=("no_value",),
                )

    def _check_codes(self) -> None:
        if self.type.startswith("float"):
            raise Unfit(_("a state is a whole number, not {type}").format(type=self.type), at=("type",))
        bits = 1 if self.type == "bit" else WORDS[self.type] * WORD_BITS
        low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if self.type.startswith("int") else (0, (1 << bits) - 1)
        for code in self.states or ():
            if not low <= int(code) <= high or code != str(int(code)):
                problem = _("type {type} never reads {code}")
                raise Unfit(problem.format(type=self.type, code=shortened(code)), at=("states", code))


def decode(registers: Iterable[Register], words: Words, ratios: Mapping[str, float]) -> dict[str, Value]:
    """Return a value for each register whose words were read.

    ``ratios`` are the factors known beforehand; the others are read from the meter itself. What is behind a
    transformer whose ratio was not read is not known either, and left out.
    """
    wanted = list(registers)
    plain: dict[str, Value] = {}
    for register in wanted:
        places = [(register.function or 0, address) for address in range(register.address, register.end)]
        if all(place in words for place in places):
            plain[register.channel] = register.value([words[place] for place in places])
    known: dict[str, Value] = dict(ratios)
    for register in wanted:
        if register.channel in RATIOS and register.channel in plain:
            known[register.channel] = _credible(register, plain[register.channel])
    values: dict[str, Value] = {}
    for register in wanted:
        if register.channel in plain and all(factor in known for factor in register.factors):
            values[register.channel] = _multiplied(plain[register.channel], [known[name] for name in register.factors])
    return values


def _credible(register: Register, ratio: Value) -> Value:
    channel = register.as_channel()
    return ratio if isinstance(ratio, float) and channel.low <= ratio <= channel.high else None


def _multiplied(value: Value, ratios: Sequence[Value]) -> Value:
    for ratio in ratios:
        value = value * ratio if isinstance(value, float) and isinstance(ratio, float) else None
    return value
