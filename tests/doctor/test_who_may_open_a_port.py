"""Which device files the agent opens, and whether its account may, as mode, group and access list say."""

import os
import struct
from pathlib import Path

import pytest

from instrument_agent.config import load_config
from instrument_agent.doctor import ports
from instrument_agent.doctor.ports import Account

STRANGER = Account("somebody", 54_321, frozenset({54_322}))


def allowed(path: Path, account: Account) -> bool:
    return ports.may_open(path.stat(), ports._acl(path), account)


@pytest.fixture
def port(tmp_path: Path) -> Path:
    """An ordinary file in its place."""
    path = tmp_path / "port"
    path.touch()
    return path


@pytest.mark.parametrize(
    ("mode", "may"), [(0o600, False), (0o660, False), (0o664, False), (0o666, True), (0o662, False)]
)
def test_a_stranger_may_open_what_everybody_may(port: Path, mode: int, may: bool) -> None:
    port.chmod(mode)
    assert allowed(port, STRANGER) is may


@pytest.mark.parametrize(("mode", "may"), [(0o660, True), (0o640, False), (0o600, False)])
def test_who_is_in_the_group_may_open_what_the_group_may(port: Path, mode: int, may: bool) -> None:
    port.chmod(mode)
    assert allowed(port, Account("member", 54_321, frozenset({port.stat().st_gid}))) is may


@pytest.mark.parametrize(("mode", "may"), [(0o600, True), (0o460, False)])
def test_the_owner_may_open_what_the_owner_may(port: Path, mode: int, may: bool) -> None:
    port.chmod(mode)
    owner = port.stat().st_uid
    assert ports.may_open(port.stat(), b"", Account("owner", owner, frozenset())) is (may or owner == 0)


@pytest.mark.parametrize(
    ("tag", "id_", "allowed_bits", "mask", "may"),
    [
        (0x08, 54_322, 6, 7, True),
        (0x08, 54_322, 4, 7, False),
        (0x08, 54_322, 6, 4, False),
        (0x08, 54_323, 6, 7, False),
        (0x02, 54_321, 6, 7, True),
        (0x02, 54_322, 6, 7, False),
    ],
)
def test_the_udev_rule_lets_in_whom_its_access_list_names(
    port: Path, tag: int, id_: int, allowed_bits: int, mask: int, may: bool
) -> None:
    nobody = 0xFFFFFFFF
    entries = [(0x01, 6, nobody), (tag, allowed_bits, id_), (0x04, 6, nobody), (0x10, mask, nobody), (0x20, 0, nobody)]
    acl = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in sorted(entries))
    try:
        os.setxattr(port, "system.posix_acl_access", acl)
    except OSError:
        pytest.skip("this file system has no access control lists")
    assert allowed(port, STRANGER) is may
    ours = Account("ours", 54_324, frozenset({port.stat().st_gid}))
    assert allowed(port, ours) is (mask == 7), "the group of the file has an entry of its own"


def test_a_port_is_looked_at_and_not_opened() -> None:
    ours, theirs = os.openpty()
    name = os.ttyname(theirs)
    Path(name).chmod(0o600)
    found = ports.look_at(name, STRANGER)
    assert (found.there, found.device, found.allowed, found.account) == (True, True, False, "somebody")
    assert found.group == Path(name).group()
    Path(name).chmod(0o666)
    assert ports.look_at(name, STRANGER).allowed
    os.close(ours)
    os.close(theirs)


def test_every_device_file_that_is_opened_is_looked_at(tmp_path: Path) -> None:
    path = tmp_path / "box.toml"
    by = "[instrument.activity]\nchannel"
    drivers = {
        "meter": 'name = "modbus"\nprofile = "eastron-sdm120"\nport = "/dev/ttyUSB0"\nunit_id = 1',
        "hood": f'name = "contact"\npin = 17\n{by} = "contact"\nstates = {{ closed = "off" }}',
        "clamp": f'name = "current_clamp"\nct_ratio = 2000\nburden_ohm = 18\n{by} = "current_a"',
    }
    text = "".join(f'[[instrument]]\nid = "{name}"\n[instrument.driver]\n{keys}\n' for name, keys in drivers.items())
    path.write_text(f'[box]\nid = "box-1"\n{text}', encoding="utf-8")
    assert ports.ports_of(load_config(path)) == ["/dev/ttyUSB0", "/dev/gpiochip0", "/dev/spidev0.0"]


def test_what_is_no_device_and_what_is_not_there_are_told_apart(port: Path, tmp_path: Path) -> None:
    assert not ports.look_at(str(port), STRANGER).device
    assert not ports.look_at(str(tmp_path / "gone"), STRANGER).there
