#!/usr/bin/env python3
"""Build the Debian package: python3 systemd/deb/build.py (or `make deb`); needs pip, dpkg-deb and a package index.

The same sources give the same bytes, on any machine with the same dpkg: the libraries are pinned by hash, and every
time in the package is SOURCE_DATE_EPOCH (reproducible-builds.org), which is by default that of the last commit.
"""
# ruff: noqa: S603, S607, T201  # a script; it runs pip, git and dpkg-deb with arguments of its own

import argparse
import configparser
import gzip
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from email.parser import HeaderParser
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SOURCES = ("agent", "drivers", "buffer", "setup.cfg", "pyproject.toml", "README.md", "LICENSE")
NAME = "instrument-agent"
LIBRARY = Path("usr/lib") / NAME
SHARE = Path("usr/share")
FIRST_ZIP_TIME = 315532800
"""1980-01-01, the first time a zip file knows; for sources that are no git repository."""

FILES = {
    HERE / "launcher": Path("usr/bin") / NAME,
    HERE / "rtupdate": SHARE / "python3/runtime.d" / f"{NAME}.rtupdate",
    **{unit: Path("usr/lib/systemd/system") / unit.name for unit in sorted(HERE.parent.glob("*.service"))},
    HERE.parent / "instrument-agent.sysusers.conf": Path("usr/lib/sysusers.d/instrument-agent.conf"),
    HERE.parent / "instrument-agent.udev.rules": Path("usr/lib/udev/rules.d/70-instrument-agent.rules"),
    HERE.parent / "instrument-agent-provision.udev.rules": Path(
        "usr/lib/udev/rules.d/71-instrument-agent-provision.rules"
    ),
    ROOT / "config.example.toml": SHARE / NAME / "config.example.toml",
    **{page: SHARE / "doc" / NAME / page.name for page in sorted((ROOT / "docs").glob("*.md"))},
    **{one: SHARE / "doc" / NAME / "drawings" / one.name for one in sorted((ROOT / "docs/drawings").glob("*.svg"))},
}
EXECUTABLE = (HERE / "launcher", HERE / "rtupdate")


def main() -> None:
    """Build it and print where it is."""
    options = argparse.ArgumentParser(description="Build the Debian package.")
    options.add_argument("--output", type=Path, default=ROOT / "dist", help="folder the package is put into")
    options.add_argument(
        "--wheels", type=Path, default=ROOT / "build/wheels", help="folder that keeps what was fetched"
    )
    options.add_argument("--version", default=_version(), help="version of the package")
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        work = Path(directory)
        tree = work / "tree"
        _libraries(tree / LIBRARY, work, given.wheels)
        _files(tree)
        _control(tree, given.version)
        time_s = os.environ.get("SOURCE_DATE_EPOCH") or _last_commit()
        _settle(tree, int(time_s))
        given.output.mkdir(parents=True, exist_ok=True)
        package = given.output / f"{NAME}_{given.version}_all.deb"
        # Several threads would cut the archive into pieces, as many as there are processors.
        packing = ("--root-owner-group", "-Zxz", "--threads-max=1")
        pack = ["dpkg-deb", *packing, "--build", tree, package]
        subprocess.run(pack, check=True, stdout=subprocess.DEVNULL, env=os.environ | {"SOURCE_DATE_EPOCH": time_s})
    print(package)


def _version() -> str:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    return setup["metadata"]["version"]


def _last_commit() -> str:
    said = subprocess.run(["git", "-C", ROOT, "log", "-1", "--format=%ct"], capture_output=True, text=True, check=False)
    return said.stdout.strip() or str(FIRST_ZIP_TIME)


def _libraries(library: Path, work: Path, wheels: Path) -> None:
    """Put the carried libraries and our own package into ``library``."""
    for wheel in _fetched("requirements.lock", wheels):
        _unpack(wheel, library)
    for wheel in _fetched("build.lock", wheels):
        _unpack(wheel, work / "backend", carried=False)
    _unpack(_own_wheel(work), library)
    # One list of certificate authorities on the machine: Debian's, which is updated by Debian and to which an
    # institution adds its own with update-ca-certificates.
    authorities = library / "certifi/cacert.pem"
    authorities.unlink()
    authorities.symlink_to("/etc/ssl/certs/ca-certificates.crt")


def _fetched(lock: str, wheels: Path) -> list[Path]:
    """Return the wheels of a lock file, from ``wheels`` where they are there already."""
    text = (HERE / lock).read_text(encoding="utf-8")
    wanted = [line.rpartition("sha256:")[2] for line in text.splitlines() if "sha256:" in line]
    found = _by_hash(wheels)
    if not found.keys() >= set(wanted):
        fetch = ("download", "--quiet", "--no-deps", "--require-hashes", "--only-binary=:all:", "--platform=any")
        kind = ("--implementation=py", "--abi=none", "--python-version=3.11")
        where = ("--dest", str(wheels), "--requirement", str(HERE / lock))
        subprocess.run([sys.executable, "-m", "pip", *fetch, *kind, *where], check=True)
        found = _by_hash(wheels)
    return [found[digest] for digest in wanted]


