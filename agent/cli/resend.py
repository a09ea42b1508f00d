"""``instrument-agent resend``: send a stretch of the log to a platform once more."""

from contextlib import closing
from pathlib import Path

import click

from instrument_agent.cli.options import config_option, destination_of, destination_option, examples
from instrument_agent.core.errors import AgentError
from instrument_agent.i18n import _


@click.command(
    help=_(
        "Send records once more that the platform has settled, for instance because it lost them. It counts none of"
        " them twice."
    ),
    epilog=examples("resend --from 1 --to 500", "resend --epoch 0b54c7fb-7c3c-4a83-9d2f-3a1a3f5a2b10 --from 7 --to 7"),
)
@config_option
@destination_option
@click.option("--from", "from_seq", type=click.IntRange(1), required=True, help=_("first seq"))
@click.option("--to", "to_seq", type=click.IntRange(1), required=True, help=_("last seq"))
@click.option("--epoch", help=_("the epoch they are of (default: the newest)"))
def resend(config_path: Path, destination: str | None, from_seq: int, to_seq: int, epoch: str | None) -> None:
    """Have the agent do it."""
    if from_seq > to_seq:
        raise AgentError(_("the first seq is after the last"), _("swap --from and --to"))
    from instrument_agent.buffer.reader import Reader
    from instrument_agent.cli.again import send_again, told
    from instrument_agent.config import load_config

    config = load_config(config_path)
    name = destination_of(config, destination).name
    with closing(Reader(config.box.state_dir)) as reader:
        newest = reader.rows("select epoch from records order by id desc limit 1")
    meant = epoch or (newest[0][0] if newest else "")
    count = send_again(config, name, "range", [meant, from_seq, to_seq])
    if not count:
        raise AgentError(
            _("none of these records of epoch {epoch} was settled at {name}").format(epoch=meant, name=name),
            _("what is not settled is being sent anyway; what is pruned is no longer here"),
        )
    click.echo(told(count, name))
