"""The same over TLS: who is trusted, and that the deadline holds there too."""

import shutil
import ssl
import subprocess
import time
from pathlib import Path

import pytest
from scripted_platform import Platform, Raw

from instrument_agent.core.errors import PlatformUnavailable
from instrument_agent.uplink import deadline
from instrument_agent.uplink.http import HttpTransport

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="makes its certificate with openssl")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("tls")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    request = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=platform"
    files = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*request.split(), *files], check=True, capture_output=True)
    return certificate, key


@pytest.fixture
def secure(platform: Platform, certificate: tuple[Path, Path]) -> Platform:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    plain = platform.server.socket
    platform.server.socket = context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False)
    platform.url = platform.url.replace("http:", "https:")
    return platform


def test_a_platform_whose_certificate_is_trusted_is_spoken_to(secure: Platform, certificate: tuple[Path, Path]) -> None:
    transport = HttpTransport(secure.url, "box-1", None, certificate[0])
    assert transport.watermark().body["epochs"] == []
    assert transport.watermark().body["epochs"] == []
    transport.close()


def test_another_one_hears_nothing_of_us(secure: Platform, tmp_path: Path) -> None:
    credential = tmp_path / "credential"
    credential.write_text("s3cret")
    transport = HttpTransport(secure.url, "box-1", credential, None)
    with pytest.raises(PlatformUnavailable) as caught:
        transport.heartbeat({})
    said = "no answer from the platform: its certificate is not accepted: self-signed certificate"
    assert str(caught.value).replace("self signed", "self-signed") == said
    transport.close()
    assert secure.requests == []


def test_a_ca_file_that_is_not_there_is_said(secure: Platform, tmp_path: Path) -> None:
    transport = HttpTransport(secure.url, "box-1", None, tmp_path / "missing.pem")
    with pytest.raises(PlatformUnavailable, match=r"missing\.pem"):
        transport.watermark()
    transport.close()


def test_a_reply_that_dribbles_in_is_given_up_at_the_deadline_here_too(
    secure: Platform, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deadline, "DEADLINE_S", 0.4)
    secure.script.append(Raw((b"HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n", *([b" "] * 200)), pause_s=0.05))
    transport = HttpTransport(secure.url, "box-1", None, certificate[0])
    start_s = time.monotonic()
    with pytest.raises(PlatformUnavailable):
        transport.watermark()
    assert time.monotonic() - start_s < 0.8
    assert transport.watermark().body["epochs"] == []
    transport.close()
