"""Tells systemd how the service is (sd_notify(3)); silent where there is no systemd."""

import logging
import os
import socket
import time

log = logging.getLogger(__name__)


class Notifier:
    """Sends state changes to the socket systemd named, if it did."""

    def __init__(self) -> None:
        self._address = os.environ.get("NOTIFY_SOCKET", "")

    def ready(self) -> None:
        """Say that start-up is complete."""
        self._send("READY=1")

    def reloading(self) -> None:
        """Say that the config is being taken up anew; ``ready`` follows."""
        # The time is what systemd 253 and later want to see with it; earlier ones take no notice of it.
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """Say that the service is going down on purpose."""
        self._send("STOPPING=1")

    def alive(self) -> None:
        """Feed the watchdog."""
        self._send("WATCHDOG=1")

    def status(self, sentence: str) -> None:
        """Show one line in ``systemctl status``."""
        self._send(f"STATUS={sentence}")

    def _send(self, message: str) -> None:
        if not self._address:
            return
        # A leading @ stands for the abstract name space.
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
                sender.connect(address)
                sender.sendall(message.encode())
        except OSError as error:
            # Watching goes on even when nobody listens; if it was systemd, its watchdog will say so.
            log.debug("systemd was not told %s: %s", message, error)
