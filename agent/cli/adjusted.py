"""Thresholds that a person has changed: in the config file, in the log with a name, and in the agent that runs."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from instrument_agent.cli.asked import by
from instrument_agent.i18n import _
from instrument_agent.tables.change import Scalar

if TYPE_CHECKING:
    from instrument_agent.config import Config


def adjusted(
    config: "Config", instrument_id: str, keys: Mapping[str, Scalar], tool: str, who: str | None
) -> Iterator[str]:
    """Change the keys, record it, have the agent read them; yield what was done, in sentences.

    ``tool`` names the command that proposed them.

    Raises:
        AgentError: it was not done, or not to its end; giving the command again does the rest.
    """
    from instrument_agent.appending import tell
    from instrument_agent.config.change import change_keys
    from instrument_agent.core.records import LifecycleWord, rules_data
    from instrument_agent.field.access import instrument_of

    new = change_keys(config.path, instrument_id, keys)
    yield _("written to {path}; the file as it was is {path}.bak").format(path=config.path)
    rules = instrument_of(new, instrument_id).activity.rules()
    told = {**by(who), "tool": tool, "rules": rules_data(rules)}
    place = tell(new, instrument_id, LifecycleWord.ADJUSTED, told)
    yield _("recorded: seq {seq} of epoch {epoch}").format(seq=place.seq, epoch=place.epoch)
    yield reloaded(new)


def reloaded(config: "Config") -> str:
    """Let a running agent read its config file again, and say what came of it."""
    from instrument_agent.control import NoAgent, RequestFailed, ask

    try:
        ask(config.box.runtime_dir, {"do": "reload"})
    except NoAgent:
        return _("no agent is running; the next start uses it")
    except RequestFailed as error:
        return _("the running agent does not use it yet: {error}; restart it").format(error=error)
    return _("the running agent takes it up")
