"""A box's package through its life: upgrade, downgrade, removal, purge; with records that wait for a platform."""

import os
import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from building import built
from installed_box import NEW, OLD, configuration, configured, keys, mock, platform
from nspawn import CONFIG, DATABASE, Box

WAITING = 8


@pytest.fixture
def box(tree: Path, stick: Path, tmp_path: Path) -> Iterator[Box]:
    with Box(tree, tmp_path / "log", {"/stick": stick}) as box:
        yield box


@pytest.fixture
def quiet_port() -> int:
    """A port on which nothing listens, yet."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def test_an_upgrade_and_a_downgrade_lose_and_double_no_waiting_record_and_keep_the_configuration(
    box: Box, quiet_port: int, tmp_path: Path
) -> None:
    box.install(OLD)
    configured(box, {"first": mock(100.0, 2000.0, step_s=1.5)}, f"http://127.0.0.1:{quiet_port}")
    config = box.do("cat", CONFIG)
    box.until(lambda: len(box.made()) >= WAITING, "a backlog")
    for package in (NEW, OLD):
        before = set(box.made())
        began_s = time.monotonic()
        box.install(package)
        print(f"{package}: {time.monotonic() - began_s:.1f} s")  # noqa: T201  # a figure for docs/install.md
        assert box.do("dpkg-query", "--show", "--showformat=${Version}", "instrument-agent") == package.split("_")[1]
        assert box.show("ActiveState") == "active"
        assert set(box.made()) > before
    assert box.do("cat", CONFIG) == config

    with platform(tmp_path, quiet_port) as (ledger, _url):
        # Its next attempt may be minutes away; a new process makes its own at once.
        box.do("systemctl", "restart", "instrument-agent")
        made = set(box.made())
        box.until(lambda: made <= set(keys(ledger)), "the backlog at the platform")
        received = keys(ledger)
        assert len(received) == len(set(received))
        assert len({epoch for epoch, _seq in received}) >= 4
        box.do("systemctl", "stop", "instrument-agent")
    box.do("instrument-agent", "verify")


def test_a_box_without_a_configuration_is_told_what_to_do_and_has_no_failed_service(box: Box) -> None:
    assert "/usr/share/instrument-agent/config.example.toml" in box.install(OLD)
    assert box.show("ActiveState") == "inactive"
    assert box.show("UnitFileState") == "enabled"


def test_a_service_that_was_disabled_stays_so_through_an_upgrade(box: Box) -> None:
    box.write(CONFIG, configuration({"first": mock(100.0)}))
    box.install(OLD)
    box.do("systemctl", "disable", "--now", "instrument-agent")
    box.install(NEW)
    assert (box.show("UnitFileState"), box.show("ActiveState")) == ("disabled", "inactive")


def test_removal_keeps_configuration_and_hours_and_purge_leaves_nothing_but_the_locked_user(box: Box) -> None:
    box.write(CONFIG, configuration({"first": mock(100.0)}))
    box.install(OLD)
    box.until(lambda: box.instrument("first").get("activity") == "standby", "a reading")
    box.do("dpkg", "--remove", "instrument-agent")
    assert box.show("LoadState") == "not-found"
    box.do("test", "-s", DATABASE)
    box.do("test", "-s", CONFIG)
    assert "__pycache__" not in box.run("find", "/usr/lib/instrument-agent").stdout

    box.install(OLD)
    assert box.show("ActiveState") == "active"
    box.do("dpkg", "--purge", "instrument-agent")
    search = "/ -xdev -path /stick -prune -o -path /var/log -prune -o -path /sys -prune -o -path /proc -prune -o"
    left = box.do("find", *search.split(), "-iname", "*instrument*agent*", "-print").splitlines()
    assert left == []
    assert box.do("systemctl", "is-system-running").strip() == "running"
    assert box.do("getent", "shadow", "instrument-agent").split(":")[1].startswith("!")


def test_the_same_sources_give_the_same_bytes_in_another_folder_by_another_user(
    sources: Path, stick: Path, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    before = os.umask(0o077)
    try:
        shutil.copytree(sources, elsewhere, copy_function=shutil.copyfile)  # without their times and rights
        again = built(elsewhere, tmp_path, "1.0", TZ="Asia/Shanghai", LC_ALL="C", HOME="/")
    finally:
        os.umask(before)
    assert again.read_bytes() == (stick / OLD).read_bytes()
    print(f"{again.stat().st_size / 1e6:.2f} MB")  # noqa: T201  # likewise
