"""Opens a serial port for this box alone, and says what to do where that fails."""

import errno
import termios
from pathlib import Path

import serial

from instrument_agent.core.errors import DeviceUnavailable
from instrument_agent.i18n import _
from instrument_agent.rights import device_hint


def open_port(  # noqa: PLR0913  # a line has this many settings
    name: str, baud: int, parity: str, stop_bits: int, *, data_bits: int = 8, dtr: bool = True, rts: bool = True
) -> serial.Serial:
    """Open a port exclusively, for reads that never block.

    ``dtr`` and ``rts`` are what the two lines are set to before anything else happens on the port. Linux itself
    raises both for the moment of opening; only a udev rule for the port can keep it from that.

    Raises:
        DeviceUnavailable: it is not there, may not be opened, somebody else has it, or it does not know a setting.
    """
    try:
        port = serial.Serial(
            baudrate=baud,
            bytesize=data_bits,
            parity=parity,
            stopbits=stop_bits,
            timeout=0,
            write_timeout=1,
            exclusive=True,
        )
        port.dtr, port.rts = dtr, rts
        port.port = name
        port.open()
        _check_parity(port, parity)
    except (OSError, ValueError, termios.error) as error:
        raise DeviceUnavailable(
            _("the port {port} cannot be opened: {error}").format(port=name, error=error),
            _open_hint(Path(name), error),
        ) from error
    return port


def _check_parity(port: serial.Serial, parity: str) -> None:
    """Close the port again if it does not have this parity.

    Drivers drop what they do not know, and the C library of Debian calls that an error (EINVAL) only where nothing
    else, such as the baud rate, has changed with it.
    """
    flags = termios.tcgetattr(port.fileno())[2]
    found = "N" if not flags & termios.PARENB else "O" if flags & termios.PARODD else "E"
    if found != parity:
        port.close()
        raise ValueError(_("the adapter does not know parity {parity}").format(parity=parity))


def _open_hint(port: Path, error: Exception) -> str:
    number = getattr(error, "errno", None) or (*error.args, None)[0]  # termios.error has no errno of its own
    if isinstance(error, ValueError) or number == errno.EINVAL:
        return _("the adapter cannot be set like this: choose other settings, on the device too, or another adapter")
    if number in (errno.EAGAIN, errno.EBUSY):  # locked by flock, or by TIOCEXCL
        return _("another program or instrument uses this port: sudo fuser -v {port}").format(port=port)
    if number == errno.EPERM:  # the cgroup of the service knows the drivers that were there when it was started
        return _("if its adapter was plugged in for the first time: sudo systemctl restart instrument-agent")
    return (
        device_hint(port)
        if number == errno.EACCES
        else _("check that the adapter is plugged in: ls /dev/serial/by-id/")
    )
