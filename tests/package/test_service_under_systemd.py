"""The installed package as a service of a real systemd."""

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from installed_box import OLD, configuration, configured, keys, mock, platform, with_settings
from nspawn import CONFIG, UNIT, Box

from instrument_agent.sandbox.bench import Bench

PORT = "/dev/ttyUSB0"
METERS = ("on-serial", "on-network")


class Pulses:
    """A load that runs for 4 s of every 8."""

    def power_w(self, t_s: float) -> float:
        return 2000.0 if t_s % 8 >= 4 else 100.0


@pytest.fixture(scope="module")
def bench(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with Bench(dict.fromkeys(METERS, Pulses()), time.monotonic, tmp_path_factory.mktemp("bench"), on_serial=1) as bench:
        yield bench


@pytest.fixture(scope="module")
def box(tree: Path, stick: Path, bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    """A box with the package installed, and a serial line plugged in."""
    line = Path(str(bench.connections["on-serial"]["port"])).resolve()
    line.chmod(0o666)  # no event of a device comes for it, upon which the udev rule would let the agent in
    log = tmp_path_factory.mktemp("box") / "log"
    with Box(tree, log, {"/stick": stick, PORT: line}) as box:
        box.write(CONFIG, configuration({"first": mock(100.0)}))
        began_s = time.monotonic()
        box.install(OLD)
        assert box.show("ActiveState") == "active"
        print(f"from apt install to READY: {time.monotonic() - began_s:.1f} s")  # noqa: T201  # a figure for docs/install.md
        yield box


@pytest.fixture
def settings(box: Box) -> Iterator[None]:
    yield
    with_settings(box)


def test_a_box_that_has_its_configuration_watches_as_soon_as_the_package_is_installed(box: Box) -> None:
    configured(box, {"first": mock(100.0)})
    assert box.until(lambda: box.instrument("first").get("activity") == "standby", "a reading")
    assert box.do("stat", "-c", "%U:%G %a", "/etc/instrument-agent").split() == ["root:instrument-agent", "750"]


def test_the_unit_is_rated_as_hardened_by_the_systemd_it_runs_under(box: Box) -> None:
    rating = box.do("systemd-analyze", "security", "--no-pager", "--threshold=15", UNIT)
    assert "Overall exposure level" in rating
    print(rating.splitlines()[-1])  # noqa: T201  # likewise


def test_simulated_instruments_on_a_serial_line_and_on_the_network_are_read_and_delivered(
    box: Box, bench: Bench, tmp_path: Path
) -> None:
    options = {name: {"name": "modbus", **bench.connections[name]} for name in METERS}
    options["on-serial"]["port"] = PORT
    with platform(tmp_path) as (ledger, url):
        configured(box, options, url)

        def runs() -> set[str]:
            return {record["instrument_id"] for record in ledger.records("box-1", "run_session")}

        box.until(lambda: runs() >= set(METERS), "a run of each instrument at the platform")
        assert ledger.heartbeats("box-1").count
        configured(box, {"first": mock(100.0)})


def test_a_hung_driver_holds_up_neither_the_others_nor_the_watchdog_and_is_read_again_after_one_restart(
    box: Box, settings: None
) -> None:
    with_settings(box, "WatchdogSec=4")
    configured(box, {"stuck": mock(100.0, 100.0, 100.0, "hang"), "well": mock(100.0)})
    started = box.show("NRestarts")
    box.until(lambda: box.instrument("stuck").get("activity") == "standby", "a reading before it hangs")
    box.until(lambda: box.instrument("stuck").get("reason") == "driver_hung", "the hung driver")
    assert box.instrument("well")["activity"] == "standby"
    assert box.show("NRestarts") == started

    box.until(lambda: "restarting: stuck hangs" in box.journal(), "the restart for its sake", patience_s=90)
    box.until(lambda: box.instrument("stuck").get("activity") == "standby", "a reading after the restart")
    box.until(lambda: box.instrument("stuck").get("reason") == "driver_hung", "the driver that hangs again")
    assert box.instrument("well")["activity"] == "standby"
    assert int(box.show("NRestarts")) == int(started) + 1


def test_a_process_that_stands_still_is_ended_by_the_watchdog_and_started_anew(box: Box, settings: None) -> None:
    with_settings(box, "WatchdogSec=2", "RestartSec=100ms")
    configured(box, {"first": mock(100.0)})
    frozen = box.show("MainPID")
    box.do("systemctl", "kill", "--kill-whom=main", f"--signal={signal.SIGSTOP.value}", UNIT)
    box.until(lambda: box.show("MainPID") not in (frozen, "0") and box.status(), "another process")
    assert "Watchdog timeout" in box.do("journalctl", "--no-pager", "--output=cat", "-b")


def test_an_agent_that_is_killed_again_and_again_is_started_each_time_and_loses_no_record(
    box: Box, settings: None, tmp_path: Path
) -> None:
    with_settings(box, "RestartSec=100ms")
    with platform(tmp_path) as (ledger, url):
        configured(box, {"first": mock(100.0, 2000.0, step_s=2)}, url)
        for _kill in range(7):  # more than systemd's own limit of five in ten seconds
            killed = box.show("MainPID")
            box.do("systemctl", "kill", "--kill-whom=main", f"--signal={signal.SIGKILL.value}", UNIT)
            box.until(lambda killed=killed: box.show("MainPID") not in ("0", killed) and box.status(), "the next one")
        assert int(box.show("NRestarts")) >= 7

        def lost() -> set[tuple[str, int]]:
            return set(box.made()) - set(keys(ledger))

        box.until(lambda: not lost(), "every record at the platform")
        assert len({epoch for epoch, _seq in keys(ledger)}) >= 8
        configured(box, {"first": mock(100.0)})
    box.do("instrument-agent", "verify")


def test_a_mistake_in_the_config_file_is_told_and_not_tried_again_and_again(box: Box) -> None:
    box.write(CONFIG, "[box]\n")
    assert box.run("systemctl", "restart", UNIT).returncode
    try:
        assert (box.show("SubState"), box.show("ExecMainStatus")) == ("failed", "78")
        assert "box.id: this key is required" in box.journal()
    finally:
        configured(box, {"first": mock(100.0)})


def test_tokens_that_only_root_may_read_are_handed_to_the_service(box: Box, settings: None) -> None:
    box.do("install", "-m", "0600", "/dev/stdin", "/etc/instrument-agent/credentials/province", text="s3cret")
    with_settings(box, "ExecStartPre=/bin/cat /run/credentials/instrument-agent.service/token_province")
    box.do("systemctl", "restart", UNIT)
    assert "s3cret" in box.journal()


def test_the_service_starts_without_the_folder_of_tokens(box: Box) -> None:
    box.do("mv", "/etc/instrument-agent/credentials", "/root/credentials")
    box.do("systemctl", "restart", UNIT)
    box.do("mv", "/root/credentials", "/etc/instrument-agent/credentials")


def test_debians_own_cryptography_works_within_the_limits_of_the_service(box: Box, settings: None) -> None:
    sign = "from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey as K"
    code = f"{sign}; k = K.generate(); k.public_key().verify(k.sign(b'x'), b'x'); print('signed and verified')"
    with_settings(box, f'ExecStartPre=/usr/bin/python3 -c "{code}"')
    box.do("systemctl", "restart", UNIT)
    assert "signed and verified" in box.journal()


def test_every_driver_loads_from_what_is_carried_on_the_python_of_debian(box: Box) -> None:
    ours = "import sys; sys.path.insert(0, '/usr/lib/instrument-agent')"
    find = "from instrument_agent.drivers.registry import driver_class, driver_names"
    loaded = box.do("python3", "-I", "-c", f"{ours}; {find}; print([driver_class(name) for name in driver_names()])")
    assert loaded.count("Driver'") >= 6


def test_a_search_without_end_is_given_up_with_debians_own_regex(box: Box) -> None:
    ours = "import sys; sys.path.insert(0, '/usr/lib/instrument-agent')"
    want = "from instrument_agent.drivers.text_lines import wanted"
    endless = "(?:a|aa)*?(?:a|aa)*?(a)$"  # its cost grows exponentially, so that no machine is fast enough
    search = f"wanted({{'channel': 'power_w', 'unit': 'W', 'pattern': '{endless}'}}).search('a' * 500 + 'b')"
    done = box.run("python3", "-I", "-c", f"{ours}; {want}; {search}")
    assert "SearchTooLong" in done.stderr


def test_a_driver_of_somebody_else_is_found_in_the_folder_for_such(box: Box) -> None:
    folder = "/usr/local/lib/instrument-agent"
    box.write(f"{folder}/somebodys.py", "from instrument_agent.drivers.mock import MockDriver as Driver\n")
    point = "[instrument_agent.drivers]\nsomebodys = somebodys:Driver\n"
    box.write(f"{folder}/somebodys-1.0.dist-info/entry_points.txt", point)
    box.write(f"{folder}/somebodys-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: somebodys\nVersion: 1.0\n")
    configured(box, {"theirs": {"name": "somebodys", "script": [100.0]}})
    assert box.until(lambda: box.instrument("theirs").get("activity") == "standby", "a reading")
    configured(box, {"first": mock(100.0)})


def test_the_recommended_library_is_missed_by_the_pins_only(box: Box) -> None:
    configured(box, {"hood": {"name": "contact", "pin": 17}, "first": mock(100.0)})
    box.until(lambda: "lgpio" in box.journal(), "what the pins miss")
    box.until(lambda: box.instrument("first").get("activity") == "standby", "a reading of the other")
    configured(box, {"first": mock(100.0)})


def test_the_shell_completes_commands_of_the_installed_program(box: Box) -> None:
    words = ["env", "COMP_WORDS=instrument-agent ver", "COMP_CWORD=1", "_INSTRUMENT_AGENT_COMPLETE=bash_complete"]
    assert box.do(*words, "instrument-agent").split() == ["plain,verify"]
