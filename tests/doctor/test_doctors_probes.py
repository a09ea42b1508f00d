"""What the probes find in files, programs and servers that are really there."""

import os
import shutil
import socket
import ssl
import stat
import subprocess
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from far_sides import HttpServer

from instrument_agent.config import BoxConfig, DestinationConfig
from instrument_agent.core.readings import NS_PER_S
from instrument_agent.doctor import credentials, machine, platforms, service
from instrument_agent.doctor.machine import Places


@pytest.fixture
def places(tmp_path: Path) -> Places:
    """A system that tells nothing yet."""
    for name in ("sys", "proc/self", "etc"):
        (tmp_path / name).mkdir(parents=True)
    return Places(tmp_path / "sys", tmp_path / "proc", tmp_path / "etc")


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Put a shell script on the path under the name of a program; no other program is there."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def put(name: str, script: str) -> None:
        path = folder / name
        path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        path.chmod(0o755)

    return put


def written(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def card(places: Places, state_dir: Path, mount: str = "rw,relatime") -> str:
    """Make the kernel's files of an SD card with two partitions, the state directory on the second."""
    number = state_dir.stat().st_dev
    major_minor = f"{os.major(number)}:{os.minor(number)}"
    disk = places.sysfs / "devices/mmc0/block/mmcblk0"
    written(disk / "mmcblk0p2" / "partition", "2\n")
    link = places.sysfs / "dev/block" / major_minor
    link.parent.mkdir(parents=True)
    link.symlink_to(disk / "mmcblk0p2")
    line = f"26 1 {major_minor} / / rw,noatime shared:1 - ext4 /dev/mmcblk0p2 {mount}\n"
    written(places.proc / "self/mountinfo", f"20 1 0:5 / /proc rw - proc proc ro\n{line}")
    return str(disk)


def test_the_kernel_is_asked_for_the_card_below_the_state_directory(places: Places, tmp_path: Path) -> None:
    disk = Path(card(places, tmp_path))
    written(places.sysfs / "fs/ext4/mmcblk0p2/errors_count", "3\n")
    written(disk / "device/life_time", "0x02 0x0a\n")
    written(disk / "device/pre_eol_info", "0x01\n")
    found = machine.card_below(tmp_path, places, try_it=True)
    assert (found.device, found.errors, found.life_time, found.pre_eol) == ("mmcblk0p2", 3, (2, 10), 1)
    assert (found.mount_options, found.refused) == (("relatime", "rw"), "")
    assert not (tmp_path / "probe").exists()


def test_a_card_that_takes_nothing_says_why(places: Places, tmp_path: Path) -> None:
    (tmp_path / "probe").mkdir()  # where the trial file would be; not even root can write there
    assert machine.card_below(tmp_path, places, try_it=True).refused == "Is a directory"
    assert machine.card_below(tmp_path, places, try_it=False).refused == ""


def test_a_file_system_mounted_read_only_is_seen(places: Places, tmp_path: Path) -> None:
    card(places, tmp_path, "ro,errors=remount-ro")
    assert "ro" in machine.card_below(tmp_path, places, try_it=False).mount_options


def test_a_kernel_that_tells_nothing_is_no_error(places: Places, tmp_path: Path) -> None:
    found = machine.card_below(tmp_path, places, try_it=False)
    assert (found.device, found.errors, found.life_time, found.pre_eol) == ("", None, (), None)


def test_room_counts_the_database_with_its_log_and_nothing_else(tmp_path: Path) -> None:
    for name, size in (("buffer.db", 100), ("buffer.db-wal", 50), ("ballast", 4000)):
        (tmp_path / name).write_bytes(b"x" * size)
    found = machine.room(tmp_path, None)
    assert found.database_bytes == 150
    free = shutil.disk_usage(tmp_path).free
    assert abs(found.free_bytes - free) < 1_000_000_000


@pytest.mark.parametrize(("text", "bits"), [("50005\n", 0x50005), ("0x0\n", 0), ("", None)])
@pytest.mark.usefixtures("program")
def test_the_kernel_tells_of_low_voltage(places: Places, text: str, bits: int | None) -> None:
    written(places.sysfs / "devices/platform/soc/soc:firmware/get_throttled", text)
    assert machine.throttled(places) == bits


@pytest.mark.parametrize(
    ("script", "bits"),
    [
        ('[ "$1" = get_throttled ] && echo throttled=0x50000', 0x50000),
        ("echo VCHI initialization failed", None),
        ("echo throttled=0x1; exit 255", None),
    ],
)
def test_else_the_tool_of_the_board_tells(
    places: Places, program: Callable[[str, str], None], script: str, bits: int | None
) -> None:
    program("vcgencmd", script)
    assert machine.throttled(places) == bits


def test_a_program_that_hangs_is_given_up(program: Callable[[str, str], None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "ANSWER_WITHIN_S", 0.2)
    program("vcgencmd", "echo late; exec /bin/sleep 20")
    assert machine.said_by("vcgencmd") == ""


def test_the_zone_of_the_system_is_where_localtime_leads(places: Places) -> None:
    assert machine.system_zone(places) == ""
    written(places.etc / "timezone", "Europe/Berlin\n")
    assert machine.system_zone(places) == "Europe/Berlin"
    zone = written(places.etc / "zoneinfo/Asia/Shanghai", "")
    (places.etc / "localtime").symlink_to(zone)
    assert machine.system_zone(places) == "Asia/Shanghai"


def test_systemd_is_asked_about_the_unit(program: Callable[[str, str], None]) -> None:
    program("systemctl", "echo LoadState=loaded; echo ActiveState=active; echo NRestarts=2")
    assert service.unit_facts() == {"LoadState": "loaded", "ActiveState": "active", "NRestarts": "2"}


@pytest.mark.usefixtures("program")
def test_without_systemd_nothing_is_said_of_the_unit() -> None:
    assert service.unit_facts() == {}


def test_the_mode_of_a_credential_is_seen_through_the_file(tmp_path: Path) -> None:
    path = written(tmp_path / "token", "s3cret")
    path.chmod(0o644)
    assert credentials.credential(path).mode == 0o644
    assert credentials.credential(tmp_path / "gone").mode is None
    assert credentials.credential(tmp_path / "gone").error == "No such file or directory"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


class _Watermark(BaseHTTPRequestHandler):
    """Knows one token."""

    def do_GET(self) -> None:
        good = self.headers["Authorization"] == "Bearer good"
        body = b'{"epochs": [], "server_time": "2026-11-22T00:00:00Z"}' if good else b'{"error": "who are you"}'
        self.send_response(200 if good else 401)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def platform() -> Iterator[HttpServer]:
    with HttpServer(_Watermark) as server:
        yield server


def reached(url: str, folder: Path, token: str, ca_file: Path | None = None) -> platforms.ReachFacts:
    credential = written(folder / "token", token)
    destination = DestinationConfig(name="province", url=url, credential_file=credential, ca_file=ca_file)
    return platforms.reach(destination, BoxConfig(id="box-1", state_dir=folder), None)


def test_a_platform_that_answers_is_reached(platform: HttpServer, tmp_path: Path) -> None:
    found = reached(platform.url, tmp_path, "good")
    assert (found.error, found.expires_ns) == ("", None)
    assert found.utc_ns == 1_795_305_600 * NS_PER_S


def test_a_credential_that_is_refused_says_so_without_showing_it(platform: HttpServer, tmp_path: Path) -> None:
    found = reached(platform.url, tmp_path, "b4d-t0ken")
    assert "401" in found.error
    assert "b4d-t0ken" not in found.error
    assert found.hint


def test_a_platform_that_is_gone_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    assert "connection refused" in reached(f"http://127.0.0.1:{port}", tmp_path, "good").error


@pytest.mark.skipif(shutil.which("openssl") is None, reason="makes its certificate with openssl")
def test_the_end_of_the_certificate_is_seen(platform: HttpServer, tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    request = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 5 -subj /CN=platform"
    files = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*request.split(), *files], check=True, capture_output=True)
    said = subprocess.run(
        ["openssl", "x509", "-enddate", "-noout", "-in", str(certificate)], check=True, capture_output=True, text=True
    ).stdout
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    plain = platform.server.socket
    platform.server.socket = context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False)
    url = platform.url.replace("http:", "https:")
    found = reached(url, tmp_path, "good", certificate)
    assert found.error == ""
    assert found.expires_ns == ssl.cert_time_to_seconds(said.strip().removeprefix("notAfter=")) * NS_PER_S
    unknown = reached(url, tmp_path, "good")
    assert "certificate is not accepted" in unknown.error
    assert "ca_file" in unknown.hint
