"""The units and the udev rule of provisioning name what the program names."""

import re

import pytest
from building import ROOT
from hardening import rated_within

from instrument_agent.cli.options import DEFAULT_CONFIG
from instrument_agent.cli.provision import UNIT
from instrument_agent.provision.card import CODE_NAME, FILE_NAME
from instrument_agent.provision.home import STORE_NAME

SYSTEMD = ROOT / "systemd"
BOOT = (SYSTEMD / "instrument-agent-provision.service").read_text(encoding="utf-8")
STICK = (SYSTEMD / "instrument-agent-provision@.service").read_text(encoding="utf-8")


def test_the_boot_unit_starts_for_a_file_an_interrupted_trial_or_a_code_that_waits() -> None:
    store = DEFAULT_CONFIG.parent / STORE_NAME
    assert re.findall(r"^ConditionPathExists\w*=\|(.*)$", BOOT, re.MULTILINE) == [
        f"/boot/firmware/{FILE_NAME}",
        f"/boot/{FILE_NAME}",
        f"{store}/trial.json",
        f"{store}/*/{CODE_NAME}",
    ]
    assert "--from /boot/firmware --from /boot\n" in BOOT


@pytest.mark.parametrize("unit", [BOOT, STICK])
def test_the_agent_is_never_waited_for_by_what_restarts_it(unit: str) -> None:
    assert re.search(rf"^After=.*{re.escape(UNIT)}", unit, re.MULTILINE)
    assert not re.search("^(Before|Requires|Wants|BindsTo)=", unit, re.MULTILINE)


def test_the_stick_that_is_mounted_is_the_folder_that_is_read_and_unmounted() -> None:
    folder = re.findall(r"--from (\S+)", STICK)
    assert re.findall(r"^ExecStartPre=.*mount .* /dev/%I (\S+)$", STICK, re.MULTILINE) == folder
    assert re.findall(r"^ExecStopPost=.*umount (\S+)$", STICK, re.MULTILINE) == folder
    # Any of these would give each command files of its own, and hide the mounted stick.
    assert not re.search("^(Protect(System|Home|Kernel|Control)|Private|ReadWritePaths)", STICK, re.MULTILINE)


def test_the_udev_rule_starts_the_unit_of_the_stick_and_of_no_other_label() -> None:
    rule = (SYSTEMD / "instrument-agent-provision.udev.rules").read_text(encoding="utf-8")
    assert 'ENV{ID_FS_LABEL}=="INSTRUMENT"' in rule
    assert 'ENV{SYSTEMD_WANTS}+="instrument-agent-provision@%k.service"' in rule


def test_the_boot_unit_is_rated_as_hardened() -> None:
    rated_within(SYSTEMD / "instrument-agent-provision.service", 30)
