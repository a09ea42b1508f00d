"""A card that is brought to a box, and an agent that is there only as its control socket and its config file say."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from instrument_agent.config import InvalidConfig, load_config
from instrument_agent.control import ControlServer
from instrument_agent.provision.card import FILE_NAME, VERDICT_NAME, Card
from instrument_agent.provision.home import Home
from instrument_agent.provision.steps import Provisioning
from instrument_agent.provision.verdict import Facts, verdict

CONFIG = """# 一台
[box]
id = "box-1"
state_dir = "{folder}/state"
runtime_dir = "{folder}/run"
{destination}[[instrument]]
id = "{instrument}"
name_zh = "炉子"
[instrument.driver]
name = "mock"
script = [600.0]
[instrument.activity]
off_below = 5
run_above = {run_above}
"""
DESTINATION = """[[destination]]
name = "province"
url = "{url}"
first_contact_spread_s = 0
{more}
"""


class Agent:
    """What answers at the control socket as an agent would that was started with the config of that moment."""

    def __init__(self, folder: Path, config: Path) -> None:
        self.starts = 0
        self.unread: set[str] = set()
        self._config = config
        self._status: dict[str, Any] = {}
        self._server = ControlServer(folder / "run", {"status": lambda _request: self._status})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._server.close()

    def start(self) -> str:
        """Take up the config, as far as it can be loaded; say what is in the way."""
        self.starts += 1
        try:
            config = load_config(self._config)
        except InvalidConfig as error:
            self._status = {}
            return str(error)
        instruments = [self._instrument(item.id) for item in config.instruments]
        self._status = {"config_hash": config.hash, "instruments": instruments}
        return ""

    def _instrument(self, name: str) -> dict[str, Any]:
        failing = "driver_unavailable" if name in self.unread else None
        driver = {"failing": failing, "error": "no proper answer" if failing else "", "hint": ""}
        return {"instrument_id": name, "driver": driver, "reading": {} if failing else {"power_w": 612.34}}


class Brought:
    """A box in a folder, and a card for it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = Home(folder / "etc" / "config.toml")
        self.card = Card(folder / "card")
        for place in (self.home.config.parent, self.card.folder):
            place.mkdir()
        self.agent = Agent(folder, self.home.config)

    def __enter__(self) -> Self:
        self.agent.__enter__()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.agent.__exit__()

    def text(self, instrument: str = "oven", run_above: int = 500, url: str = "", more: str = "") -> str:
        destination = DESTINATION.format(url=url, more=more) if url else ""
        return CONFIG.format(folder=self.folder, instrument=instrument, run_above=run_above, destination=destination)

    def runs_with(self, text: str) -> None:
        """Have a config in force that somebody wrote by hand."""
        self.home.config.write_text(text, encoding="utf-8")
        self.agent.start()

    def bring(self, text: str, files: Mapping[str, str] | None = None) -> None:
        """Put a file on the card, and others beside it."""
        self.card.folder.joinpath(FILE_NAME).write_text(text, encoding="utf-8")
        for name, content in (files or {}).items():
            (self.card.folder / name).parent.mkdir(exist_ok=True)
            (self.card.folder / name).write_text(content, encoding="utf-8")

    def task(self, patience_s: float = 0.0, *, again: bool = False) -> Provisioning:
        return Provisioning(self.card, self.home, self.agent.start, patience_s, again=again)

    def provision(self, patience_s: float = 0.0, *, again: bool = False) -> Facts:
        """Do all of it, and leave the verdict on the card."""
        task = self.task(patience_s, again=again)
        list(task.steps())
        assert task.facts is not None
        self.card.tell(verdict(task.facts))
        return task.facts

    def verdict(self) -> str:
        return (self.card.folder / VERDICT_NAME).read_bytes().decode("utf-8-sig")

    def on_card(self) -> set[str]:
        return {path.name for path in self.card.folder.rglob("*") if path.is_file()}

    def notes(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.home.store / name).read_text())
        return found
