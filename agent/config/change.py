"""New values for how an instrument is judged and what it is called, written into the config file a person keeps."""

import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from instrument_agent.buffer.headfile import sync_directory
from instrument_agent.config.settings import Config, load_config
from instrument_agent.core.errors import AgentError, ConfigError
from instrument_agent.i18n import _
from instrument_agent.rights import join_hint
from instrument_agent.tables.change import NoPlace, Scalar, with_keys
from instrument_agent.tables.file import read_bytes
from instrument_agent.tables.mistakes import InvalidConfig

_MARK = "\ufeff"


def change_keys(path: Path, instrument_id: str, values: Mapping[str, Scalar]) -> Config:
    """Set keys of an instrument's ``[instrument.activity]``, and return what the file says then.

    The rest of the file stays as it is, byte for byte; the file as it was stays beside it, with ``.bak`` behind its
    name. A file that already says so is left alone. After a power cut the file is there, as it was or as it is to be.

    Raises:
        InvalidConfig: the file has mistakes, or would have some with these values; it is as it was.
        ConfigError: it has no such instrument, or no place for these keys.
        AgentError: it cannot be written.
    """
    return _changed(path, instrument_id, values, ("activity",))


def change_identity(path: Path, instrument_id: str, values: Mapping[str, str]) -> Config:
    """Set what an instrument is called, whose it is and where it stands, in its ``[[instrument]]``; as ``change_keys``.

    Raises:
        InvalidConfig: the file has mistakes, or would have some with these values; it is as it was.
        ConfigError: it has no such instrument, or no place for these keys.
        AgentError: it cannot be written.
    """
    return _changed(path, instrument_id, values, ())


def _changed(path: Path, instrument_id: str, values: Mapping[str, Scalar], beneath: tuple[str, ...]) -> Config:
    path = path.resolve()  # what a link leads to is replaced, not the link
    config = load_config(path)
    numbers = {instrument.id: number for number, instrument in enumerate(config.instruments)}
    if instrument_id not in numbers:
        raise ConfigError(
            _("there is no instrument {id} in {path}").format(id=instrument_id, path=path),
            _("one of {names}").format(names=", ".join(numbers)),
        )
    instrument = config.instruments[numbers[instrument_id]]
    known = instrument.activity if beneath else instrument
    new = {key: value for key, value in values.items() if getattr(known, key, None) != value}
    before = read_bytes(path)
    text = before.decode("utf-8-sig")
    try:
        changed = with_keys(text, ("instrument", numbers[instrument_id], *beneath), new)
    except NoPlace:
        raise ConfigError(
            _("the instruments in {path} are written in one line").format(path=path),
            _("write [[instrument]] and [instrument.activity] on lines of their own"),
        ) from None
    if changed == text:
        return config
    mark = _MARK if before.startswith(_MARK.encode()) else ""
    try:
        return _replaced(path, before, (mark + changed).encode())
    except OSError as error:
        raise AgentError(
            _("{path} cannot be written: {error}").format(path=path, error=error), join_hint(path)
        ) from error


def _replaced(path: Path, before: bytes, content: bytes) -> Config:
    new = _beside(path, content, path)
    try:
        config = load_config(new)
        backup = path.with_name(f"{path.name}.bak")
        _beside(backup, before, path).replace(backup)
        new.replace(path)
    except InvalidConfig as error:
        raise InvalidConfig(replace(mistake, path=path) for mistake in error.mistakes) from None
    finally:
        new.unlink(missing_ok=True)
    sync_directory(path.parent)
    return replace(config, path=path)


def _beside(path: Path, content: bytes, like: Path) -> Path:
    """Write what ``path`` is to hold into a file beside it, with the owner and the rights of ``like``."""
    new = path.with_name(f"{path.name}.new")
    status = like.stat()
    with new.open("wb") as file:
        os.fchmod(file.fileno(), stat.S_IMODE(status.st_mode))
        with suppress(PermissionError):  # only root gives a file to somebody else
            os.fchown(file.fileno(), status.st_uid, status.st_gid)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    return new
