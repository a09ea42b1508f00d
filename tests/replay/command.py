"""Runs the real command line in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

ARGUMENTS = ("--off-below", "10", "--run-above", "100")


def replay(trace: Path, *arguments: str, thresholds: tuple[str, ...] = ARGUMENTS) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "instrument_agent.cli.main", "replay", str(trace), *thresholds, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "LANGUAGE": "en", "PYTHONWARNINGS": "error"},
    )
