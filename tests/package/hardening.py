"""How hardened `systemd-analyze` finds a unit file: the lower the rating the better."""

import shutil
import subprocess
from pathlib import Path

import pytest


def rated_within(unit: Path, threshold: int) -> None:
    """Hold the unit to a rating of at most a tenth of ``threshold``."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("there is no systemd-analyze here")
    rated = subprocess.run(
        ["systemd-analyze", "security", "--no-pager", "--offline=true", f"--threshold={threshold}", unit],
        capture_output=True,
        text=True,
        check=False,
    )
    if "not supported" in rated.stderr or "unrecognized" in rated.stderr:
        pytest.skip(f"this systemd-analyze rates no files: {rated.stderr}")
    assert rated.returncode == 0, rated.stdout + rated.stderr
