"""``instrument-agent explain``: what an argument about a run needs, from the box's database or a copy of it."""

import json
import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from in_process import run
from traced_box import DAY, TracedBox

from instrument_agent.buffer.store import Start, Store
from instrument_agent.config import ActivityConfig, load_config
from instrument_agent.core.records import Fact, RecordType, rules_data


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> TracedBox:
    return TracedBox(tmp_path_factory.mktemp("box"))


def ids(box: TracedBox) -> list[str]:
    done = run("sessions", "--config", str(box.config_path), "--format", "json")
    return [row["id"] for row in json.loads(done.stdout)]


def explained(box: TracedBox, number: int) -> dict[str, Any]:
    done = run("explain", ids(box)[number], "--config", str(box.config_path), "--json")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_the_numbers_that_dated_both_edges_are_told(box: TracedBox):
    found = explained(box, 0)
    assert found["record"]["data"] == {
        "start_ms": 1_601_000,
        "end_ms": 2_901_000,
        "unseen_ms": 101_000,
        "running_ms": 1_199_000,
    }
    rules = found["rules_record"]["data"]["rules"]
    assert (rules["run_above"], rules["run_below"], rules["min_on_ms"]) == ("1600.0", "1400.0", 60_000)
    for edge, at_ms in (("start", 1_601_000), ("end", 2_901_000)):
        readings = {item["at_ms"]: item["value"] for item in found[edge]["readings"]}
        assert found[edge]["judged"] == [readings[at_ms - 1000], readings[at_ms], readings[at_ms + 1000]]
        assert len(readings) == 241
    assert sorted(found["start"]["judged"])[1] >= 1600
    assert sorted(found["end"]["judged"])[1] < 1400
    assert [found[edge]["beyond"]["activity"] for edge in ("start", "end")] == ["standby", "standby"]


def test_gaps_clock_config_and_software_are_told(box: TracedBox):
    found = explained(box, 0)
    (gap,) = found["gaps"]
    assert (gap["start_ns"], gap["end_ns"], gap["reason"]) == (2500 * 10**9, 2601 * 10**9, "driver_unavailable")
    (anchor,) = found["anchors"]
    assert (anchor["source"], anchor["error_ns"]) == ("ntp", 10**9)
    assert (found["config_hash"], found["agent_version"]) == ("c" * 64, "0.1.0")
    assert found["times"]["start"] == "2026-11-22T16:10:00+08:00"
    assert found["times"]["utc_error_s"] == pytest.approx(1.19, abs=0.01)


def test_a_run_that_ended_in_a_silence_says_so(box: TracedBox):
    found = explained(box, 1)
    assert (found["end"]["beyond"]["activity"], found["end"]["beyond"]["reason"]) == ("unknown", "driver_unavailable")
    assert found["end"]["readings"][-1] == {"at_ms": found["end"]["at_ms"] + 1000, "failed": "driver_unavailable"}
    said = run("explain", ids(box)[1], "--config", str(box.config_path)).stdout
    assert "the last sight before a silence too long to be spanned: the device does not answer" in said


def test_the_plot_shows_both_sides_of_the_edge_and_the_threshold(box: TracedBox):
    lines = run("explain", ids(box)[0], "--config", str(box.config_path)).stdout.splitlines()
    start = lines[lines.index("Start") : lines.index("End")]
    assert all(len(line) <= 80 for line in start[3:])
    (threshold,) = [line for line in start if line.strip().startswith("1600 -")]
    assert threshold.count("-") == 60
    upper, lower = (next(line for line in rows if "●" in line) for rows in (start, start[::-1]))
    assert upper.index("●") >= lower.rindex("●"), "low before the start, high after it"


def test_a_copied_database_is_enough(box: TracedBox, tmp_path: Path):
    copy = tmp_path / "copy.db"
    shutil.copy(box.database, copy)
    nowhere = str(tmp_path / "none.toml")
    done = run("explain", ids(box)[0], "--database", str(copy), "--config", nowhere, "--json")
    found = json.loads(done.stdout)
    assert found["times"]["timezone"] == "UTC"
    assert found["times"]["start"] == "2026-11-22T08:10:00+00:00"
    assert found["record"] == explained(box, 0)["record"]


