"""`calibrate` learns thresholds from a trace, shows them, and writes them only when it is told to."""

import random
import shutil
import signal
from contextlib import closing
from pathlib import Path

import pytest
from field_box import FieldBox
from in_process import Done

from instrument_agent.buffer.books import newest_event
from instrument_agent.buffer.reader import Reader
from instrument_agent.config import load_config
from instrument_agent.core.records import LifecycleWord, rules_data
from instrument_agent.i18n import speaking

MOCK = 'name = "mock"\nscript = [20.0]'
PHASES = [(600, 1.0), (2400, 300.0), (1800, 1500.0), (2400, 300.0), (1800, 1450.0), (1200, 300.0)]


def trace(path: Path, phases: list[tuple[int, float]]) -> Path:
    noise, at_s = random.Random(5), 0
    lines = ["timestamp_s,power_w,current_a,failure"]
    for seconds, watts in phases:
        for _number in range(seconds // 5):
            lines.append(f"{at_s},{watts + noise.gauss(0, watts / 100):.2f},1.0,")
            at_s += 5
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trace(tmp_path_factory.mktemp("traces") / "trace.csv", PHASES)


@pytest.fixture
def box(tmp_path: Path) -> FieldBox:
    return FieldBox(tmp_path, MOCK)


def calibrate(box: FieldBox, *arguments: str) -> Done:
    return box.run("calibrate", "--instrument", "m1", *arguments)


def test_nothing_is_written_unless_asked_for(box: FieldBox, recorded: Path):
    before = box.config_path.read_bytes()
    done = calibrate(box, "--from-trace", str(recorded))
    assert done.returncode == 0, done.stderr
    for word in ("run_above", "run_below", "off_below", "standby_level", "proposed (level): sure", "2 runs were seen"):
        assert word in done.stdout
    assert box.config_path.read_bytes() == before
    assert list(box.folder.iterdir()) == [box.config_path]


def test_what_is_written_lies_between_the_levels(box: FieldBox, recorded: Path):
    before = box.config_path.read_text(encoding="utf-8")
    done = calibrate(box, "--from-trace", str(recorded), "--write", "--who", "Li Si")
    activity = load_config(box.config_path).instruments[0].activity
    assert activity.off_below is not None
    assert activity.run_above is not None
    assert activity.run_below is not None
    assert 1 < activity.off_below < 290
    assert 310 < activity.run_below < activity.run_above < 1400
    assert activity.standby_level == pytest.approx(300, abs=10)
    assert f"{activity.run_above:g}" in done.stdout
    assert f"written to {box.config_path}" in done.stdout
    after = box.config_path.read_text(encoding="utf-8")
    assert after.splitlines()[:9] == before.splitlines()[:9]
    assert Path(f"{box.config_path}.bak").read_text(encoding="utf-8") == before
    with closing(Reader(box.folder / "state")) as reader:
        data = newest_event(reader, "m1", LifecycleWord.ADJUSTED)
    assert (data["by"], data["tool"], data["rules"]) == ("Li Si", "calibrate", rules_data(activity.rules()))


def test_where_off_was_not_seen_its_threshold_stays_as_somebody_set_it(box: FieldBox, tmp_path: Path):
    never_off = trace(tmp_path / "on.csv", PHASES[1:])
    done = calibrate(box, "--from-trace", str(never_off), "--write")
    assert "off was not seen: off_below stays as it is" in done.stdout
    assert load_config(box.config_path).instruments[0].activity.off_below == 5
    text = box.config_path.read_text(encoding="utf-8")
    box.config_path.write_text(
        text[: text.index("[instrument.activity]")] + "[instrument.activity]\n", encoding="utf-8"
    )
    assert "off was not seen: off_below is an estimate" in calibrate(box, "--from-trace", str(never_off)).stdout


def test_no_run_told_is_exit_status_one_and_writes_nothing(box: FieldBox, tmp_path: Path):
    before = box.config_path.read_bytes()
    flat = trace(tmp_path / "flat.csv", [(3600, 300.0)])
    done = calibrate(box, "--from-trace", str(flat), "--write")
    assert done.returncode == 1
    assert "no run can be told" in done.stdout
    assert "only one level was seen" in done.stdout
    assert box.config_path.read_bytes() == before


def changed(path: Path, factor: float) -> Path:
    """Return the trace as a meter in another unit, or with its clamp turned around, would have recorded it."""
    header, *rows = path.read_text(encoding="utf-8").splitlines()
    cells = (row.split(",", 2) for row in rows)
    lines = [f"{at},{float(watts) * factor:.6f},{rest}" for at, watts, rest in cells]
    path.write_text("\n".join([header, *lines]), encoding="utf-8")
    return path


def test_a_clamp_turned_around_is_told_and_its_time_is_not_shown_as_off(box: FieldBox, tmp_path: Path):
    before = box.config_path.read_bytes()
    done = calibrate(box, "--from-trace", str(changed(trace(tmp_path / "turned.csv", PHASES), -1)), "--write")
    assert done.returncode == 1
    assert "turn the clamp around" in done.stdout
    [marks] = [line.strip() for line in done.stdout.splitlines() if set(line.strip()) == {"_", "?"}]
    assert marks.count("?") > 0.9 * len(marks)
    assert box.config_path.read_bytes() == before


def test_thresholds_over_all_that_the_meter_reads_are_refused(box: FieldBox, tmp_path: Path):
    before = box.config_path.read_bytes()
    done = calibrate(box, "--from-trace", str(changed(trace(tmp_path / "high.csv", PHASES), 1e7)), "--write")
    assert done.returncode == 1
    assert "power_w never reads more than 1e+09 W" in done.stdout
    assert box.config_path.read_bytes() == before


def test_a_trace_in_kilowatts_for_a_meter_in_watts_is_doubted(box: FieldBox, tmp_path: Path):
    kilowatts = changed(trace(tmp_path / "kw.csv", PHASES), 1e-3)
    done = calibrate(box, "--from-trace", str(kilowatts))
    assert "is the trace in kilowatts?" in done.stdout
    assert "doubtful" in done.stdout
    before = box.config_path.read_bytes()
    refused = calibrate(box, "--from-trace", str(kilowatts), "--write")
    assert "nobody is there to be asked" in refused.stderr
    assert box.config_path.read_bytes() == before
    assert calibrate(box, "--from-trace", str(kilowatts), "--write", "--yes").returncode == 0
    assert box.config_path.read_bytes() != before


def test_with_powered_hours_only_no_reading_is_ever_a_run(box: FieldBox, recorded: Path):
    done = calibrate(box, "--from-trace", str(recorded), "--activity-profile", "powered_only", "--write")
    assert done.returncode == 0, done.stdout + done.stderr
    instrument = load_config(box.config_path).instruments[0]
    [channel] = instrument.driver.build().channels
    assert instrument.activity.rules().run_below > channel.high
    assert instrument.activity.off_below is not None
    assert 1 < instrument.activity.off_below < 290


def test_marked_windows_decide_what_is_standby(box: FieldBox, recorded: Path):
    done = calibrate(box, "--from-trace", str(recorded), "--standby", "0:500", "--running", "700:2900")
    assert done.returncode == 0
    [line] = [line for line in done.stdout.splitlines() if line.startswith("run_above")]
    assert float(line.split()[3]) < 290


@pytest.mark.parametrize("ending", [".svg", ".html"])
def test_the_picture_needs_nothing_from_outside(box: FieldBox, recorded: Path, tmp_path: Path, ending: str):
    path = tmp_path / f"picture{ending}"
    assert calibrate(box, "--from-trace", str(recorded), "--picture", str(path)).returncode == 0
    text = path.read_text(encoding="utf-8")
    assert "<svg" in text
    assert "run above" in text
    assert ("run_above" in text) is (ending == ".html")
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")


def test_a_picture_speaks_the_language_it_is_asked_for(box: FieldBox, recorded: Path, tmp_path: Path):
    path = tmp_path / "picture.svg"
    with speaking("zh"):
        calibrate(box, "--from-trace", str(recorded), "--picture", str(path))
    text = path.read_text(encoding="utf-8")
    assert "待机" in text
    assert "standby" not in text


def test_live_readings_come_through_the_running_agent(box: FieldBox):
    with box.start_agent() as agent:
        done = calibrate(box, "--live", "0.5s")
        agent.send_signal(signal.SIGTERM)
    assert done.returncode == 1
    assert "too little was recorded" in done.stdout
    assert "20 W" in done.stdout


def test_live_readings_are_taken_where_no_agent_runs(box: FieldBox):
    done = calibrate(box, "--live", "0.3s")
    assert "20 W" in done.stdout


def test_a_device_that_does_not_answer_teaches_nothing(tmp_path: Path):
    done = calibrate(FieldBox(tmp_path, 'name = "mock"\nscript = ["unavailable"]'), "--live", "0.2s")
    assert done.returncode == 1
    assert "m1 could not be read: the script says: no answer" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "give either --from-trace FILE or --live TIME"),
        (("--live", "1s", "--from-trace", "x"), "give either --from-trace FILE or --live TIME"),
        (("--from-trace", "x", "--picture", "x.png"), "must end in .svg or .html"),
        (("--from-trace", "missing.csv"), "missing.csv cannot be read"),
        (("--from-trace", "x", "--standby", "9:1"), "the end must come after the start"),
    ],
)
def test_what_cannot_be_done_is_told(box: FieldBox, arguments: tuple[str, ...], said: str):
    done = calibrate(box, *arguments)
    assert done.returncode != 0
    assert said in done.stderr


def test_an_instrument_that_tells_its_states_has_nothing_to_learn(box: FieldBox, recorded: Path):
    text = box.config_path.read_text(encoding="utf-8")
    states = text.replace("off_below = 5\nrun_above = 500", 'states = { "20" = "running" }')
    box.config_path.write_text(states, encoding="utf-8")
    assert "tells its state itself" in calibrate(box, "--from-trace", str(recorded)).stderr


def test_a_picture_that_cannot_be_written_is_told(box: FieldBox, recorded: Path, tmp_path: Path):
    shutil.copy(recorded, tmp_path / "folder")
    done = calibrate(box, "--from-trace", str(recorded), "--picture", str(tmp_path / "folder" / "x.svg"))
    assert "cannot be written" in done.stderr
