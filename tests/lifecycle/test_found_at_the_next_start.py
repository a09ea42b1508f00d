"""What was done to an instrument while no agent could see to it is found by the next one."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from small_box import SmallBox
from walked_log import walked

from instrument_agent.buffer.reader import Reader
from instrument_agent.control import ask

OLD, NEW = "91350100M000100Y43", "12100000MB1234567C"


@pytest.fixture
def box(tmp_path: Path) -> Iterator[SmallBox]:
    box = SmallBox(tmp_path, 'name = "mock"\nscript = [600.0]')
    box.change('id = "trial-1"', f'id = "trial-1"\norg_uscc = "{OLD}"')
    yield box
    box.kill()


def open_run(status: dict[str, Any]) -> Any:
    return status["instruments"] and status["instruments"][0]["open_run"]


def proven_log(box: SmallBox) -> list[dict[str, Any]]:
    assert walked(box.folder / "state").differences == []
    with closing(Reader(box.folder / "state")) as reader:
        return [json.loads(body) for (body,) in reader.rows("select body from records order by id")]


def test_an_owner_changed_by_hand_splits_the_books_even_after_a_kill(box: SmallBox) -> None:
    box.start()
    begun = open_run(box.until(open_run))
    box.change(OLD, NEW)
    box.kill()
    box.start()
    after = open_run(box.until(open_run))
    box.stop()
    records = proven_log(box)
    (told,) = (record for record in records if record["data"].get("event") == "transferred")
    assert "by" not in told["data"]
    assert [told["data"][side]["org_uscc"] for side in ("from", "to")] == [OLD, NEW]
    (ended,) = (record["data"] for record in records if record["type"] == "run_session")
    assert ended["start_ms"] == begun["start_ms"]
    assert ended["end_ms"] <= told["at_ms"] <= after["start_ms"]
    # In the log the old owner's come first, then the transfer, then what the instrument is called now.
    places = [
        records.index(record) for record in records if record["data"].get("event") or "start_ms" in record["data"]
    ]
    words = [records[place]["data"].get("event", records[place]["type"]) for place in places]
    assert words[0] == "configured"
    assert words[words.index("transferred") :][:2] == ["transferred", "configured"]
    assert set(words[1 : words.index("transferred")]) == {"run_session", "power_session", "observation_gap"}


def test_a_retirement_recorded_in_another_way_closes_the_books(box: SmallBox) -> None:
    box.start()
    box.until(open_run)
    ask(box.folder / "run", {"do": "append", "instrument": "trial-1", "event": "retired", "data": {}})
    box.kill()
    box.start()
    assert box.until(lambda _status: True)["instruments"] == []
    box.stop()
    types = [record["type"] for record in proven_log(box)]
    assert (types.count("run_session"), types.count("power_session")) == (1, 1)
