"""How the tests build a package."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def built(sources: Path, output: Path, version: str, **surroundings: str) -> Path:
    """Build a package; what was fetched for one is kept for the next."""
    build = [sys.executable, sources / "systemd/deb/build.py", "--wheels", ROOT / "build/wheels"]
    made = subprocess.run(
        [*map(str, build), "--output", str(output), "--version", version],
        env=os.environ | surroundings,
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr[-3000:]
    return Path(made.stdout.strip())
