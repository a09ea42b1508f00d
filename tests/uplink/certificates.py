"""Certificates for tests of TLS, made with the openssl command."""

import ssl
import subprocess
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from scripted_platform import Platform


@dataclass(frozen=True)
class Certified:
    """A certificate and its key, as PEM files."""

    certificate: Path
    key: Path


class Authority:
    """Issues certificates, good or not."""

    def __init__(self, folder: Path, name: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._serial = count(1)
        self._name = name
        self.own = Certified(folder / "authority.pem", folder / "authority.key")
        _openssl(
            *("req", "-x509", *NEW_KEY, "-days", "2", "-subj", f"/CN={name}"),
            *("-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=keyCertSign"),
            *("-keyout", str(self.own.key), "-out", str(self.own.certificate)),
        )

    def issue(self, name: str, address: str, days: int = 2) -> Certified:
        """Return a certificate for ``address`` (subjectAltName); negative days make one that has expired."""
        made = Certified(self._folder / f"{name}.pem", self._folder / f"{name}.key")
        request, extensions = self._folder / f"{name}.csr", self._folder / f"{name}.ext"
        _openssl("req", "-new", *NEW_KEY, "-subj", f"/CN={name}", "-keyout", str(made.key), "-out", str(request))
        extensions.write_text(f"subjectAltName={address}\n")
        _openssl(
            *("x509", "-req", "-in", str(request), "-CA", str(self.own.certificate), "-CAkey", str(self.own.key)),
            *("-days", str(days), "-set_serial", str(next(self._serial)), "-extfile", str(extensions)),
            *("-out", str(made.certificate)),
        )
        return made


def serving(certified: Certified, clients: Certified | None = None) -> ssl.SSLContext:
    """Return what a server speaks TLS with; ``clients`` is the authority it wants its clients to be known to."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certified.certificate, certified.key)
    if clients is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(clients.certificate)
    return context


def secured(platform: Platform, context: ssl.SSLContext) -> Platform:
    """Let a platform that has begun to listen speak TLS."""
    plain = platform.server.socket
    platform.server.socket = context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False)
    platform.url = platform.url.replace("http:", "https:")
    return platform


NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)
