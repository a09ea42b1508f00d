"""``instrument-agent verify``: what of a database is proven, and what is not."""

import sys
from pathlib import Path
from typing import Any

import click

from instrument_agent.buffer.headfile import read_head
from instrument_agent.buffer.migrations import refuse_strange
from instrument_agent.buffer.reader import FILE_NAME, Reader
from instrument_agent.buffer.verify import Report
from instrument_agent.buffer.verify import verify as walk
from instrument_agent.cli.options import as_json, config_option, examples
from instrument_agent.i18n import _


@click.command(
    help=_("Walk through every record and figure of the database, and print what is proven and what is not."),
    epilog=examples("verify", "verify --database /media/usb/buffer.db", "verify --json"),
)
@config_option
@click.option(
    "--database",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help=_("a database file, for instance a copy, instead of the one of the config file"),
)
@click.option("--json", "json_wanted", is_flag=True, help=_("print the result as JSON"))
def verify(config_path: Path, database: Path | None, json_wanted: bool) -> None:
    """Exit with 1 if anything is not as it was written."""
    if database is None:
        from instrument_agent.config import load_config

        database = load_config(config_path).box.state_dir / FILE_NAME
    reader = Reader(database.parent, database.name)
    try:
        refuse_strange(reader, database)
        report = _walked(reader, database)
    finally:
        reader.close()
    if json_wanted:
        click.echo(as_json(_plain(report, database)))
    else:
        _print(report, database)
    sys.exit(1 if report.count else 0)


def _plain(report: Report, database: Path) -> dict[str, Any]:
    return {
        "ok": not report.count,
        "database": str(database),
        "proven": dict(report.proven),
        "not_proven": dict(+report.unproven),
        "roots": report.roots,
        "faults": report.faults,
        "head_file": {None: "missing", True: "agrees", False: "differs"}[report.head],
        "differences": report.count,
        "sentences": report.differences,
    }


def _walked(reader: Reader, database: Path) -> Report:
    # A copy may lie anywhere: a head file beside it is its own only if it lies in a state directory.
    head = read_head(database.parent) if database.name == FILE_NAME else None
    if not sys.stderr.isatty():
        return walk(reader, head)
    from rich.console import Console
    from rich.progress import Progress

    total = reader.rows("select count(*) from records")[0][0]
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(_("records"), total=total)
        return walk(reader, head, lambda count: progress.update(task, completed=count))


def _print(report: Report, database: Path) -> None:
    proven, unproven = report.proven, report.unproven
    click.echo(str(database))
    click.echo(_("Proven:"))
    for count, sentence in (
        (proven["records"], _("{count} records fit their hashes and follow each other without a gap")),
        (proven["sessions"], _("{count} sessions have the durations their intervals give")),
        (proven["gaps"], _("{count} gaps are those of their intervals")),
        (proven["days"], _("{count} days have the sums their intervals give")),
        (proven["intervals"], _("{count} intervals fit their checksums")),
        (proven["anchors"], _("{count} time anchors are in the chain of records")),
        (proven["checkpoints"], _("{count} instruments can be resumed")),
    ):
        click.echo("  " + sentence.format(count=count))
    gaps = [
        (len(report.roots), _("{count} epochs were pruned; their chain begins at a root")),
        (unproven["lone_records"], _("{count} records were kept of pruned epochs; each fits its own hash only")),
        (unproven["lost_records"], _("{count} records were lost with a damaged file; their places are marked")),
        (unproven["sessions"], _("{count} sessions whose intervals are not all there any more")),
        (unproven["gaps"], _("{count} gaps whose intervals are not all there any more")),
        (unproven["days"], _("{count} days whose intervals are not all there any more")),
        (unproven["contradicting_anchors"], _("{count} pairs of time anchors contradict each other")),
    ]
    if any(count for count, _sentence in gaps):
        click.echo(_("Not proven:"))
    for count, sentence in gaps:
        if count:
            click.echo("  " + sentence.format(count=count))
    _print_faults(report)
    _print_head(report)
    if not report.count:
        click.echo(
            _("No difference was found. What was cut off at the end shows only in the head file or at a platform.")
        )
        return
    click.echo(_("{count} differences:").format(count=report.count))
    for sentence in report.differences:
        click.echo("  " + sentence)


def _print_faults(report: Report) -> None:
    """Print what the log itself tells of losses and troubles: an auditor is not to search for it."""
    if report.faults:
        click.echo(_("This log tells of {count} faults:").format(count=len(report.faults)))
    for fault in report.faults:
        sentence = _("{kind}, told in record {seq} of epoch {epoch}")
        click.echo("  " + sentence.format(kind=fault.get("kind", ""), seq=fault["in_seq"], epoch=fault["in_epoch"]))
        if fault.get("kind") == "database_damaged":
            sentence = _("{records} records and {rows} rows were lost; the damaged file is {file}")
            lost = {"records": fault.get("records_lost", 0), "rows": fault.get("rows_lost", 0)}
            click.echo("    " + sentence.format(**lost, file=fault.get("file", "")))
        for lost in fault.get("lost", [fault]):
            if "from_seq" in lost:
                click.echo("    " + _("lost: seq {from_seq} to {to_seq} of epoch {epoch}").format(**lost))


def _print_head(report: Report) -> None:
    if report.head:
        click.echo(_("The log ends where the head file says."))
    elif report.head is None:
        click.echo(_("No head file beside the database: nothing can be said of its end."))
        click.echo(_("Of a box, copy buffer.db, buffer.db-wal and head.json together."))
