"""A trace is replayed as the agent would have taken it: what is not believed is unknown, never off."""

from pathlib import Path

from in_process import run


def test_power_that_flows_backwards_is_unknown(tmp_path: Path):
    trace = tmp_path / "t.csv"
    rows = [f"{at},{-900 if 1000 <= at < 3000 else 40}" for at in range(0, 4000, 2)]
    trace.write_text("\n".join(["timestamp_s,value", *rows]) + "\n")
    done = run("replay", str(trace), "--off-below", "5", "--run-above", "500", "--format", "csv")
    states = [line.rpartition(",")[2] for line in done.stdout.splitlines()[1:]]
    assert states == ["standby", "unknown", "standby"]
