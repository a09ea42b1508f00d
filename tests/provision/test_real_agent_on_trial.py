"""A card brought to an agent that runs, with a platform that lets enrolled boxes in only."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from brought import CONFIG, DESTINATION

from instrument_agent.control import ask
from instrument_agent.provision.card import FILE_NAME, Card
from instrument_agent.provision.home import Home
from instrument_agent.provision.steps import Provisioning
from instrument_agent.provision.verdict import Facts, Outcome
from instrument_agent.receiver import Ledger, PlatformServer, create_app
from instrument_agent.receiver.enrolment import Enrolment
from instrument_agent.sandbox.agent_process import AgentProcess


class Service:
    """The agent as a service: started anew with the config of the moment."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.home = Home(folder / "etc" / "config.toml")
        self.home.config.parent.mkdir()
        self.card = Card(folder / "card")
        self.card.folder.mkdir()
        self._process: AgentProcess | None = None

    def restart(self) -> str:
        self.stop()
        self._process = AgentProcess(self.home.config, self._folder / "log")
        return ""

    def stop(self) -> None:
        if self._process is not None:
            self._process.stop()

    def bring(self, text: str, patience_s: float, code: str = "") -> Facts:
        (self.card.folder / FILE_NAME).write_text(text, encoding="utf-8")
        if code:
            (self.card.folder / "enrol-code.txt").write_text(f"{code}\n")
        task = Provisioning(self.card, self.home, self.restart, patience_s)
        list(task.steps())
        assert task.facts is not None
        return task.facts


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    service = Service(tmp_path)
    yield service
    service.stop()


def test_a_box_is_configured_and_enrolled_by_a_card_and_goes_back_from_a_meter_that_is_silent(
    service: Service, tmp_path: Path
) -> None:
    database = f"sqlite:///{tmp_path / 'platform.db'}"
    enrolment = Enrolment(database)
    with Ledger(database) as ledger, PlatformServer(create_app(ledger, time.time_ns, enrolment=enrolment)) as server:
        destination = DESTINATION.format(url=server.url, more="")
        good = CONFIG.format(folder=tmp_path, destination=destination, instrument="oven", run_above=500)
        facts = service.bring(good, 20.0, enrolment.new_code("box-1", time.time_ns(), 1))
        assert facts.outcome is Outcome.APPLIED
        assert facts.now.platforms[0].enrolled
        assert facts.removed == ["enrol-code.txt"]
        assert not service.home.code(1).exists()
        before = ask(tmp_path / "run", {"do": "status"})

        facts = service.bring(good.replace("[600.0]", '["unavailable"]'), 0.5)
        assert facts.outcome is Outcome.ROLLED_BACK
        assert "oven" in facts.missing["en"][0]
        assert facts.missing["zh"] == ["oven 炉子：未读到。脚本规定：没有应答"]
        assert facts.now.instruments[0].reading == "power_w = 600 W"
        assert [(item.name, item.good) for item in facts.now.platforms] == [("province", True)]
        assert ask(tmp_path / "run", {"do": "status"})["config_hash"] == before["config_hash"]
    enrolment.close()
