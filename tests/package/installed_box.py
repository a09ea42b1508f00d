"""What the tests of the installed package share: a config file, and a platform on the loopback of both worlds."""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nspawn import CONFIG, Box

from instrument_agent.receiver.app import create_app
from instrument_agent.receiver.ledger import Ledger
from instrument_agent.receiver.server import PlatformServer

OLD, NEW = "instrument-agent_1.0_all.deb", "instrument-agent_1.1_all.deb"
QUICK = {"off_below": 5, "run_above": 1000, "min_on_s": 1, "min_off_s": 1, "off_settle_s": 0, "gap_s": 3}
CONTACT = {"channel": "contact", "states.closed": "running", "states.open": "standby"}
Options = Mapping[str, Any]


def configuration(instruments: Mapping[str, Options], url: str | None = None) -> str:
    """Return a config file with these drivers, by instrument, and perhaps a platform."""
    tables: list[tuple[str, Options]] = [("[box]", {"id": "box-1", "checkpoint_s": 2})]
    if url is not None:
        tables.append(("[[destination]]", {"name": "platform", "url": url, "first_contact_spread_s": 0}))
    for name, options in instruments.items():
        tables += [("[[instrument]]", {"id": name, "poll_s": 0.5}), ("[instrument.driver]", options)]
        tables.append(("[instrument.activity]", CONTACT if options["name"] == "contact" else QUICK))
    lines = []
    for header, values in tables:
        # A JSON string, number or list is one of TOML too.
        lines += [header, *(f"{key} = {json.dumps(value)}" for key, value in values.items())]
    return "\n".join(lines) + "\n"


@contextmanager
def platform(folder: Path, port: int = 0) -> Iterator[tuple[Ledger, str]]:
    """Run a platform out here; loopback is the same in there."""
    with (
        Ledger(f"sqlite:///{folder / 'platform.db'}") as ledger,
        PlatformServer(create_app(ledger, time.time_ns), port=port) as server,
    ):
        yield ledger, server.url


def keys(ledger: Ledger) -> list[tuple[str, int]]:
    return [(item["epoch"], item["seq"]) for item in ledger.records("box-1")]


def mock(*script: float | str, step_s: float = 1.0) -> Options:
    return {"name": "mock", "script": list(script), "step_s": step_s}


def configured(box: Box, instruments: Mapping[str, Options], url: str | None = None) -> None:
    """Give the box this config file and start the service anew with it."""
    box.write(CONFIG, configuration(instruments, url))
    box.do("systemctl", "restart", "instrument-agent")


def with_settings(box: Box, *lines: str) -> None:
    """Change the unit until the next change, as an administrator would."""
    place = Path("/run/systemd/system/instrument-agent.service.d/test.conf")
    box.write(str(place), "\n".join(["[Service]", *lines, ""]))
    box.do("systemctl", "daemon-reload")
