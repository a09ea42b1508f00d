"""What the package is made of, as far as that can be said without building it."""

import configparser
import gzip
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from types import ModuleType

import pytest
from building import ROOT
from packaging.requirements import Requirement

from instrument_agent.cli.main import COMMANDS

DEB = ROOT / "systemd/deb"


@pytest.fixture
def build(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script that builds the package, as a module."""
    monkeypatch.syspath_prepend(str(DEB))
    monkeypatch.delitem(sys.modules, "build", raising=False)
    import build

    return build


@pytest.fixture(scope="module")
def for_terminals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder usr/share with what is made from the commands."""
    share = tmp_path_factory.mktemp("share")
    make = [sys.executable, "-B", DEB / "for_terminals.py", "/nonexistent", share]
    for language in ("C", "zh_CN"):
        subprocess.run(make, check=True, env=os.environ | {"LC_ALL": "C.UTF-8", "LANGUAGE": language}, cwd=share)
    return share


def wheel(folder: Path, files: dict[str, bytes]) -> Path:
    path = folder / "some-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def test_everything_the_distribution_requires_is_carried_in_a_version_it_allows() -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    locked = dict(re.findall(r"^([\w.-]+)==(\S+) --hash=", (DEB / "requirements.lock").read_text(), re.MULTILINE))
    for line in filter(None, setup["options"]["install_requires"].split("\n")):
        wanted = Requirement(line)
        assert wanted.specifier.contains(locked[wanted.name]), f"{line}: python3 systemd/deb/lock.py"


@pytest.mark.parametrize("lock", ["requirements.lock", "build.lock"])
def test_each_locked_library_is_pinned_by_the_hash_of_one_wheel(lock: str) -> None:
    lines = [line for line in (DEB / lock).read_text().splitlines() if not line.startswith("#")]
    assert lines
    assert all(re.fullmatch(r"[\w.-]+==\S+ --hash=sha256:[0-9a-f]{64}", line) for line in lines)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("some/fast.cpython-311-aarch64-linux-gnu.so", b""),
        ("some/tool", b"\x7fELF\x02\x01"),
        ("some/__pycache__/old.cpython-311.pyc", b""),
        ("some-1.0.data/scripts/tool", b"#!python"),
        ("some-1.0.dist-info/WHEEL", b"Wheel-Version: 1.0\nRoot-Is-Purelib: false\n"),
    ],
)
def test_a_library_with_compiled_or_stray_files_fails_the_build(
    build: ModuleType, tmp_path: Path, name: str, content: bytes
) -> None:
    with pytest.raises(SystemExit, match="cannot be carried"):
        build._unpack(wheel(tmp_path, {"some/__init__.py": b"", name: content}), tmp_path / "library")


def test_a_pure_library_is_unpacked_with_what_entry_points_are_found_by(build: ModuleType, tmp_path: Path) -> None:
    files = {"some/__init__.py": b"x = 1\n", "some-1.0.dist-info/METADATA": b"Name: some\n"}
    build._unpack(wheel(tmp_path, {**files, "some-1.0.dist-info/RECORD": b""}), tmp_path / "library")
    found = [path for path in (tmp_path / "library").rglob("*") if path.is_file()]
    assert {path.relative_to(tmp_path / "library").as_posix() for path in found} == files.keys()


@pytest.mark.parametrize(("folder", "said"), [("man/man1", "EXIT STATUS"), ("man/zh_CN/man1", "退出码")])
def test_the_manual_page_has_every_command_and_each_of_its_options(for_terminals: Path, folder: str, said: str) -> None:
    page = gzip.decompress((for_terminals / folder / "instrument-agent.1.gz").read_bytes()).decode()
    shown = page.replace("\\-", "-")
    assert f".SH {said}" in shown
    assert all(f".SS instrument-agent {command}" in shown for command in COMMANDS)
    assert "--config PATH" in shown
    assert "--next-heartbeat-s" in shown, "options of commands within commands"


def test_the_completions_are_those_of_the_installed_command(for_terminals: Path) -> None:
    for name in ("bash-completion/completions/instrument-agent", "fish/vendor_completions.d/instrument-agent.fish"):
        assert "_INSTRUMENT_AGENT_COMPLETE=" in (for_terminals / name).read_text()
    assert (
        (for_terminals / "zsh/vendor-completions/_instrument-agent").read_text().startswith("#compdef instrument-agent")
    )


@pytest.mark.parametrize("script", ["postinst", "prerm", "postrm"])
def test_the_scripts_of_the_package_are_shell_that_stops_at_errors(script: str) -> None:
    path = DEB / "scripts" / script
    assert subprocess.run(["sh", "-n", path], check=False).returncode == 0
    assert "\nset -e\n" in path.read_text()


def test_every_file_the_package_takes_from_the_sources_is_there(build: ModuleType) -> None:
    assert [source for source in build.FILES if not source.is_file()] == []
