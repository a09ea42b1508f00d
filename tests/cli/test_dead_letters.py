"""``deadletter`` and ``resend`` without a running agent: what was refused is shown, kept, and asked for again."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from delivering_box import config_of
from in_process import run

from instrument_agent.buffer.lock import StateLock
from instrument_agent.buffer.outbox import Outbox
from instrument_agent.buffer.resending import next_again
from instrument_agent.buffer.store import Start, Store
from instrument_agent.core.records import Fact, RecordType

BOOT = "11111111-1111-4111-8111-111111111111"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return config_of(tmp_path, province="http://127.0.0.1:1", city="http://127.0.0.1:1")


@pytest.fixture
def epoch(config: Path) -> Iterator[str]:
    """Nine records, all settled at the province, which refused two of them; the city has five and refused one."""
    (config.parent / "state").mkdir()
    store = Store(config.parent / "state", "box-1")
    store.begin_epoch(Start(BOOT, 1, "0.1.0", "c0ffee"))
    with store.write() as change:
        for number in range(8):
            change.append(Fact(RecordType.FAULT, BOOT, number, {"kind": "trial", "number": number}, "trial-1"))
    Outbox(store, "province").settle(9, {3: "schema: odd", 4: "hash_mismatch"}, BOOT, 9)
    Outbox(store, "city").settle(5, {3: "conflict"}, BOOT, 9)
    yield store.epoch
    store.close()


def asked_for(config: Path, destination: str) -> list[int]:
    store = Store(config.parent / "state", "box-1")
    batch = next_again(store, destination, 100)
    store.close()
    return [] if batch is None else [entry.seq for entry in batch.entries]


def test_what_was_refused_is_listed_with_the_reason(config: Path, epoch: str):
    lines = run("deadletter", "list", "--config", str(config)).stdout.splitlines()
    assert [line.split()[:2] for line in lines] == [["3", "city"], ["3", "province"], ["4", "province"]]
    assert lines[2].endswith(f"{epoch} 4  fault trial-1  hash_mismatch")
    found = json.loads(run("deadletter", "list", "--config", str(config), "--destination", "city", "--json").stdout)
    assert [(item["seq"], item["reason"], item["again"]) for item in found] == [(3, "conflict", False)]


def test_a_refused_record_is_shown_and_exported_as_it_was_written(config: Path, epoch: str, tmp_path: Path):
    [shown] = json.loads(run("deadletter", "show", "--config", str(config), "4").stdout)
    assert (shown["record"]["seq"], shown["record"]["data"]["number"]) == (4, 2)
    done = run("deadletter", "export", "--config", str(config), "-o", str(tmp_path / "letters"))
    lines = (tmp_path / "letters").read_text().splitlines()
    assert done.stdout.startswith("3 records")
    assert json.loads(lines[2]) == shown
    printed = run("deadletter", "export", "--config", str(config), "--destination", "province", "-o", "-").stdout
    assert printed.splitlines() == lines[1:]
    assert "cannot be written" in run("deadletter", "export", "--config", str(config), "-o", "/").stderr


def test_status_says_how_many_were_refused_and_where_to_look(config: Path, epoch: str):
    shown = " ".join(run("status", "--config", str(config)).stdout.split())
    assert "province: it refused 2 records. see: instrument-agent deadletter list" in shown
    assert "city: it refused 1 records" in shown


def test_they_are_asked_for_again_one_or_all_at_one_destination(config: Path, epoch: str):
    here = ("--config", str(config))
    assert run("deadletter", "resend", *here, "--destination", "province", "4").stdout.startswith("1 records will be")
    assert asked_for(config, "province") == [4]
    assert "(to be sent again)" in run("deadletter", "list", *here).stdout.splitlines()[2]
    run("deadletter", "resend", *here, "--destination", "province", "--all")
    assert (asked_for(config, "province"), asked_for(config, "city")) == ([3, 4], [])


def test_a_stretch_is_asked_for_again_as_far_as_it_was_settled(config: Path, epoch: str):
    done = run("resend", "--config", str(config), "--destination", "city", "--from", "4", "--to", "8")
    assert done.stdout == "2 records will be sent to city again, after what is new\n"
    assert asked_for(config, "city") == [4, 5]
    done = run("resend", "--config", str(config), "--destination", "city", "--epoch", "x", "--from", "4", "--to", "8")
    assert (done.returncode, "none of these records of epoch x" in done.stderr) == (1, True)


def test_what_cannot_be_sent_again_is_said(config: Path, epoch: str):
    for arguments, said in (
        (["deadletter", "show", "9"], "no refused record 9"),
        (["deadletter", "resend", "--destination", "city", "4"], "no refused record 4"),
        (["deadletter", "resend", "4"], "say which destination"),
        (["deadletter", "resend", "--destination", "nowhere", "4"], "no destination nowhere"),
        (["deadletter", "resend", "--destination", "city"], "give either a number or --all"),
        (["resend", "--destination", "city", "--from", "5", "--to", "4"], "the first seq is after the last"),
    ):
        done = run(*arguments, "--config", str(config))
        assert done.returncode != 0
        assert said in done.stderr


def test_an_agent_that_works_there_without_an_answer_is_not_disturbed(config: Path, epoch: str):
    lock = StateLock(config.parent / "state")
    done = run("deadletter", "resend", "--config", str(config), "--destination", "city", "3")
    lock.release()
    assert "another agent already works" in done.stderr
    assert asked_for(config, "city") == []


def test_where_nothing_was_refused_that_is_said(config: Path):
    (config.parent / "state").mkdir()
    Store(config.parent / "state", "box-1").close()
    assert run("deadletter", "list", "--config", str(config)).stdout == "Nothing was refused.\n"
