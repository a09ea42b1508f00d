"""Rows of a long replay wait on disk, and are printed as they would have been from memory."""

import json
from pathlib import Path

import pytest

from instrument_agent.cli.options import as_csv, as_json
from instrument_agent.cli.replayed_rows import Rows
from instrument_agent.commission.recorded import Recording
from instrument_agent.drivers.trace import BadRow

COLUMNS = ["start", "end", "state"]
MANY = [{"start": number, "end": number + 0.5, "state": "运行"} for number in range(500)]


@pytest.mark.parametrize("rows", [[], MANY[:1], MANY])
@pytest.mark.parametrize("form", ["csv", "json"])
def test_rows_on_disk_are_printed_like_rows_in_memory(
    rows: list[dict[str, object]], form: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("instrument_agent.cli.replayed_rows.IN_MEMORY", 100)
    monkeypatch.setattr("instrument_agent.cli.replayed_rows.AT_ONCE", 1000)
    with Rows(form, COLUMNS) as held:
        for row in rows:
            held.add(row)
        assert capsys.readouterr().out == "", "nothing before everything is known to be good"
        held.print()
    printed = capsys.readouterr().out
    assert printed == (as_json(rows) if form == "json" else as_csv(rows, COLUMNS)) + "\n"
    if form == "json":
        assert json.loads(printed) == rows


def test_numbers_for_learning_are_those_of_the_readings(tmp_path: Path):
    trace = tmp_path / "trace.csv"
    trace.write_text("timestamp_s,value\n0,1.5\n0.25,-2\n\n1e3,7e2\n", encoding="utf-8")
    recording = Recording(trace, "power_w", scale=2.0, offset=1.0)
    from_readings = [(item.at_ns / 1e9, item.values["power_w"]) for item in recording.readings()]  # type: ignore[union-attr]
    assert list(recording) == from_readings == [(0.0, 4.0), (0.25, -3.0), (1000.0, 1401.0)]
    trace.write_text("timestamp_s,value\n0,1.5\n0,nan\n", encoding="utf-8")
    with pytest.raises(BadRow):
        list(recording)
