"""An instrument changes hands or goes out of use: its books are closed at one instant, and what comes is another's.

Whatever led there, an edit of the config file, a command or a crash in between: the agent that takes an instrument up
compares the owner it is told with the one it announced last. So no hour can move to another (docs/decisions/0014).
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from instrument_agent.appending import checked
from instrument_agent.buffer.books import newest_lifecycle
from instrument_agent.buffer.reader import Readable
from instrument_agent.config import Config
from instrument_agent.core.errors import AgentError
from instrument_agent.core.records import LifecycleWord
from instrument_agent.i18n import _

WORDS = (LifecycleWord.TRANSFERRED, LifecycleWord.RETIRED)
TOLD = ("org_name", "org_uscc", "asset_code", "platform_code")
"""What a transfer names of both sides."""


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be done with one instrument when the config is read again; ``data`` is that of the record."""

    instrument_id: str
    event: LifecycleWord
    data: Mapping[str, Any]


def order_of(request: Mapping[str, Any], known: Collection[str]) -> Order | None:
    """Return the order in a request to reload; None if there is none.

    Raises:
        AgentError: it cannot be carried out.
    """
    asked = request.get("order")
    if asked is None:
        return None
    if not isinstance(asked, dict) or asked.get("event") not in WORDS:
        hint = _("one of {names}").format(names=", ".join(WORDS))
        raise AgentError(_("a reload cannot be combined with this"), hint)
    instrument_id, data = checked(asked, known)
    return Order(instrument_id, LifecycleWord(data["event"]), data)


def owner_changed(before: Mapping[str, str], now: Mapping[str, str]) -> bool:
    """Say whether two identities name different owners: by credit code, or by name where one of them has no code.

    An owner who is named for the first time, or whose name is corrected, is no other owner.
    """
    for key in ("org_uscc", "org_name"):
        if before.get(key) and now.get(key):
            return before[key] != now[key]
    return False


def transferred(before: Mapping[str, str], now: Mapping[str, str], order: Order | None) -> dict[str, Any]:
    """Return the data of the record of a transfer; without an order nobody said who did it."""
    told = {} if order is None else dict(order.data)
    sides = {"from": before, "to": now}
    named = {side: {key: known.get(key, "") for key in TOLD} for side, known in sides.items()}
    return {**told, "event": LifecycleWord.TRANSFERRED.value, **named}


def is_retired(source: Readable, instrument_id: str) -> bool:
    """Say whether an instrument is out of use: its id is never watched again."""
    return newest_lifecycle(source, instrument_id, LifecycleWord.RETIRED) is not None


def in_use(config: Config, source: Readable) -> Config:
    """Return the config without the instruments that are retired."""
    left = tuple(item for item in config.instruments if not is_retired(source, item.id))
    return config if len(left) == len(config.instruments) else replace(config, instruments=left)
