"""What people did to an instrument becomes a record, with an agent and without one."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_clock import FakeClock
from small_box import SILENT, SmallBox
from walked_log import walked_without_head

from instrument_agent.appending import append, tell, with_books
from instrument_agent.buffer.books import configured_data, last_epoch, newest_event, save_configured
from instrument_agent.buffer.reader import Reader
from instrument_agent.buffer.store import Start
from instrument_agent.config import Config, load_config
from instrument_agent.control import RequestFailed, ask
from instrument_agent.core.errors import AgentError, StoreUnavailable
from instrument_agent.core.records import LifecycleWord

RULES = {"channel": "power_w", "off_below": "5.0", "run_above": "500.0", "run_below": "500.0"}


@pytest.fixture
def box(tmp_path: Path) -> Iterator[SmallBox]:
    box = SmallBox(tmp_path, SILENT)
    yield box
    box.kill()


@pytest.fixture
def config(box: SmallBox) -> Config:
    text = box.config_path.read_text(encoding="utf-8")
    for name in ("state", "run"):
        text = text.replace(f'"{name}"', f'"{box.folder / name}"')
    box.config_path.write_text(text, encoding="utf-8")
    return load_config(box.config_path)


def events(box: SmallBox) -> list[dict[str, Any]]:
    reader = Reader(box.folder / "state")
    found = reader.rows("select body from records where type = 'lifecycle_event' order by id")
    reader.close()
    return [json.loads(body)["data"] for (body,) in found]


def origin(status: dict[str, Any]) -> str:
    return str(status["instruments"][0]["rules_origin"])


def test_a_commissioning_names_the_rules_in_force_and_becomes_their_origin(box: SmallBox, config: Config) -> None:
    box.start()
    assert origin(box.until(lambda status: origin(status) != "None")) == "configured"
    place = tell(config, "trial-1", LifecycleWord.COMMISSIONED, {"who": "李工", "passed": 3})
    box.until(lambda status: origin(status) == "commissioned")
    assert (place.epoch, place.at_ms > 0) == (box.until(lambda _status: True)["epoch"], True)
    with pytest.raises(RequestFailed, match="no instrument trial-9") as caught:
        ask(config.box.runtime_dir, {"do": "append", "instrument": "trial-9", "event": "retired", "data": {}})
    assert caught.value.hint == "one of trial-1"
    box.stop()
    before, told, after = events(box)
    assert (told["event"], told["who"], told["passed"]) == ("commissioned", "李工", 3)
    assert told["rules"] == before["rules"] == after["rules"]
    assert RULES.items() <= told["rules"].items()
    assert (before["rules_origin"], after["rules_origin"]) == ("configured", "commissioned")
    assert "Traceback" not in (box.folder / "log").read_text(encoding="utf-8")


def test_what_sets_rules_holds_those_before_and_names_the_record_of_them(config: Config) -> None:
    clock = FakeClock()
    learned = RULES | {"run_above": "300.5"}
    request = {
        "instrument": "trial-1",
        "event": "adjusted",
        "data": {"tool": "calibrate", "rules": RULES, "before": {}},
    }
    with with_books(config, clock) as store:
        with store.write() as change:
            save_configured(change, "trial-1", clock.boot_id, 5, {"event": "configured", "rules": learned})
        append(config, store, clock, request)
        data = newest_event(store, "trial-1", LifecycleWord.ADJUSTED)
        assert (data["before"], data["replaces"]) == (learned, {"epoch": store.epoch, "seq": 2})
        append(config, store, clock, request | {"data": request["data"] | {"before": RULES}})
        assert newest_event(store, "trial-1", LifecycleWord.ADJUSTED)["before"] == RULES


def test_without_an_agent_it_is_written_under_the_state_lock_and_found_by_the_next_start(
    box: SmallBox, config: Config
) -> None:
    place = tell(config, "trial-1", LifecycleWord.COMMISSIONED, {"who": "Li"})
    assert place.seq == 2
    box.start()
    assert origin(box.until(lambda status: origin(status) != "None")) == "commissioned"
    with pytest.raises(StoreUnavailable), with_books(config, FakeClock()):
        pass  # the agent has the lock
    box.stop()
    # Another threshold than the one commissioned is no more than configured.
    box.change("run_above = 500", "run_above = 501")
    box.start()
    assert origin(box.until(lambda status: origin(status) != "commissioned")) == "configured"
    box.stop()
    assert walked_without_head(box.folder / "state").differences == []


@pytest.mark.parametrize("crashed", [False, True])
def test_writing_a_record_does_not_change_how_the_agent_before_it_ended(
    config: Config, clock: FakeClock, *, crashed: bool
) -> None:
    with with_books(config, clock) as store:
        if crashed:  # an agent that never ended its epoch
            store.begin_epoch(Start(clock.boot_id, clock.boottime_ns(), "1", "hash"))
    for _twice in range(2):
        with with_books(config, clock) as store:
            append(config, store, clock, {"instrument": "trial-1", "event": "relocated", "data": {"location": "B-204"}})
        reader = Reader(config.box.state_dir)
        found = last_epoch(reader)
        reader.close()
        assert found is not None
        assert (found.stopped_ns is None) == crashed


@pytest.mark.parametrize(
    ("event", "data", "problem"),
    [
        ("configured", {}, "no event that can be recorded"),
        ("drift", {}, "no event that can be recorded"),
        (None, {}, "no event that can be recorded"),
        (["retired"], {}, "no event that can be recorded"),
        ("retired", None, "cannot be recorded"),
        ("retired", [], "cannot be recorded"),
        ("retired", {"hours": 1.5}, "cannot be recorded"),
        ("retired", {"sure": True}, "cannot be recorded"),
        ("retired", {"why": None}, "cannot be recorded"),
        ("retired", {"count": 2**53}, "cannot be recorded"),
        ("retired", {"why": "\x1b[31m"}, "cannot be recorded"),
        ("retired", {"why": "\ud800"}, "cannot be recorded"),
        ("retired", {"event": "commissioned"}, "cannot be recorded"),
        ("retired", {"a": [[[[["deep"]]]]]}, "cannot be recorded"),
        ("retired", {"why": "长" * 6000}, "too large"),
    ],
)
def test_what_cannot_stand_in_a_record_is_refused_and_nothing_is_written(
    config: Config, clock: FakeClock, event: object, data: object, problem: str
) -> None:
    with with_books(config, clock) as store:
        before = store.rows("select count(*) from records")
        with pytest.raises(AgentError, match=problem) as caught:
            append(config, store, clock, {"instrument": "trial-1", "event": event, "data": data})
        assert caught.value.hint
        assert store.rows("select count(*) from records") == before
        assert configured_data(store, "trial-1") == {}
