"""The four members of a driver."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from instrument_agent.core.readings import Channel, Value


class Driver(Protocol):
    """One sensor of one instrument.

    A driver class is a dataclass whose fields are its options in the config file (units in their names), so that
    `check` can name a wrong key without opening anything. Instruments whose options name the same ``port``, or
    the same ``host`` and ``tcp_port``, share one bus and are read one after the other by one thread.

    Besides the four members it may have a property ``warnings``: sentences that `check` shows the technician, for
    options that are allowed and yet deserve a second look. A class variable ``alone`` names the options that together
    name what it cannot share, as ``("pin",)``: two instruments that give them the same values are a mistake.
    """

    @property
    def channels(self) -> Sequence[Channel]:
        """What this driver can read."""

    def open(self) -> None:
        """Open the port exclusively.

        Raises:
            DeviceUnavailable: it is not there, or somebody else has it.
        """

    def read(self, timeout_s: float) -> Mapping[str, Value]:
        """Read once and return within ``timeout_s``.

        Returns:
            A value for each channel read; ``None`` where the device answered nonsense; nothing for a channel that
            was not read this time.

        Raises:
            DeviceUnavailable: the device did not answer in time, or the transport failed.
        """

    def close(self) -> None:
        """Give the port back; may be called twice."""
