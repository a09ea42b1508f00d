"""An instrument is given to another unit while it runs: every hour has one owner."""

import json
from contextlib import closing
from itertools import pairwise
from typing import Any

from in_process import run
from rig import Dial, Rig
from walked_log import walked

from instrument_agent.buffer.reader import Reader
from instrument_agent.core.ledger import totals_ns
from instrument_agent.core.readings import NS_PER_MS, Activity

NEW = ("--org", "新单位", "--uscc", "12100000MB1234567C")
CUT_MS = 2
"""Start and end of a session are each cut to a millisecond."""
COUNTED = {"run_session": "running_ms", "power_session": "powered_ms"}


def log_of(rig: Rig) -> list[dict[str, Any]]:
    with closing(Reader(rig.directory / "state")) as reader:
        return [json.loads(body) for (body,) in reader.rows("select body from records order by id")]


def by_owner(records: list[dict[str, Any]]) -> dict[str, dict[str, int]]:
    """Sum sessions by the owner that stood in the last `configured` record before them, as a platform would."""
    owner, sums = "", dict[str, dict[str, int]]()
    for record in records:
        if record["data"].get("event") == "configured":
            owner = record["data"]["identity"]["org_name"]
        if name := COUNTED.get(record["type"]):
            mine = sums.setdefault(owner, dict.fromkeys(COUNTED.values(), 0))
            mine[name] += record["data"][name]
    return sums


def running(rig: Rig, since_ms: int = 0) -> Any:
    return rig.until(
        lambda: (run := rig.instrument("xrd-1").get("open_run")) and run["start_ms"] >= since_ms and run, "it runs"
    )


def ended_in_order(rig: Rig, dial: Dial) -> list[dict[str, Any]]:
    """Let the run end and all of it be delivered, stop the agent, and have the whole database proven."""
    dial.watts = 1.0
    rig.until(lambda: rig.activity("xrd-1") == "off", "it is off")
    rig.stop_when_all_is_there()
    assert walked(rig.directory / "state").differences == []
    return log_of(rig)


def test_a_run_that_is_open_over_a_transfer_is_split_at_its_instant_and_each_owner_gets_his_part(
    rig: Rig, dial: Dial
) -> None:
    rig.start_agent()
    begun = running(rig)
    done = run(
        *("transfer", "--config", str(rig.config_path), "--instrument", "xrd-1", *NEW),
        *("--asset-code", "NEW-7", "--who", "李工", "--yes"),
    )
    assert done.returncode == 0, done.stderr
    assert "org_name: Old Unit -> 新单位" in done.stdout
    (told,) = (record for record in log_of(rig) if record["data"].get("event") == "transferred")
    at_ms = told["at_ms"]
    assert f"{at_ms / 1000:.3f} s" in done.stdout
    assert (told["data"]["by"], told["data"]["from"]["asset_code"], told["data"]["to"]["asset_code"]) == (
        *("李工", "OLD-1", "NEW-7"),
    )
    assert running(rig, at_ms)["start_ms"] > begun["start_ms"]
    # What this boot counted before is the old owner's, and not shown as the new one's.
    spent = rig.instrument("xrd-1")["spent_ms"]
    assert sum(spent.values()) <= rig.status()["boottime_ms"] - at_ms

    records = ended_in_order(rig, dial)
    spans = [record["data"] for record in records if "start_ms" in record["data"]]
    assert [span for span in spans if span["start_ms"] < at_ms < span["end_ms"]] == []
    chain = rig.chain("xrd-1")
    edge_ns = at_ms * NS_PER_MS
    assert all(a.end_ns == b.start_ns for a, b in pairwise(chain))
    sums = by_owner(records)
    assert set(sums) == {"Old Unit", "新单位"}
    sides = {"Old Unit": lambda item: item.end_ns <= edge_ns, "新单位": lambda item: item.start_ns >= edge_ns}
    for owner, side in sides.items():
        spent_ns = totals_ns(filter(side, chain))
        powered_ns = spent_ns[Activity.RUNNING] + spent_ns[Activity.STANDBY]
        assert abs(sums[owner]["running_ms"] - spent_ns[Activity.RUNNING] // NS_PER_MS) <= CUT_MS
        assert abs(sums[owner]["powered_ms"] - powered_ns // NS_PER_MS) <= CUT_MS
    assert sums["Old Unit"]["running_ms"] > 0
    assert sums["新单位"]["running_ms"] > 0
    there = rig.received()  # one more may have been made while the agent was told to stop
    assert there == [(record["epoch"], record["seq"]) for record in records][: len(there)]
