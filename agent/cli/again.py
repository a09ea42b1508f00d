"""How commands have the running agent send something once more, or note it for the next one."""

from collections.abc import Sequence

from instrument_agent.buffer.lock import StateLock
from instrument_agent.buffer.resending import ask_again
from instrument_agent.buffer.store import Store
from instrument_agent.config import Config
from instrument_agent.control import NoAgent, ask
from instrument_agent.i18n import _


def send_again(config: Config, destination: str, which: str, place: Sequence[object] = ()) -> int:
    """Have records sent again (see ``ask_again``); return how many.

    Raises:
        AgentError: the agent may not be asked, or nothing can be noted without it.
    """
    request = {"do": "send_again", "destination": destination, "which": which, "place": list(place)}
    try:
        count: int = ask(config.box.runtime_dir, request)
    except NoAgent:
        return _noted(config, destination, which, place)
    return count


def told(count: int, destination: str) -> str:
    """Return what is said to the person who asked."""
    return _("{count} records will be sent to {name} again, after what is new").format(count=count, name=destination)


def _noted(config: Config, destination: str, which: str, place: Sequence[object]) -> int:
    lock = StateLock(config.box.state_dir)
    try:
        store = Store(config.box.state_dir, config.box.id)
        try:
            return ask_again(store, destination, which, place)
        finally:
            store.close()
    finally:
        lock.release()
