"""What a supporter needs to see of a box, in one file, without secrets and without readings."""

import io
import os
import platform
import tarfile
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

from instrument_agent import __version__
from instrument_agent.buffer.reader import FILE_NAME, Reader
from instrument_agent.core.errors import AgentError
from instrument_agent.doctor.machine import Places, said_by
from instrument_agent.doctor.service import UNIT
from instrument_agent.i18n import _
from instrument_agent.tables.file import MAX_BYTES

LOG_LINES = 2000
LIBRARIES = (
    *("click", "cryptography", "gpiozero", "pymodbus", "pyserial"),
    *("regex", "requests", "rfc8785", "rich", "sqlite-utils"),
)
FOLDER = "instrument-agent-support/"


def versions(places: Places) -> str:
    """Return what is installed, one line each."""
    found = {
        "instrument-agent": __version__,
        "python": platform.python_version(),
        "kernel": platform.release(),
        "machine": platform.machine(),
        "board": _first_line(places.proc / "device-tree" / "model"),
        "system": next(
            (
                line.partition("=")[2].strip('"')
                for line in _text(places.etc / "os-release").splitlines()
                if line.startswith("PRETTY_NAME=")
            ),
            "",
        ),
    }
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "-"
    return "".join(f"{name} {version}\n" for name, version in found.items())


def config_text(path: Path) -> str:
    """Return the config file as it is; why not, if it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES).decode("utf-8", "replace")
    except OSError as error:
        return f"# {path}: {error.strerror}\n"


def log_text() -> str:
    """Return the last lines the service logged; empty without a journal."""
    return said_by("journalctl", "--unit", UNIT, "--lines", str(LOG_LINES), "--no-pager", "--output", "short-iso")


def database_text(state_dir: Path) -> tuple[str, str]:
    """Return counts by table and kind, and the schema; no record and no reading."""
    try:
        reader = Reader(state_dir)
    except AgentError as error:
        return f"{error}\n", ""
    try:
        tables = reader.rows("select name, sql from sqlite_master where sql is not null order by type desc, name")
        names = [name for (name,) in reader.rows("select name from sqlite_master where type = 'table' order by name")]
        counts = [(name, *reader.rows(f'select count(*) from "{name}"')[0]) for name in names]  # noqa: S608  # its own
        counts += reader.rows("select 'records of type ' || type, count(*) from records group by type order by type")
        counts += reader.rows("select 'dead letters of ' || destination, count(*) from dead_letters group by 1")
        counts += reader.rows("select 'watermark of ' || name, acked_id from destinations order by name")
    except AgentError as error:
        return f"{error}\n", ""
    finally:
        reader.close()
    sizes = [(path.name, path.stat().st_size) for path in sorted(state_dir.glob(f"{FILE_NAME}*"))]
    lines = [f"{name}: {count}\n" for name, count in counts] + [f"{name}: {size} bytes\n" for name, size in sizes]
    return "".join(lines), "".join(f"{sql};\n" for _name, sql in tables)


def pack(path: Path, members: Mapping[str, str]) -> None:
    """Write the texts into a new archive that only its owner may read.

    Raises:
        AgentError: it cannot be written, or is there already.
    """
    try:
        number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(number, "wb") as file, tarfile.open(fileobj=file, mode="w:gz") as archive:
            for name, text in members.items():
                content = text.encode()
                member = tarfile.TarInfo(FOLDER + name)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    except OSError as error:
        raise AgentError(
            _("{path} cannot be written: {error}").format(path=path, error=error),
            _("name another file with --out"),
        ) from error


def _first_line(path: Path) -> str:
    return next(iter(_text(path).replace("\0", "").splitlines()), "-")


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
