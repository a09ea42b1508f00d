"""What the technician's manual says can be done as it is written, and every word it meets is explained in it."""

import re
import shlex
import xml.etree.ElementTree as ET
from contextlib import closing
from pathlib import Path

import pytest
from in_process import run
from rig import Dial, Rig

from instrument_agent.commission.steps import Outcome
from instrument_agent.commission.verdict import Certainty
from instrument_agent.config import load_config
from instrument_agent.core.readings import UnknownReason
from instrument_agent.doctor.verdict import Grade
from instrument_agent.drivers.rms import ClampState
from instrument_agent.receiver import PlatformServer, create_app
from instrument_agent.receiver.enrolment import Enrolment

DOCS = Path(__file__).parents[2] / "docs"
PAGES = ("technician.md", "technician.zh-CN.md")


def page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def commands(name: str) -> list[str]:
    """Return the command lines of a page, as they are typed."""
    outside = re.sub(r"```.*?```", "", page(name), flags=re.DOTALL)
    return [line[4:] for line in outside.splitlines() if line.startswith("    ")]


def ours(name: str) -> list[list[str]]:
    """Return the arguments of our own commands."""
    typed = [shlex.split(line.removeprefix("sudo ")) for line in commands(name)]
    return [words[1:] for words in typed if words[0] == "instrument-agent"]


def config_text(name: str) -> str:
    (found,) = re.findall(r"```toml\n(.*?)```", page(name), flags=re.DOTALL)
    return str(found)


def first_cells(text: str) -> set[str]:
    return {cell for line in text.splitlines() if line.startswith("| ") for cell in re.findall(r"`(\w+)`", line)}


@pytest.mark.parametrize("name", PAGES)
def test_every_reason_verdict_and_word_of_a_clamp_is_explained(name: str) -> None:
    told = first_cells(page(name))
    assert {*UnknownReason, *Outcome, *Certainty, *Grade} <= told
    assert set(ClampState) - {ClampState.OK} <= set(re.findall(r"`(\w+)`", page(name)))


def test_both_pages_have_the_same_commands_tables_and_links() -> None:
    def bare(name: str) -> list[list[str]]:
        return [
            [word for word in words if word.isascii() and " " not in word] for words in map(shlex.split, commands(name))
        ]

    def links(name: str) -> list[str]:
        found = re.findall(r"\]\(([^)]+)\)", page(name))
        return [link for link in found if not link.startswith("technician")]

    english, chinese = PAGES
    assert bare(english) == bare(chinese)
    assert sorted(links(english)) == sorted(links(chinese))
    assert all((DOCS / link).is_file() for link in links(english))
    assert first_cells(page(english)) == first_cells(page(chinese))


@pytest.mark.parametrize("name", PAGES)
def test_the_config_file_of_the_page_has_no_mistake(name: str, tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(config_text(name), encoding="utf-8")
    assert [item.id for item in load_config(path).instruments] == ["xrd-1"]


def test_the_drawings_are_whole() -> None:
    for drawing in (DOCS / "drawings").glob("*.svg"):
        root = ET.parse(drawing).getroot()
        assert root.tag.endswith("svg")
        assert root.find("{http://www.w3.org/2000/svg}title") is not None


def on_bench(rig: Rig, url: str) -> str:
    """Return the config file of the page, for the meter and the platform of the bench."""
    meter, folder = rig.bench.connections["xrd-1"], rig.directory
    line = f'port = "{meter["port"]}"\nbaud = 9600\nparity = "N"\nstop_bits = 1'
    changes = {
        'url = "https://platform.example.org"': f'url = "{url}"\nfirst_contact_spread_s = 0',
        "chint-ddsu666": str(meter["profile"]),
        'port = "/dev/serial/by-path/platform-usb-0:1.2:1.0-port0"': line,
        "[box]": f'[box]\nstate_dir = "{folder / "state"}"\nruntime_dir = "{folder / "run"}"',
    }
    text = config_text(PAGES[0])
    for old, new in changes.items():
        assert text.count(old) == 1
        text = text.replace(old, new)
    return text


def test_every_command_of_the_page_does_its_work_on_a_bench(tmp_path: Path) -> None:
    done = []
    enrolment, code = Enrolment(f"sqlite:///{tmp_path / 'platform.db'}"), tmp_path / "code"
    with (
        closing(enrolment),
        Rig(tmp_path, {"xrd-1": Dial(1234.0)}, speed=1.0) as rig,
        PlatformServer(create_app(rig.ledger, rig.clock.utc_ns, enrolment=enrolment)) as platform,
    ):
        rig.config_path.write_text(on_bench(rig, platform.url), encoding="utf-8")
        code.write_text(enrolment.new_code("lab3-box1", rig.clock.utc_ns(), 1), encoding="ascii")
        here = {"/dev/ttyUSB0": rig.bench.connections["xrd-1"]["port"], "/tmp/box.tar.gz": tmp_path / "box.tar.gz"}
        for words in ours(PAGES[0]):
            if words[0] == "enrol":  # before it the page starts the service
                rig.start_agent()
                rig.until(lambda: rig.instrument("xrd-1").get("reading"), "it is read")
            if words[0] == "commission":
                continue  # a quarter of an hour, and a person: tests/cli/test_commissioning.py takes its steps
            given = [str(here.get(word, word)) for word in words]
            given += [] if words[0] == "--version" else ["--config", str(rig.config_path)]
            given += ["--code-file", str(code)] if words[0] == "enrol" else []  # nobody is there to be asked
            given += ["--yes"] if words[0] in ("relocate", "transfer", "retire") else []
            came = run(*given)
            assert came.returncode == 0, f"{words}: {came.stdout}{came.stderr}"
            done.append(words[0])
        assert rig.agent is not None
        assert rig.agent.stop() == 0
        assert not list((tmp_path / "state" / "keys").iterdir()), "retire leaves no credentials"
    assert {"scan", "check", "enrol", "probe", "status", "doctor", "relocate", "transfer", "retire"} <= set(done)