def pruned(box: TracedBox, tmp_path: Path, *statements: str) -> list[str]:
    copy = tmp_path / "copy.db"
    shutil.copy(box.database, copy)
    with closing(sqlite3.connect(copy)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()
    return run("explain", ids(box)[0], "--database", str(copy), "--config", str(box.config_path)).stdout.splitlines()


def test_where_single_readings_are_gone_ten_seconds_are_shown_and_it_is_said(box: TracedBox, tmp_path: Path):
    said = pruned(box, tmp_path, "delete from edges")
    assert "  single readings are not kept of this time any more, only what ten seconds had" in said
    assert sum(line.startswith("      1600 ---") for line in said) == 1


@pytest.mark.parametrize(
    ("deleted", "sentence"),
    [
        ("delete from buckets", "no readings of this boot are kept any more: only the records stand"),
        (
            "delete from buckets where start_ms < 3100000",
            "readings of this time were pruned; the oldest kept of this boot are of ",
        ),
    ],
)
def test_where_all_readings_are_gone_it_is_said(box: TracedBox, tmp_path: Path, deleted: str, sentence: str):
    said = pruned(box, tmp_path, "delete from edges", deleted)
    assert sum(sentence in line for line in said) == 2
    assert "Run " in said[0], "the rest still stands"


def test_what_is_no_run_is_refused_with_what_to_do(box: TracedBox):
    for wanted, said in (
        ("x", "x is not the id of a run"),
        ("abc-1", "abc-1 is not the id of a run"),
        (f"{box.epoch[:8]}-1", "there is no run"),
        ("ffffffff-1", "there is no run"),
    ):
        done = run("explain", wanted, "--config", str(box.config_path))
        assert (done.returncode, done.stdout) == (1, "")
        assert said in done.stderr
        assert "What to do: take one from the list: instrument-agent sessions" in done.stderr


def test_each_edge_is_explained_by_the_rules_that_were_in_force_at_it(box: TracedBox, tmp_path: Path):
    before = load_config(box.config_path).instruments[0].activity.rules()
    after = replace(before, run_above=1500.0, run_below=1200.0)
    too_late = replace(after, run_below=1000.0)  # after the end, but before it was certain
    work = ((800, 300), (2400, 300), (after, 0), (2400, 300), (1300, 200), (800, 60), (too_late, 0), (800, 300))
    changed = TracedBox(tmp_path / "box", work)
    found = explained(changed, 0)
    assert found["rules_record"]["data"]["rules"]["run_above"] == "1600.0"
    (later,) = found["rules_changed_by"]
    assert later["data"]["replaces"] == {key: found["rules_record"][key] for key in ("epoch", "seq")}
    assert found["end"]["at_ms"] == 1000 * (1000 + 300 + 300 + 300 + 200 + 1)
    said = run("explain", ids(changed)[0], "--config", str(changed.config_path)).stdout
    assert "a run begins at 1600.0 or over, and ends below 1400.0" in said
    assert "a run begins at 1500.0 or over, and ends below 1200.0" in said
    end = said[said.index("End") :]
    assert "      1200 ---" in end
    assert run("verify", "--config", str(changed.config_path)).returncode == 0


def test_of_an_instrument_that_tells_its_state_the_states_are_shown_and_what_they_mean(tmp_path: Path):
    rules = ActivityConfig(channel="power_w", states={"idle": "standby", "busy": "running"}).rules()
    box = TracedBox(tmp_path / "box", ((rules, 0), ("idle", 100), ("busy", 300), ("idle", 200)))
    said = run("explain", *first_of(box)).stdout
    start = said[said.index("Start") : said.index("End")]
    assert "-1.000 s  idle = standby\n      +0.000 s  busy = running <\n" in start
    assert "the first state with another meaning" in start
    assert "threshold" not in start
    assert "readings before" not in start


def test_who_set_the_rules_is_told(tmp_path: Path):
    box = TracedBox(tmp_path / "box", DAY[:2])
    rules = load_config(box.config_path).instruments[0].activity.rules()
    data = {"event": "adjusted", "tool": "what_if", "by": "Li Si", "rules": rules_data(rules)}
    appended(box, (RecordType.LIFECYCLE_EVENT, data), (RecordType.RUN_SESSION, RUN))
    assert "set by Li Si with `replay --what-if --apply`, record 2 of epoch" in run("explain", *first_of(box)).stdout


def test_rules_that_only_stand_in_the_config_file_are_nobodys(box: TracedBox):
    assert "no record says who wrote them there" in run("explain", *first_of(box)).stdout


def test_a_run_over_a_reboot_names_the_run_it_goes_on_from(tmp_path: Path):
    box = TracedBox(tmp_path / "box")
    earlier = explained(box, 0)["record"]
    continues = {"boot_id": earlier["boot_id"], "start_ms": earlier["data"]["start_ms"]}
    appended(box, (RecordType.RUN_SESSION, RUN | {"continues": continues}))
    assert explained(box, -1)["continues"] == ids(box)[0]
    assert (
        f"goes on from run {ids(box)[0]}, which began at 1601.000 s"
        in run("explain", ids(box)[-1], "--config", str(box.config_path)).stdout
    )


RUN: dict[str, Any] = {"start_ms": 5_601_000, "end_ms": 6_000_000, "unseen_ms": 0, "running_ms": 399_000}


def appended(box: TracedBox, *facts: tuple[RecordType, dict[str, Any]]) -> None:
    """Put records in an epoch of their own."""
    boot_id, at_ns = box.clock.boot_id, box.clock.boottime_ns()
    store = Store(box.database.parent, "box-1")
    store.begin_epoch(Start(boot_id, at_ns, "0.1.0", "c" * 64))
    with store.write() as change:
        for kind, data in facts:
            change.append(Fact(kind, boot_id, at_ns, data, "xrd-1"))
    store.close()


def first_of(box: TracedBox) -> tuple[str, ...]:
    return (ids(box)[0], "--config", str(box.config_path))


def test_a_run_whose_record_was_pruned_is_told_from_one_that_never_was(box: TracedBox, tmp_path: Path):
    copy = tmp_path / "copy.db"
    shutil.copy(box.database, copy)
    with closing(sqlite3.connect(copy)) as connection:
        connection.execute("delete from records where seq <= 6")
        connection.execute("insert into roots (epoch, seq, hash) values (?, 6, '')", (box.epoch,))
        connection.commit()
    done = run("explain", f"{box.epoch[:8]}-6", "--database", str(copy))
    assert "is not kept any more: it was confirmed and pruned" in done.stderr


def test_a_longer_epoch_names_the_same_run(box: TracedBox):
    short = ids(box)[0]
    whole = f"{box.epoch}-{short.rpartition('-')[2]}"
    config = ("--config", str(box.config_path))
    assert run("explain", whole, *config).stdout == run("explain", short, *config).stdout
