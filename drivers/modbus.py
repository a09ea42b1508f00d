"""Power meters and other devices that speak Modbus, RTU or TCP."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from instrument_agent.core.errors import DeviceUnavailable
from instrument_agent.core.readings import Channel, Value
from instrument_agent.drivers.block_reads import Block, blocks, without_gaps
from instrument_agent.drivers.modbus_line import Asked, Question, rtu_over_tcp_line, serial_line, tcp_line
from instrument_agent.drivers.profile_file import (
    BAUD,
    PARITY,
    STOP_BITS,
    Profile,
    check_profile,
    load_profile,
    read_profile,
)
from instrument_agent.drivers.registers import RATIOS, Register, decode
from instrument_agent.i18n import _
from instrument_agent.tables.mistakes import Unfit, check_all, together

DEFAULT_PROFILE = "eastron-sdm120"
RATIO = {"low": 0.001, "high": 100_000}


@dataclass
class ModbusDriver:
    """A device on a serial ``port`` (RTU) or at a ``host`` (Modbus TCP, or RTU frames over TCP).

    What stands where in it says a ``profile`` that ships with the product, the technician's own ``profile_file``, or
    ``registers`` in the config file. ``baud``, ``parity`` and ``stop_bits`` are those of the profile where they are
    not given; so are the ratios of the transformers (which some meters can be asked for), 1 where nobody knows.
    ``line`` is used instead of opening one, if it is given.
    """

    profile: str = field(default=DEFAULT_PROFILE, metadata={"check": check_profile})
    profile_file: Path | None = None
    registers: list[Register] = field(default_factory=list)
    ct_ratio: float | None = field(default=None, metadata=RATIO)
    vt_ratio: float | None = field(default=None, metadata=RATIO)
    unit_id: int = field(default=1, metadata={"low": 1, "high": 247})
    port: str = ""
    baud: int | None = field(default=None, metadata=BAUD)
    parity: str | None = field(default=None, metadata=PARITY)
    stop_bits: int | None = field(default=None, metadata=STOP_BITS)
    host: str = ""
    tcp_port: int = field(default=502, metadata={"low": 1, "high": 65535})
    rtu_over_tcp: bool = False
    line: Asked | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        check_all(self._check_way, self._settle)

    def _check_way(self) -> None:
        if bool(self.port) == bool(self.host):
            raise Unfit(
                _("a Modbus meter needs either a port or a host"),
                _('port = "/dev/serial/by-id/..." for a serial adapter, host = "192.0.2.10" for Modbus TCP'),
                at=("host",) if self.host else (),
            )
        if self.port and self.rtu_over_tcp:
            raise Unfit(_("goes with a host, not with a port"), at=("rtu_over_tcp",))

    def _settle(self) -> None:
        """Work out from the profile whatever is not given."""
        profile = self._known()
        if self.port:
            serial = profile.serial
            self.baud = serial.baud if self.baud is None else self.baud
            self.parity = serial.parity if self.parity is None else self.parity
            self.stop_bits = serial.stop_bits if self.stop_bits is None else self.stop_bits
        self._ratios = self._given_ratios(profile)
        self._registers = [item for item in profile.registers if item.channel not in self._ratios]
        self._blocks = blocks(self._registers, profile.max_registers, profile.max_gap)

    @property
    def channels(self) -> Sequence[Channel]:
        """The quantities and states of the profile."""
        return [register.as_channel() for register in self._registers]

    def open(self) -> None:
        """Open the port, if no other meter on it has done so; a connection is made by a read, within its time."""
        if self.port:
            self._line().open(timeout_s=0.0)

    def read(self, timeout_s: float) -> Mapping[str, Value]:
        """Read all registers of the profile; what the meter refuses gives no channels.

        Raises:
            DeviceUnavailable: no proper answer, or the meter (or the gateway before it) refuses every block.
        """
        return decode(self._registers, self.read_words(timeout_s), self._ratios)

    def read_words(self, timeout_s: float) -> dict[tuple[int, int], int]:
        """Return the words of all registers of the profile as they are read, by function and address.

        Raises:
            DeviceUnavailable: as for ``read``.
        """
        deadline_s = time.monotonic() + timeout_s
        words: dict[tuple[int, int], int] = {}
        try:
            for block in self._blocks:
                self._ask_whole(block, deadline_s, words)
        except DeviceUnavailable as error:
            if words and isinstance(error.__cause__, TimeoutError):
                raise self._too_slow(timeout_s) from error
            raise
        if not words:
            raise DeviceUnavailable(
                _("unit {unit} refuses every register of {profile}").format(unit=self.unit_id, profile=self._name()),
                _("check the profile and the unit id, and behind a gateway that the meter itself is connected"),
            )
        return words

    def ask(self, question: Question, timeout_s: float) -> list[int] | None:
        """Ask any unit on this line; None if it refuses.

        Raises:
            DeviceUnavailable: no proper answer.
        """
        return self._line().ask(question, time.monotonic() + timeout_s)

    def close(self) -> None:
        """Close the line; the other meters on it open it again when they need it."""
        self._line().close()

    def _known(self) -> Profile:
        """Return what is known of the device, from the one place that says it."""
        said = {
            "profile": self.profile != DEFAULT_PROFILE,
            "profile_file": self.profile_file is not None,
            "registers": bool(self.registers),
        }
        places = [key for key, is_said in said.items() if is_said]
        if len(places) > 1:
            raise Unfit(
                _("profile, profile_file and registers exclude each other"),
                _("keep the one that is meant"),
                at=(places[0],),
            )
        if self.profile_file is not None:
            return read_profile(self.profile_file)
        if not self.registers:
            return load_profile(self.profile)
        try:
            return Profile(register=self.registers)
        except Unfit as unfit:
            wrong = (unfit, *unfit.others)
            raise together([Unfit(item.problem, item.hint, ("registers", *item.at[1:])) for item in wrong]) from None

    def _given_ratios(self, profile: Profile) -> dict[str, float]:
        """Return the ratios that need not be asked for: the config's, and 1 where the meter does not know either."""
        factors = {factor for item in profile.registers for factor in item.factors}
        asked = {item.channel for item in profile.registers}
        given: dict[str, float] = {}
        wrong: list[Unfit] = []
        for name, ratio in zip(RATIOS, (self.ct_ratio, self.vt_ratio), strict=True):
            if ratio is not None and name not in factors:
                hint = _("what {profile} measures needs no such factor: leave this key out")
                unfit = Unfit(_("the meter has multiplied already"), hint.format(profile=self._name()), at=(name,))
                wrong.append(unfit)
            if ratio is not None or name not in asked:
                given[name] = 1.0 if ratio is None else float(ratio)
        if wrong:
            raise together(wrong)
        return given

    def _ask_whole(self, block: Block, deadline_s: float, words: dict[tuple[int, int], int]) -> None:
        """Note the words of one block, read in parts if the device refuses the whole."""
        if self._ask(block, deadline_s, words):
            return
        # Some meters refuse a read over registers they do not have, and answer when it leaves them out.
        parts = without_gaps(block, self._registers)
        for part in parts if len(parts) > 1 else ():
            self._ask(part, deadline_s, words)

    def _too_slow(self, timeout_s: float) -> DeviceUnavailable:
        problem = _("unit {unit} answers, but not all of {profile} within {timeout_s:.2f} s")
        return DeviceUnavailable(
            problem.format(unit=self.unit_id, profile=self._name(), timeout_s=timeout_s),
            _("make timeout_s longer, or the baud rate higher: at 1200 baud a reading may take more than a second"),
        )

    def _ask(self, block: Block, deadline_s: float, words: dict[tuple[int, int], int]) -> bool:
        """Note the words of one block and tell whether the device did not refuse it."""
        question = Question(self.unit_id, block.function, block.address, block.count)
        answer = self._line().ask(question, deadline_s)
        for offset, word in enumerate(answer or ()):
            words[block.function, block.address + offset] = word
        return answer is not None

    def _name(self) -> str:
        if self.registers:
            return "registers"
        return self.profile if self.profile_file is None else self.profile_file.name

    def _line(self) -> Asked:
        if self.line is not None:
            return self.line
        if self.port:
            return serial_line(self.port, self.baud or 0, self.parity or "", self.stop_bits or 0)
        return (rtu_over_tcp_line if self.rtu_over_tcp else tcp_line)(self.host, self.tcp_port)
