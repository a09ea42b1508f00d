"""``instrument-agent report``: a month as a sealed file for the platform or a table for people, without a network."""

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from instrument_agent.cli.options import config_option, destination_option, examples
from instrument_agent.core.errors import AgentError
from instrument_agent.i18n import _

if TYPE_CHECKING:
    from instrument_agent.buffer.reader import Reader
    from instrument_agent.config import Config
    from instrument_agent.report.columns import Column
    from instrument_agent.report.sealed import Contents, Seal


@click.command(
    help=_(
        "Write the report of a month: jsonl is the sealed file that a platform imports, csv and xlsx are tables for"
        " people. With --confirm, release what a platform has imported."
    ),
    epilog=examples(
        "report --month 2026-10",
        "report --month 2026-10 --format xlsx --out /media/usb/2026-10.xlsx",
        "report --confirm report-lab3-box1-2026-10.jsonl.receipt.json",
    ),
)
@config_option
@destination_option
@click.option("--month", help=_("the month, e.g. 2026-10"))
@click.option("--format", "form", type=click.Choice(["jsonl", "csv", "xlsx"]), default="jsonl", show_default=True)
@click.option("--out", type=click.Path(path_type=Path), help=_("the file to write; default: report-BOX-MONTH here"))
@click.option("--mapping", type=click.Path(path_type=Path), help=_("TOML file with the columns of another template"))
@click.option("--confirm", type=click.Path(path_type=Path), help=_("the receipt file of a platform"))
def report(
    config_path: Path,
    destination: str | None,
    month: str | None,
    form: str,
    out: Path | None,
    mapping: Path | None,
    confirm: Path | None,
) -> None:
    """Make a report or take a receipt."""
    if (month is None) == (confirm is None):
        raise click.UsageError(_("give either --month or --confirm"))
    from instrument_agent.config import load_config

    config = load_config(config_path)
    if confirm is not None:
        _confirm(config, confirm)
        return
    from instrument_agent.buffer.opening import look
    from instrument_agent.report.columns import FIXED, columns_of

    columns = FIXED if mapping is None else columns_of(mapping)
    with closing(look(config.box.state_dir)) as reader:
        contents = _contents(config, reader, str(month), form)
        path = out or Path(f"report-{config.box.id}-{month}.{form}")
        seal = _written(config, reader, contents, _Wanted(form, path, columns), destination)
    _tell(contents, seal, path)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """Which file is wanted."""

    form: str
    path: Path
    columns: "Sequence[Column]"


def _contents(config: "Config", reader: "Reader", text: str, form: str) -> "Contents":
    from instrument_agent.report.figures import month_of
    from instrument_agent.report.writing import contents_of

    month = month_of(text)
    contents = contents_of(config, reader, month)
    if form == "jsonl" and not contents.span.whole:
        raise AgentError(
            _("the records of {month} are no longer in this box; only their sums are").format(month=month),
            _("make the table: --format csv"),
        )
    return contents


def _written(
    config: "Config", reader: "Reader", contents: "Contents", wanted: _Wanted, destination: str | None
) -> "Seal":
    """Write the file whole or not at all; return the seal of the sealed file, whichever is written."""
    from instrument_agent.report import tablefile
    from instrument_agent.report.columns import table
    from instrument_agent.report.sealed import sealed
    from instrument_agent.report.writing import signer_of, whole_file, write_sealed

    signer = signer_of(config, destination)
    if wanted.form == "jsonl":
        return write_sealed(wanted.path, reader, contents, signer)
    with whole_file(wanted.path) as part:
        seal = sealed(reader, contents, len, *signer)
        rows = table(wanted.columns, contents, seal)
        if wanted.form == "csv":
            tablefile.write_csv(part, wanted.columns, rows)
        else:
            tablefile.write_xlsx(part, wanted.columns, rows, contents, seal)
    return seal


def _tell(contents: "Contents", seal: "Seal", path: Path) -> None:
    records = _("{path}: {month}, {count} instruments").format(
        path=path, month=contents.month, count=len(contents.rows)
    )
    click.echo(records)
    click.echo(_("seal (SHA-256): {seal}").format(seal=seal.sha256))
    if not seal.signature:
        click.echo(_("not signed: this box is enrolled at no platform (instrument-agent enrol)"), err=True)
    if not contents.span.complete:
        click.echo(_("not all days of the month are closed yet: the figures will grow"), err=True)


def _confirm(config: "Config", path: Path) -> None:
    """Have the running agent release it, or do it in its place."""
    from instrument_agent.control import NoAgent, ask
    from instrument_agent.report.confirming import read_receipt
    from instrument_agent.uplink.enrolled import KeyFile

    files = [KeyFile(config.box.state_dir, item.name) for item in config.destinations]
    known = {given.platform_key for file in files if (given := file.read()) is not None} - {""}
    receipt = read_receipt(path, config.box.id, known)
    request = {"do": "confirm_report", "marks": receipt.marks, "refused": receipt.refused}
    try:
        count: int = ask(config.box.runtime_dir, request)
    except NoAgent:
        count = _confirmed_here(config, request)
    if not known:
        told = _("signed with {key}; this box is enrolled nowhere: compare it with the platform's (platform keys)")
        click.echo(told.format(key=receipt.platform_key), err=True)
    if count:
        click.echo(_("{count} more records have arrived and are released").format(count=count))
    else:
        click.echo(
            _("nothing more has arrived by this receipt: it was released before, or records before it are missing")
        )


def _confirmed_here(config: "Config", request: Mapping[str, Any]) -> int:
    from instrument_agent.buffer.lock import StateLock
    from instrument_agent.buffer.store import Store
    from instrument_agent.clock import SystemClock
    from instrument_agent.report.confirming import confirm

    lock = StateLock(config.box.state_dir)
    try:
        with closing(Store(config.box.state_dir, config.box.id)) as store:
            return confirm(store, SystemClock(), config, request)
    finally:
        lock.release()
