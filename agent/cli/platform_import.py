"""``instrument-agent platform import``: take the report of a box that has no network."""

import json
import time
from contextlib import ExitStack
from pathlib import Path

import click

from instrument_agent.cli.options import examples
from instrument_agent.cli.platform_database import database_option, enrolment_of, installed, opened
from instrument_agent.core.errors import AgentError
from instrument_agent.i18n import _


@click.command(
    "import",
    help=_(
        "Take a report that a box made (instrument-agent report), and write the receipt for that box. No second is"
        " counted twice, whatever came over the network before or comes later."
    ),
    epilog=examples("platform import report-lab3-box1-2026-10.jsonl"),
)
@database_option
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--receipt", type=click.Path(path_type=Path), help=_("the file to write; default: FILE.receipt.json"))
@click.option("--unsigned", is_flag=True, help=_("take it although the box is not enrolled here"))
def import_report(database: str, file: Path, receipt: Path | None, unsigned: bool) -> None:
    """Check the whole file before anything of it is stored."""
    with ExitStack() as stack:
        enrolment = enrolment_of(stack, database)
        with installed():
            from instrument_agent.receiver import Ledger
            from instrument_agent.receiver.reports import check_seal, take
            from instrument_agent.report.opened import opened as opened_report
        ledger = stack.enter_context(opened(lambda: Ledger(database)))
        report = stack.enter_context(opened_report(file))
        check_seal(enrolment, report, unsigned=unsigned)
        before = ledger.count(report.box_id)
        given = take(ledger, enrolment, report, time.time_ns())
        new = ledger.count(report.box_id) - before
    path = receipt or file.with_name(f"{file.name}.receipt.json")
    try:
        path.write_text(json.dumps(given, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise AgentError(
            _("the file {path} cannot be written: {error}").format(path=path, error=error),
            _("choose another file"),
        ) from error
    click.echo(
        _("{box}, {month}: {count} records, {new} of them new here, {refused} refused").format(
            box=report.box_id, month=report.month, count=report.count, new=new, refused=len(given["rejected"])
        )
    )
    click.echo(_("receipt for the box: {path} (instrument-agent report --confirm FILE)").format(path=path))