def _by_hash(wheels: Path) -> dict[str, Path]:
    return {hashlib.sha256(wheel.read_bytes()).hexdigest(): wheel for wheel in wheels.glob("*.whl")}


def _own_wheel(work: Path) -> Path:
    """Build our wheel from a copy, away from what earlier builds left in build/, with the pinned setuptools."""
    source = work / "source"
    source.mkdir()
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, source / name)
    build = "import sys; sys.path.insert(0, '../backend'); from setuptools import build_meta as b; b.build_wheel('..')"
    subprocess.run([sys.executable, "-I", "-c", build], cwd=source, check=True, stdout=subprocess.DEVNULL)
    return next(work.glob("*.whl"))


def _unpack(wheel: Path, library: Path, *, carried: bool = True) -> None:
    """Unpack a wheel as it is; the list of its files, which dpkg keeps, is left out.

    Raises:
        SystemExit: it holds something that would run on one kind of machine only, or belongs elsewhere.
    """
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if carried and (reason := _misfit(name, archive)):
                sys.exit(f"{wheel.name} cannot be carried: {name} {reason}")
            if not name.endswith(("/", ".dist-info/RECORD")):
                archive.extract(name, library)


def _misfit(name: str, archive: zipfile.ZipFile) -> str:
    if ".data/" in name:
        return "belongs into another folder"
    if name.endswith(".dist-info/WHEEL"):
        pure = b"Root-Is-Purelib: true" in archive.read(name)
        return "" if pure else "says that it is made for one kind of machine"
    with archive.open(name) as file:
        compiled = file.read(4) in (b"\x7fELF", b"\xcf\xfa\xed\xfe")
    return "is compiled" if compiled or name.endswith((".so", ".pyd", ".dll", ".exe", ".pyc")) else ""


def _files(tree: Path) -> None:
    """Put everything into the tree that is no library."""
    for source, target in FILES.items():
        (tree / target).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, tree / target)
        (tree / target).chmod(0o755 if source in EXECUTABLE else 0o644)
    # Isolated, without the packages of this Python: what is carried must be all that the commands need.
    make: list[str | Path] = [sys.executable, "-I", "-S", "-B", HERE / "for_terminals.py", tree / LIBRARY, tree / SHARE]
    for language in ("C", "zh_CN"):
        subprocess.run(make, check=True, env=os.environ | {"LC_ALL": "C.UTF-8", "LANGUAGE": language})
    doc = tree / SHARE / "doc" / NAME
    (doc / "changelog.gz").write_bytes(gzip.compress((ROOT / "CHANGELOG.md").read_bytes(), 9, mtime=0))
    (doc / "copyright").write_text(_copyright(tree / LIBRARY), encoding="utf-8")


def _copyright(library: Path) -> str:
    lines = ["instrument-agent is under the Apache License 2.0: /usr/share/common-licenses/Apache-2.0", ""]
    lines += [f"It carries these libraries in /{LIBRARY}; their licences stand beside them. They are unchanged,"]
    lines += ["except that certifi points to the certificate authorities of Debian.", ""]
    for metadata in sorted(library.glob("*.dist-info/METADATA")):
        head = HeaderParser().parsestr(metadata.read_text(encoding="utf-8"))
        classified = [line for line in head.get_all("Classifier", []) if line.startswith("License")]
        licence = head["License-Expression"] or " ".join(classified) or head["License"] or "see its files"
        if head["Name"] != NAME:
            lines.append(f"{head['Name']} {head['Version']}: {licence.rpartition(' :: ')[2].splitlines()[0]}")
    return "\n".join(lines) + "\n"


def _control(tree: Path, version: str) -> None:
    """Write what dpkg reads: fields, checksums, and the scripts of the maintainer."""
    control = tree / "DEBIAN"
    control.mkdir()
    files = sorted(path for path in tree.rglob("*") if path.is_file() and not path.is_symlink())
    sums = [f"{_md5(path)}  {path.relative_to(tree)}\n" for path in files]
    (control / "md5sums").write_text("".join(sums), encoding="utf-8")
    size_kib = sum(-(-path.stat().st_size // 1024) for path in files)
    fields = (HERE / "control.in").read_text(encoding="utf-8")
    (control / "control").write_text(fields.replace("@VERSION@", version).replace("@SIZE@", str(size_kib)))
    for script in ("postinst", "prerm", "postrm"):
        shutil.copyfile(HERE / "scripts" / script, control / script)
        (control / script).chmod(0o755)


def _md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def _settle(tree: Path, time_s: int) -> None:
    """Give every file the rights and the time it is to have, whatever the umask and the clock of this machine."""
    for path in (tree, *tree.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
        os.utime(path, (time_s, time_s), follow_symlinks=False)


if __name__ == "__main__":
    main()
