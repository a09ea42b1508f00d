"""Power meters that speak Modbus, RTU or TCP."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from instrument_agent.core.errors import ConfigError, DeviceUnavailable
from instrument_agent.core.readings import Channel, Value
from instrument_agent.drivers.modbus_line import Line, Question, serial_line, tcp_line
from instrument_agent.drivers.registers import Profile, blocks, decode, load_profile, words_at
from instrument_agent.i18n import _


@dataclass
class ModbusDriver:
    """A meter with a known register profile, on a serial ``port`` (RTU) or at a ``host`` (TCP)."""

    profile: str = "eastron-sdm120"
    unit_id: int = field(default=1, metadata={"low": 1, "high": 247})
    port: str = ""
    baud: int = field(default=2400, metadata={"low": 300, "high": 921600})
    parity: str = field(default="N", metadata={"choices": ("N", "E", "O")})
    stop_bits: int = field(default=1, metadata={"choices": (1, 2)})
    host: str = ""
    tcp_port: int = field(default=502, metadata={"low": 1, "high": 65535})

    def __post_init__(self) -> None:
        if bool(self.port) == bool(self.host):
            raise ConfigError(
                _("a Modbus meter needs either a port or a host"),
                _('port = "/dev/serial/by-id/..." for a serial adapter, host = "192.0.2.10" for Modbus TCP'),
            )
        self._profile: Profile = load_profile(self.profile)
        self._blocks = blocks(self._profile)

    @property
    def channels(self) -> Sequence[Channel]:
        """The quantities of the profile."""
        return [register.channel for register in self._profile.registers]

    def open(self) -> None:
        """Open the line, if no other meter on it has done so."""
        self._line().open(timeout_s=1.0)

    def read(self, timeout_s: float) -> Mapping[str, Value]:
        """Read all registers of the profile; a block the meter refuses gives no channels.

        Raises:
            DeviceUnavailable: no proper answer, or the meter (or the gateway before it) refuses every block.
        """
        deadline_s = time.monotonic() + timeout_s
        words: dict[int, int] = {}
        for block in self._blocks:
            question = Question(self.unit_id, self._profile.function, block.address, block.count)
            answer = self._line().ask(question, deadline_s)
            if answer is not None:
                words |= words_at(block, answer)
        if not words:
            raise DeviceUnavailable(
                _("unit {unit} refuses every register of {profile}").format(unit=self.unit_id, profile=self.profile),
                _("check the profile and the unit id, and behind a gateway that the meter itself is connected"),
            )
        return decode(self._profile.registers, words)

    def close(self) -> None:
        """Close the line; the other meters on it open it again when they need it."""
        self._line().close()

    def _line(self) -> Line:
        if self.port:
            return serial_line(self.port, self.baud, self.parity, self.stop_bits)
        return tcp_line(self.host, self.tcp_port)
