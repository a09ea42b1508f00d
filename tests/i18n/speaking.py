"""The command line as a reader of one language calls it."""

import os
import re
import subprocess
import sys
from pathlib import Path

ENGLISH = {"LANG": "C"}
CHINESE = {"LANG": "C.UTF-8", "LANGUAGE": "zh_CN"}
CHINESE_CHARACTERS = re.compile(r"[\u4e00-\u9fff]")
COMMAND = [sys.executable, "-m", "instrument_agent.cli.main"]


def environment(settings: dict[str, str]) -> dict[str, str]:
    """Nothing of this machine's own language, and no UTF-8 mode, reaches the command."""
    return {"PATH": os.environ["PATH"], "COLUMNS": "120", **settings}


def run(settings: dict[str, str], *arguments: str | Path) -> subprocess.CompletedProcess[bytes]:
    """Run a command to its end with its output in pipes; bytes, because the encoding is part of the claim."""
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        capture_output=True,
        timeout=60,
        check=False,
        stdin=subprocess.DEVNULL,
        env=environment(settings),
    )


def is_chinese(text: str) -> bool:
    return bool(CHINESE_CHARACTERS.search(text))


def keys(value: object) -> object:
    """The shape of a JSON value: its keys, without what they hold."""
    if isinstance(value, dict):
        return {key: keys(item) for key, item in value.items()}
    return [keys(item) for item in value] if isinstance(value, list) else None
