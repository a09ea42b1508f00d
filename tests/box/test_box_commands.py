import csv
import io
import json

import pytest
from rig import command


def one_run(rig, dial):
    rig.start_agent()
    rig.until(lambda: rig.activity("xrd-1") == "standby", "standby")
    dial.watts = 1500.0
    rig.until(lambda: rig.activity("xrd-1") == "running", "running")
    dial.watts = 1.0
    rig.until(lambda: rig.records("run_session"), "the run has ended")


def test_status_shows_the_running_agent_and_afterwards_says_that_none_runs(rig, dial):
    one_run(rig, dial)
    running = command("status", "--config", str(rig.config_path))
    assert running.returncode == 0
    assert "xrd-1" in running.stdout
    assert "衍射仪" in running.stdout
    found = json.loads(command("status", "--config", str(rig.config_path), "--json").stdout)
    assert found["running"] is True
    assert found["instruments"][0]["activity"] == "off"
    assert found["instruments"][0]["reading"]["power_w"] == pytest.approx(1.0)
    assert found["destinations"][0]["heartbeats_sent"] > 0
    assert found["utc"]["error_ms"] < 60_000

    assert rig.agent.stop() == 0
    stopped = json.loads(command("status", "--config", str(rig.config_path), "--json").stdout)
    assert stopped["running"] is False
    assert (stopped["instruments"][0]["activity"], stopped["instruments"][0]["reason"]) == ("unknown", "agent_stopped")
    assert stopped["instruments"][0]["last_activity"] == "off"
    assert "no agent is running" in command("status", "--config", str(rig.config_path)).stdout


def test_sessions_lists_filters_and_exports(rig, dial):
    one_run(rig, dial)
    base = ("sessions", "--config", str(rig.config_path))
    (row,) = json.loads(command(*base, "--format", "json").stdout)
    (sent,) = rig.records("run_session")
    assert row["running_s"] == sent["data"]["running_ms"] / 1000
    assert row["start"].endswith("+08:00")
    (same,) = csv.DictReader(io.StringIO(command(*base, "--format", "csv").stdout))
    assert same["seq"] == str(row["seq"])
    assert "xrd-1" in command(*base).stdout

    assert json.loads(command(*base, "--format", "json", "--from", "2199-01-01").stdout) == []
    assert json.loads(command(*base, "--format", "json", "--to", "1999-01-01").stdout) == []
    nothing = command(*base, "--from", "2199-01-01")
    assert (nothing.stdout, nothing.stderr) == ("No run session in this range\n", "")
    unknown = command(*base, "--instrument", "nmr-9")
    assert unknown.returncode == 1
    assert "xrd-1" in unknown.stderr


def test_start_and_end_are_whole_at_80_columns(rig, dial, monkeypatch):
    one_run(rig, dial)
    base = ("sessions", "--config", str(rig.config_path))
    (row,) = json.loads(command(*base, "--format", "json").stdout)
    start, end = (row[name][:19].replace("T", " ") for name in ("start", "end"))
    end = end[11:] if end[:10] == start[:10] else end  # the day of both is said once
    monkeypatch.setenv("COLUMNS", "80")
    for language in ("C", "zh_CN"):
        monkeypatch.setenv("LANGUAGE", language)
        lines = command(*base).stdout.splitlines()
        assert any(f"{start}  {end}" in line for line in lines)
        assert max(len(line) for line in lines) <= 80


def test_commands_speak_chinese_to_a_chinese_terminal(rig, dial, monkeypatch):
    one_run(rig, dial)
    monkeypatch.setenv("LANGUAGE", "zh_CN")
    shown = command("status", "--config", str(rig.config_path)).stdout
    assert "关机" in shown
    assert "off" not in shown.replace("offline", "")


def test_a_bad_config_ends_the_daemon_with_status_78_and_every_mistake(tmp_path):
    path = tmp_path / "bad.toml"
    path.write_text('[box]\nid = "box"\ncolour = "red"\n[[instrument]]\nid = "x"\n', encoding="utf-8")
    ended = command("run", "--config", str(path))
    assert ended.returncode == 78
    assert f"{path}:3" in ended.stderr
    assert "instrument" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_status_without_a_database_says_what_to_do(tmp_path, rig):
    answer = command("status", "--config", str(rig.config_path))
    assert answer.returncode == 1
    assert "What to do" in answer.stderr
