"""The metrics are what status says, in a form Prometheus reads."""

import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from instrument_agent.cli.main import cli
from instrument_agent.control import ControlServer
from instrument_agent.doctor.metrics import exposition

STATUS: dict[str, Any] = {
    "running": True,
    "box_id": 'lab "3"\\',
    "agent_version": "0.1.0",
    "boot_id": "b1",
    "boottime_ms": 100_000,
    "utc": {"at_ms": 1_790_000_000_000, "error_ms": 1500, "quality": "good"},
    "storage_error": "",
    "instruments": [
        {
            "instrument_id": "xrd-1",
            "activity": "running",
            "read_at_ms": 99_500,
            "spent_ms": {"off": 0, "standby": 1500, "running": 90_000, "unknown": 0},
            "driver": {"reads": 1234567890123, "failures": 2, "failing": None},
        },
        {
            "instrument_id": "sem-1",
            "activity": "unknown",
            "read_at_ms": None,
            "spent_ms": {"off": 0, "standby": 0, "running": 0, "unknown": 100_000},
            "driver": None,
        },
    ],
    "destinations": [
        {
            "name": "province",
            "queue": {"waiting": 5, "dead_lettered": 1, "acked_at_ns": 40_000_000_000, "acked_boot_id": "b1"},
            "contact": {"error": "no answer"},
            "heartbeats_sent": 7,
        },
        {
            "name": "school",
            "queue": {"waiting": 0, "dead_lettered": 0, "acked_at_ns": 40_000_000_000, "acked_boot_id": "b0"},
        },
    ],
}
_LABEL = r'[a-z_]+="(?:[^"\\\n]|\\[\\"n])*"'
_SAMPLE = re.compile(rf"[a-z_]+(?:{{{_LABEL}(?:,{_LABEL})*}})? -?\d+(?:\.\d+)?(?:e[+-]\d+)?")


def samples(text: str) -> dict[str, float]:
    found = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _space, value in found}


def test_every_line_is_one_prometheus_reads() -> None:
    text = exposition(STATUS)
    assert text.endswith("\n")
    lines = text.splitlines()
    assert not [line for line in lines if not line.startswith("#") and not _SAMPLE.fullmatch(line)]
    types = dict(line.split()[2:4] for line in lines if line.startswith("# TYPE"))
    assert {name for name, kind in types.items() if kind == "counter"} == {
        name for name in types if name.endswith("_total")
    }
    for line in lines:
        if not line.startswith("#"):
            assert re.split(r"[ {]", line)[0] in types
    named = [line.split()[2] for line in lines if line.startswith("# HELP")]
    assert len(named) == len(set(named)) == len(types)


def test_seconds_are_seconds_and_labels_are_escaped() -> None:
    found = samples(exposition(STATUS))
    assert found['instrument_agent_info{box="lab \\"3\\"\\\\",version="0.1.0"}'] == 1
    assert found["instrument_agent_utc_error_seconds"] == 1.5
    assert found['instrument_agent_instrument_spent_seconds{instrument="xrd-1",activity="running"}'] == 90
    assert found['instrument_agent_instrument_last_read_age_seconds{instrument="xrd-1"}'] == 0.5
    assert found['instrument_agent_destination_acknowledged_age_seconds{destination="province"}'] == 60
    assert found['instrument_agent_destination_failing{destination="province"}'] == 1


def test_large_counters_keep_their_digits() -> None:
    status = STATUS | {"instruments": [STATUS["instruments"][0]]}
    assert 'reads_total{instrument="xrd-1"} 1234567890123\n' in exposition(status)


def test_exactly_one_activity_is_the_one_of_an_instrument() -> None:
    found = samples(exposition(STATUS))
    now = {name: value for name, value in found.items() if "_activity{" in name and "xrd-1" in name}
    assert sum(now.values()) == 1
    assert len(now) == 4
    assert now['instrument_agent_instrument_activity{instrument="xrd-1",activity="running"}'] == 1


def test_what_is_not_known_is_absent_and_not_zero() -> None:
    text = exposition(STATUS | {"utc": None, "running": False})
    assert "utc_error_seconds" not in text
    assert 'last_read_age_seconds{instrument="sem-1"}' not in text
    assert 'reads_total{instrument="sem-1"}' not in text
    assert 'acknowledged_age_seconds{destination="school"}' not in text
    assert 'destination_failing{destination="school"}' not in text
    assert samples(text)["instrument_agent_up"] == 0
    assert samples(text)["instrument_agent_utc_known"] == 0


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "box.toml"
    path.write_text(
        '[box]\nid = "box-1"\nstate_dir = "state"\nruntime_dir = "run"\n[[instrument]]\nid = "a"\n'
        '[instrument.driver]\nname = "mock"\nscript = [1.0]\n[instrument.activity]\noff_below = 5\nrun_above = 50\n',
        encoding="utf-8",
    )
    return path


def test_the_textfile_is_whole_at_every_moment_and_readable_for_the_collector(config: Path, tmp_path: Path) -> None:
    server = ControlServer(tmp_path / "run", {"status": lambda _request: STATUS})
    out = tmp_path / "textfiles" / "agent.prom"
    out.parent.mkdir()
    out.write_text("old\n")
    before = out.stat().st_ino
    try:
        done = CliRunner().invoke(cli, ["metrics", "--config", str(config), "--textfile", str(out)])
        printed = CliRunner().invoke(cli, ["metrics", "--config", str(config)])
    finally:
        server.close()
    assert (done.exit_code, done.output) == (0, "")
    assert out.read_text() == printed.output == exposition(STATUS)
    assert out.stat().st_ino != before, "it was replaced, not rewritten"
    assert out.stat().st_mode & 0o777 == 0o644
    assert list(out.parent.iterdir()) == [out]


def test_a_textfile_that_cannot_be_written_is_told(config: Path, tmp_path: Path) -> None:
    server = ControlServer(tmp_path / "run", {"status": lambda _request: STATUS})
    try:
        missing = str(tmp_path / "gone" / "agent.prom")
        done = CliRunner().invoke(cli, ["metrics", "--config", str(config), "--textfile", missing])
    finally:
        server.close()
    assert "gone/agent.prom cannot be written: No such file or directory" in str(done.exception)
