"""Which devices the installed service may open: what udev and systemd let it, with a real port of this machine."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from installed_box import OLD, configuration, mock, with_settings
from nspawn import CONFIG, UNIT, Box

PORT = Path("/sys/class/tty/ttyS0")
SERIAL = (4, 64)  # ttyS0 (the kernel's devices.txt)
FUSE = (10, 229)  # no port, but on every Linux


@pytest.fixture(scope="module")
def box(tree: Path, stick: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    with Box(tree, tmp_path_factory.mktemp("devices") / "log", {"/stick": stick}) as box:
        box.write(CONFIG, configuration({"first": mock(100.0)}))
        box.install(OLD)
        yield box


def opened_by_the_service(box: Box, path: str) -> bool:
    """Say whether a process with all limits of the service can open a device."""
    code = f"import os; os.close(os.open('{path}', os.O_RDWR | os.O_NONBLOCK | os.O_NOCTTY))"
    with_settings(box, f'ExecStartPre=-/usr/bin/python3 -c "{code}"', "Restart=no")
    box.do("systemctl", "restart", UNIT)
    return "status=0" in box.do("systemctl", "show", "--property=ExecStartPre", UNIT)


def test_a_port_that_appears_is_opened_to_the_agent_whatever_group_owns_it(box: Box) -> None:
    if not PORT.exists():
        pytest.skip("this machine has no serial port ttyS0 to try it with")
    box.do("mknod", "--mode=0660", "/dev/ttyS0", "c", *map(str, SERIAL))
    assert not opened_by_the_service(box, "/dev/ttyS0")
    # udev does not run in a container by itself, since /sys is not its own; kernel events do come through.
    box.do("/lib/systemd/systemd-udevd", "--daemon")
    box.until(lambda: box.run("udevadm", "control", "--ping").returncode == 0, "udev")
    (PORT / "uevent").write_text("change")
    box.until(lambda: "instrument-agent:rw-" in box.do("getfacl", "/dev/ttyS0"), "the rule at work")
    assert opened_by_the_service(box, "/dev/ttyS0")
    rights = box.do("stat", "-c", "%G", "/dev/ttyS0").strip()
    assert rights != "instrument-agent", "who used the port by its group must still be able to"


def test_what_is_no_port_stays_closed_even_if_everybody_may_open_it(box: Box) -> None:
    box.do("mknod", "--mode=0666", "/dev/anything", "c", *map(str, FUSE))
    box.do("python3", "-c", "open('/dev/anything', 'r+b', 0)")
    unlimited = ("systemd-run", "--quiet", "--wait", "--property=DevicePolicy=closed", "python3", "-c")
    if box.run(*unlimited, "open('/dev/anything', 'r+b', 0)").returncode == 0:
        pytest.skip("this kernel does not let a container enforce DevicePolicy=")
    assert not opened_by_the_service(box, "/dev/anything")
