"""Opens the books, and sets a damaged database aside: kept as it is, salvaged, and said aloud.

What is looked at before every start is bounded, whatever the age of the database: its form, all it resumes from, the
records that are still to be sent and the newest others. The whole walk belongs to ``verify``, and to the start after
damage was met on the way.
"""

import json
import logging
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from instrument_agent.buffer import card
from instrument_agent.buffer.ballast import Ballast
from instrument_agent.buffer.books import anchors, checked_epoch, checked_interval, states
from instrument_agent.buffer.calendar_days import checked_day, checked_midnight
from instrument_agent.buffer.chain import first_fault
from instrument_agent.buffer.headfile import lost_tail, read_head, sync_directory
from instrument_agent.buffer.migrations import LIST, refuse_strange
from instrument_agent.buffer.opening import filled, renew
from instrument_agent.buffer.reader import BROKEN, FILE_NAME, Reader, damaged, disk_fails, unusable
from instrument_agent.buffer.rebuild import rebuild
from instrument_agent.buffer.salvage import Found
from instrument_agent.buffer.salvaged_rows import WANTED
from instrument_agent.buffer.store import SUSPECT_NAME, Store
from instrument_agent.core.errors import StoreDamaged, StoreUnavailable
from instrument_agent.core.readings import NS_PER_S
from instrument_agent.core.rowsum import row_sum
from instrument_agent.i18n import _

log = logging.getLogger(__name__)

NEWEST = 1000
"""How many of the newest records, and intervals, are looked at before every start."""
MOST = 20_000
"""How many at most, if so many are still to be sent."""
SMALL_BYTES = 16 * 1024 * 1024
"""A database up to this size is given SQLite's own check as well; it reads the whole file."""
SALVAGE_DIR = "salvage"
EMPTY_PAGE_BYTES = 4096
CHECKED: dict[str, Callable[[tuple[Any, ...]], object]] = {
    "intervals": checked_interval,
    "epochs": checked_epoch,
    "days": checked_day,
    "midnights": checked_midnight,
}


def open_books(state_dir: Path, box_id: str, utc_ns: int) -> Store:
    """Open the database of a state directory; one that is damaged is set aside, and what verifies goes into a new one.

    ``utc_ns`` is what the wall clock claims; it is only used in the name of a file that is set aside.

    Raises:
        StoreUnavailable: it is somebody else's, was written by a newer agent, cannot be read, or is damaged on a disk
            that takes nothing.
    """
    if card.full(state_dir):
        Ballast(state_dir).release()
    try:
        _finish(state_dir)
        path = state_dir / FILE_NAME
        if filled(path):
            renew(state_dir, path)
        why = why_damaged(state_dir) if filled(path) else _emptied(path)
        if why:
            log.critical("%s", why)
            _set_aside(state_dir, box_id, utc_ns)
    except OSError as error:
        raise disk_fails(state_dir, error) from error
    with suppress(OSError):  # on a disk that takes nothing it stays, and the next start looks at every record again
        (state_dir / SUSPECT_NAME).unlink(missing_ok=True)
    store = Store(state_dir, box_id)
    tail = lost_tail(store, read_head(state_dir))
    if tail is not None:
        store.find(tail)
    return store


def why_damaged(state_dir: Path) -> str:
    """Return what is wrong with the database, as far as a bounded look tells; empty if nothing is.

    Raises:
        StoreUnavailable: it is somebody else's, was written by a newer agent, or cannot be read at all.
    """
    reader = Reader(state_dir, alone=True)
    try:
        refuse_strange(reader, reader.path)
        _look(reader, whole=(state_dir / SUSPECT_NAME).exists())
    except StoreDamaged as error:
        return str(error)
    except StoreUnavailable as error:
        # A column or a table that is gone: the schema itself is not what was written.
        if getattr(error.__cause__, "sqlite_errorcode", None) == sqlite3.SQLITE_ERROR:
            return str(error)
        raise
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        return str(damaged(str(error)))
    finally:
        reader.close()
    return ""


def _look(reader: Reader, *, whole: bool) -> None:
    """Look at the database; raises what is wrong with it."""
    limit = -1 if whole else NEWEST
    for table in (*WANTED, "configured", "findings", LIST):
        columns = WANTED.get(table, "*")
        for row in reader.each(f"select {columns} from {table} order by rowid desc limit ?", (limit,)):  # noqa: S608
            CHECKED.get(table, _unchecked)(row)
    strayed = (
        "select count(*) from (select * from epochs order by number desc limit ?) e left join records r"
        " on r.epoch = e.epoch and r.seq = 1 where json_extract(r.body, '$.boot_id') is not e.boot_id"
    )
    if reader.rows(strayed, (limit,))[0][0]:
        raise damaged(_("an epoch does not fit its first record"))
    if (whole or reader.path.stat().st_size <= SMALL_BYTES) and reader.rows("pragma quick_check(1)") != [("ok",)]:
        raise damaged(_("its pages do not fit together"))
    newest_id = reader.rows("select coalesce(max(id), 0) from records")[0][0]
    marks = reader.rows("select name, acked_id, row_sum from destinations")
    for name, acked_id, noted in marks:
        if row_sum(name, acked_id) != noted:
            raise damaged(_("the watermark of {name} does not fit its checksum").format(name=name))
    acked_id = min((acked for _name, acked, _sum in marks), default=newest_id)
    after_id = 0 if whole else max(min(acked_id, newest_id - NEWEST), newest_id - MOST)
    fault = first_fault(reader, after_id)
    if fault is not None:
        raise damaged(
            _("record {seq} of epoch {epoch} is not what was written").format(seq=fault.seq, epoch=fault.epoch)
        )
    states(reader)
    anchors(reader)


