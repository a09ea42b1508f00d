"""Files that are handed over: written whole or not at all, and on the disk when that is said."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import date, timedelta
from pathlib import Path

from instrument_agent.buffer.headfile import sync_directory
from instrument_agent.buffer.reader import Reader
from instrument_agent.config import Config
from instrument_agent.core.errors import AgentError
from instrument_agent.core.records import RecordType
from instrument_agent.i18n import _
from instrument_agent.keys import sign_apart
from instrument_agent.report.figures import DAY, Month, figures, span_of
from instrument_agent.report.sealed import Contents, Seal, Sign, sealed
from instrument_agent.uplink.enrolled import KeyFile


def contents_of(config: Config, reader: Reader, month: Month) -> Contents:
    """Return what the report of a month is made of.

    Raises:
        StoreDamaged: a record is not what was written.
    """
    watched = [item.id for item in config.instruments]
    span = span_of(reader, month, watched, [item.name for item in config.destinations])
    return Contents(config.box.id, config.box.timezone, month, span, figures(reader, month, span, watched))


def all_that_waits(config: Config, reader: Reader, today: date) -> Contents:
    """Return what hands over all that has not arrived yet: the report of the month whose days are being counted.

    Raises:
        StoreDamaged: a record is not what was written.
    """
    (newest,) = reader.rows(f"select max({DAY}) from records where type = ?", (RecordType.DAILY_SUMMARY.value,))[0]  # noqa: S608  # a constant
    day = today if newest is None else date.fromisoformat(newest) + timedelta(days=1)
    return contents_of(config, reader, Month(day.year, day.month))


def signer_of(config: Config, destination: str | None) -> tuple[Sign | None, str]:
    """Return how a report is signed, and the public key: with the key of the one platform the box is enrolled at.

    Raises:
        AgentError: there is no such destination, or there are several.
    """
    names = [item.name for item in config.destinations if destination in (None, item.name)]
    if destination is not None and not names:
        raise AgentError(_("there is no destination {name}").format(name=destination), _("look into the config file"))
    files = [KeyFile(config.box.state_dir, name) for name in names]
    enrolled = [(file, given) for file in files if (given := file.read()) is not None]
    if not enrolled:
        return None, ""
    if len(enrolled) > 1:
        raise AgentError(
            _("this box is enrolled at several platforms"), _("say which one gets the report: --destination NAME")
        )
    [(file, given)] = enrolled
    return (lambda statement: sign_apart(file.path, statement)), given.public_key


def write_sealed(path: Path, reader: Reader, contents: Contents, signer: tuple[Sign | None, str]) -> Seal:
    """Write the sealed file, and return its seal.

    Raises:
        AgentError: it cannot be written.
        StoreDamaged: a record is not what was written.
    """
    with whole_file(path) as part, part.open("wb") as file:
        return sealed(reader, contents, file.write, *signer)


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a place to write to, which takes the name of ``path`` once all is on the disk.

    Raises:
        AgentError: it cannot be written.
    """
    part = path.with_name(f"{path.name}.part")
    try:
        yield part
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(path)
        sync_directory(path.parent)  # a USB stick is pulled out as soon as the command ends
    except OSError as error:
        raise AgentError(
            _("the file {path} cannot be written: {error}").format(path=path, error=error),
            _("choose another file"),
        ) from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)
