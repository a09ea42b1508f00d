"""``instrument-agent verify``: what of a database is proven, and what is not."""

import sys
from pathlib import Path
from typing import Any

import click

from instrument_agent.buffer.faults import told
from instrument_agent.buffer.headfile import NotedHead, read_head
from instrument_agent.buffer.opening import look
from instrument_agent.buffer.reader import FILE_NAME, Reader
from instrument_agent.buffer.verify import Report
from instrument_agent.buffer.verify import verify as walk
from instrument_agent.cli.options import as_json, config_option, examples
from instrument_agent.cli.verify_counts import proven_lines, unproven_lines
from instrument_agent.i18n import _, ngettext


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
    # A copy may lie anywhere: a head file beside it is its own only if it lies in a state directory. It is read first:
    # while the agent writes, the log may only grow beyond it.
    head = read_head(database.parent) if database.name == FILE_NAME else None
    reader = look(database.parent, database.name)
    try:
        report = _walked(reader, head)
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
        "keys": report.keys,
        "head_file": {None: "missing", True: "agrees", False: "differs"}[report.head],
        "differences": report.count,
        "sentences": report.differences,
    }


def _walked(reader: Reader, head: NotedHead | None) -> Report:
    if not sys.stderr.isatty():
        return walk(reader, head)
    from rich.console import Console
    from rich.progress import Progress

    total = reader.rows("select count(*) from records")[0][0]
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(_("records"), total=total)
        return walk(reader, head, lambda count: progress.update(task, completed=count))


def _print(report: Report, database: Path) -> None:
    click.echo(str(database))
    click.echo(_("Proven:"))
    for line in proven_lines(report.proven):
        click.echo("  " + line)
    unproven = unproven_lines({**report.unproven, "roots": len(report.roots)})
    if unproven:
        click.echo(_("Not proven:"))
    for line in unproven:
        click.echo("  " + line)
    _print_faults(report)
    _print_keys(report)
    _print_head(report)
    if not report.count:
        click.echo(
            _("No difference was found. What was cut off at the end shows only in the head file or at a platform.")
        )
        return
    click.echo(ngettext("{count} difference:", "{count} differences:", report.count).format(count=report.count))
    for sentence in report.differences:
        click.echo("  " + sentence)


def _print_keys(report: Report) -> None:
    """Print with which keys signatures were checked: whoever can change the log can put other keys beside it."""
    if report.unsigned:
        click.echo(_("Signatures were not checked: {error}").format(error=report.unsigned))
    if report.keys:
        click.echo(_("These keys signed; compare them with what the platform has (platform keys):"))
    whose = {"box": _("box"), "platform": _("platform")}
    for key in report.keys:
        click.echo(f"  {key['destination']}  {whose[key['of']]}  {key['public_key']}")


def _print_faults(report: Report) -> None:
    """Print what the log itself tells of losses and troubles: an auditor is not to search for it."""
    if report.faults:
        title = ngettext("This log tells of {count} fault:", "This log tells of {count} faults:", len(report.faults))
        click.echo(title.format(count=len(report.faults)))
    for fault in report.faults:
        data = {name: value for name, value in fault.items() if name not in ("in_seq", "in_epoch")}
        place = _("told in record {seq} of epoch {epoch}").format(seq=fault["in_seq"], epoch=fault["in_epoch"])
        click.echo(f"  {told(data)} ({place})")
        for lost in fault.get("lost", []):
            click.echo("    " + _("lost: seq {from_seq} to {to_seq} of epoch {epoch}").format(**lost))


def _print_head(report: Report) -> None:
    if report.head:
        click.echo(_("The log reaches as far as the head file says."))
        return
    if report.head is None:
        click.echo(_("No head file beside the database: nothing can be said of its end."))
    click.echo(_("Of a box, copy buffer.db, buffer.db-wal and head.json together."))
