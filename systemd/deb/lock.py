#!/usr/bin/env python3
"""Pin what the Debian package carries: python3 systemd/deb/lock.py (needs pip 23 or newer and a package index).

Only wheels that hold no compiled code are taken, so one package runs on every Raspberry Pi and PC, and each is
pinned by the hash of that very wheel: pip will not put anything else in its place.
"""
# ruff: noqa: S603  # a script; it runs pip with arguments of its own

import configparser
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PURE = ("--only-binary=:all:", "--platform=any", "--implementation=py", "--abi=none", "--python-version=3.11")
"""Options of pip that leave only wheels for any Python 3.11 or newer on any machine."""

EXTRAS = ("mqtt", "report")
"""What of the product itself is optional elsewhere, but goes along here: both are small and pure Python."""

NOT_CARRIED = {
    "pip": "sqlite-utils wants it for its own command `install`, which is not here",
    "setuptools": "colorzero wants it for its own setup.py",
    "tzdata": "Debian's tzdata is kept up to date by Debian",
}


def main() -> None:
    """Write both lock files: what is carried, and what our own wheel is built with."""
    setup = configparser.ConfigParser()
    setup.read(HERE.parents[1] / "setup.cfg", encoding="utf-8")
    extras = setup["options.extras_require"]
    wanted = "\n".join([setup["options"]["install_requires"], *(extras[name] for name in EXTRAS)]).split("\n")
    _write("requirements.lock", [item for item in wanted if item], carried=True)
    _write("build.lock", ["setuptools >=77"], carried=False)


def _write(name: str, wanted: list[str], *, carried: bool) -> None:
    lines = ["# Written by systemd/deb/lock.py; not to be changed by hand."]
    if carried:
        lines += [f"# Not carried: {left_out} ({why})" for left_out, why in NOT_CARRIED.items()]
    found = {item["metadata"]["name"].lower(): item for item in _resolved(wanted)}
    for project, item in sorted(found.items()):
        if not (carried and project in NOT_CARRIED):
            digest = item["download_info"]["archive_info"]["hashes"]["sha256"]
            lines.append(f"{project}=={item['metadata']['version']} --hash=sha256:{digest}")
    (HERE / name).write_text("\n".join(lines) + "\n", encoding="utf-8")


def _resolved(wanted: list[str]) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as directory:
        report = Path(directory) / "report.json"
        dry = ("install", "--quiet", "--dry-run", "--ignore-installed", "--target", directory, "--report", str(report))
        subprocess.run([sys.executable, "-m", "pip", *dry, *PURE, *wanted], check=True)
        installed: list[dict[str, Any]] = json.loads(report.read_text(encoding="utf-8"))["install"]
    return installed


if __name__ == "__main__":
    main()
