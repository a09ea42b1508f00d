"""What the world puts under the agent: its card, its network, and a calendar in which a month is long."""

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from cards import watched_by
from machine import KEPT_NS, NoSocket
from truth import HOUR_NS

from instrument_agent import daemon, upkeep, worker
from instrument_agent.buffer import retention
from instrument_agent.buffer.lock import StateLock

if TYPE_CHECKING:
    from world import World


@contextmanager
def put_under(world: "World") -> Iterator[None]:
    """Put the world in the place of the network, the card and the control socket."""
    connect, watched = sqlite3.connect, watched_by(world)
    platforms = {f"http://127.0.0.1:9/{platform.name}": platform for platform in world.platforms}

    def opened(path: Any, *arguments: Any, **options: Any) -> sqlite3.Connection:
        if Path(str(path)).name != "buffer.db" or options.get("uri"):
            return connect(path, *arguments, **options)
        connection = connect(path, *arguments, **options, factory=watched)
        world.held.append(connection)
        return connection

    class Lock(StateLock):
        def __init__(self, state_dir: Path) -> None:
            super().__init__(state_dir)
            world.held.append(self)

    places: list[tuple[Any, str, Any]] = [
        (sqlite3, "connect", opened),
        (daemon, "StateLock", Lock),
        (daemon, "ControlServer", NoSocket),
        (daemon, "transport_to", lambda destination, *_: platforms[destination.url]),
        (upkeep, "EPOCH_NS", 24 * HOUR_NS),
        (upkeep, "PRUNE_EVERY_NS", 6 * HOUR_NS),
        (retention, "KEPT_NS", KEPT_NS),
        (worker, "SLICE_S", 3600.0),
    ]
    with ExitStack() as stack:
        for place, name, instead in places:
            stack.enter_context(patch.object(place, name, instead))
        yield
