import os
import shutil
import subprocess
from pathlib import Path

import pytest
from building import ROOT, built
from nspawn import missing_here, why_not

NO_SOURCES = (".venv", ".git", "build", "dist", "__pycache__", ".*_cache", ".hypothesis", "*.egg-info")
WANTED = "INSTRUMENT_AGENT_UNDER_SYSTEMD"


@pytest.fixture(scope="session")
def tree() -> Path:
    """A Debian to start, if this machine can."""
    if WANTED not in os.environ:
        pytest.skip("needs a Debian of its own: make test-systemd")
    if lacking := missing_here():
        pytest.skip(lacking)
    made = subprocess.run(
        [Path(__file__).with_name("debian_tree.sh")], capture_output=True, text=True, check=False, timeout=900
    )
    assert made.returncode == 0, f"no Debian could be made:\n{made.stderr[-3000:]}"
    found = Path(made.stdout.strip())
    if reason := why_not(found):
        pytest.skip(f"no container can be started here: {reason}")
    return found


@pytest.fixture(scope="session")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sources as they are now, whoever goes on working on them meanwhile."""
    folder = tmp_path_factory.mktemp("sources") / "here"
    shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(*NO_SOURCES))
    return folder


@pytest.fixture(scope="session")
def stick(tree: Path, sources: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A USB stick with two versions of the package."""
    folder = tmp_path_factory.mktemp("stick")
    for version in ("1.0", "1.1"):
        built(sources, folder, version)
    return folder
