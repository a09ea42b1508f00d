"""Opens a serial port for this box alone, and says what to do where that fails."""

import errno
import stat
import termios
from pathlib import Path

import serial

from instrument_agent.core.errors import DeviceUnavailable
from instrument_agent.i18n import _
from instrument_agent.rights import group_of


def open_port(  # noqa: PLR0913  # a line has this many settings
    name: str, baud: int, parity: str, stop_bits: int, *, data_bits: int = 8, dtr: bool = True, rts: bool = True
) -> serial.Serial:
    """Open a port exclusively, for reads that never block.

    ``dtr`` and ``rts`` are what the two lines are set to before anything else happens on the port. Linux itself
    raises both for the moment of opening; only a udev rule for the port can keep it from that.

    Raises:
        DeviceUnavailable: it is not there, may not be opened, or somebody else has it.
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
    except (OSError, ValueError, termios.error) as error:
        raise DeviceUnavailable(
            _("the port {port} cannot be opened: {error}").format(port=name, error=error),
            _open_hint(Path(name), error),
        ) from error
    return port


def _open_hint(port: Path, error: Exception) -> str:
    number = getattr(error, "errno", None)
    if number in (errno.EAGAIN, errno.EBUSY):  # locked by flock, or by TIOCEXCL
        return _("another program or instrument uses this port: sudo fuser -v {port}").format(port=port)
    if number != errno.EACCES:
        return _("check that the adapter is plugged in: ls /dev/serial/by-id/")
    group = group_of(port)
    shared = stat.S_IRGRP | stat.S_IWGRP
    if not group or port.stat().st_mode & shared != shared:
        return _("no group may use this port: share it by a udev rule")
    return _(
        "join the group of the port: sudo usermod -aG {group} instrument-agent,"
        " then sudo systemctl restart instrument-agent"
    ).format(group=group)