def _unchecked(_row: tuple[Any, ...]) -> None:
    """Take a row without a checksum: that it can be read is all there is to see."""


def _set_aside(state_dir: Path, box_id: str, utc_ns: int) -> None:
    """Build a new database from what verifies, then put it in the place of the damaged one, which is renamed.

    Raises:
        OSError: the disk does not take it.
        StoreUnavailable: likewise.
    """
    refusal = card.refusal(state_dir)
    if refusal is not None:  # nor is it certain then that it is damaged: where reads fail, SQLite says so as well
        raise refusal
    path, work = state_dir / FILE_NAME, state_dir / SALVAGE_DIR
    aside = _free_name(state_dir, utc_ns)
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    path.touch()
    try:
        _salvage(path, work, box_id, aside.name)
    except StoreUnavailable as error:
        if getattr(error.__cause__, "sqlite_errorcode", None) != sqlite3.SQLITE_FULL:
            raise
        # What was built so far, and the ballast, make room for the next try.
        shutil.rmtree(work, ignore_errors=True)
        Ballast(state_dir).release()
        raise StoreUnavailable(
            _("the damaged database cannot be set aside: {error}").format(error=error),
            _("make room on the card, three times the size of {name}; until then nothing is watched").format(
                name=path.name
            ),
        ) from error
    _rename(state_dir, aside)
    _finish(state_dir)
    log.critical("the damaged database was set aside as %s", aside.name)


def _salvage(path: Path, work: Path, box_id: str, aside_name: str) -> None:
    """Build the new database."""
    store = Store(work, box_id)
    try:
        found = Found(path if filled(path) else _behind_a_page(path, work), work)
    except BROKEN as error:
        raise unusable(work, error) from error
    with store.write() as change:
        data = json.dumps(rebuild(change, found, box_id, read_head(path.parent)).data(aside_name))
        change.execute("insert into findings (data) values (?)", (data,))
    found.close()
    store.close()
    sync_directory(work)


def _emptied(path: Path) -> str:
    """Return what is wrong if there is nothing in the file any more, or no file, but something in its -wal."""
    wal = Path(f"{path}-wal")
    if not wal.exists() or not wal.stat().st_size:
        return ""
    return str(damaged(_("there is nothing in {name}, but there is in {name}-wal").format(name=path.name)))


def _behind_a_page(path: Path, work: Path) -> Path:
    """Copy the -wal of an empty database behind a page without anything: beside an empty file SQLite deletes it."""
    copy = work / "emptied.db"
    copy.write_bytes(bytes(EMPTY_PAGE_BYTES))
    shutil.copyfile(f"{path}-wal", f"{copy}-wal")
    return copy


def _free_name(state_dir: Path, utc_ns: int) -> Path:
    stamp = datetime.fromtimestamp(utc_ns // NS_PER_S, tz=UTC).strftime("%Y%m%dT%H%M%SZ")
    number = 1
    while (path := state_dir / f"{FILE_NAME}.damaged-{stamp}-{number}").exists():
        number += 1
    return path


def _rename(state_dir: Path, aside: Path) -> None:
    # The database goes first: without it, what lies beside it is never taken for a part of another one.
    for suffix in ("", "-wal", "-shm"):
        part = state_dir / f"{FILE_NAME}{suffix}"
        if part.exists():
            part.rename(f"{aside}{suffix}")
    sync_directory(state_dir)


def _finish(state_dir: Path) -> None:
    """Put a finished new database in its place, also if the agent was killed just before it could."""
    path, work = state_dir / FILE_NAME, state_dir / SALVAGE_DIR
    if not path.exists() and (work / FILE_NAME).exists():
        named = (item for item in state_dir.glob(f"{FILE_NAME}.damaged-*") if item.name[-4:] not in ("-wal", "-shm"))
        asides = sorted(named, key=lambda item: item.stat().st_mtime_ns)
        for suffix in ("-wal", "-shm"):
            left = state_dir / f"{FILE_NAME}{suffix}"
            if left.exists() and asides:
                left.rename(f"{asides[-1]}{suffix}")
        (work / FILE_NAME).rename(path)
        sync_directory(state_dir)
    shutil.rmtree(work, ignore_errors=True)
