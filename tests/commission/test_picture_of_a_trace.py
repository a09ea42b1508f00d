"""A picture shows the whole trace in a bounded size, the bands of the thresholds, and the runs they make."""

import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator
from itertools import pairwise

import pytest
from shapes import LEVEL, Samples, sampled

from instrument_agent.commission.learning import learn
from instrument_agent.commission.picture import COLUMNS, picture
from instrument_agent.commission.plot import EIGHTHS, plot
from instrument_agent.commission.scale import apart, time_ticks, value_range, value_ticks
from instrument_agent.commission.seen import Seen, seen
from instrument_agent.config import ActivityConfig
from instrument_agent.core.activity import Rules
from instrument_agent.core.readings import NS_PER_S, Activity, FailedRead, Observation, Reading, UnknownReason

SILENCE = (15_000.0, 16_000.0)
RULES = ActivityConfig(off_below=100, run_above=1000, run_below=900).rules()


def readings(rows: Samples) -> Iterator[Reading]:
    for at_s, value in rows:
        silent = SILENCE[0] <= at_s < SILENCE[1]
        at_ns = round(at_s * NS_PER_S)
        failed = FailedRead(at_ns, UnknownReason.DRIVER_UNAVAILABLE)
        yield failed if silent else Observation(at_ns, {"power_w": value})


@pytest.fixture(scope="module")
def rows() -> Samples:
    return sampled(LEVEL, 20)


@pytest.fixture(scope="module")
def found(rows: Samples) -> Seen:
    return seen(lambda: readings(rows), RULES, COLUMNS)


def drawn(found: Seen, rules: Rules = RULES) -> ET.Element:
    return ET.fromstring(picture(found, rules, "W", "x <&> ' \" y"))


def shapes_of(root: ET.Element, name: str) -> list[ET.Element]:
    return list(root.iter(f"{{http://www.w3.org/2000/svg}}{name}"))


def texts(root: ET.Element) -> list[str]:
    return ["".join(item.itertext()) for item in shapes_of(root, "text")]


def test_no_value_and_no_run_is_lost_in_the_columns(found: Seen, rows: Samples):
    outside = [value for at_s, value in rows if not SILENCE[0] <= at_s < SILENCE[1]]
    assert min(low for low, _high in filter(None, found.columns)) == min(outside) == found.lowest
    assert max(high for _low, high in filter(None, found.columns)) == max(outside) == found.highest
    assert [(round(start, -2), round(end, -2)) for start, end in found.runs] == [(9000, 14000), (18000, 21000)]
    assert sum(item.end_s - item.start_s for item in found.stretches) == found.end_s - found.start_s
    assert found.spent_s(Activity.UNKNOWN) == pytest.approx(SILENCE[1] - SILENCE[0], abs=20)


def test_a_silence_is_hatched_and_not_drawn_over(found: Seen):
    root = drawn(found)
    lines = [[pair.split(",") for pair in item.attrib["points"].split()] for item in shapes_of(root, "polyline")]
    assert len(lines) == 2
    [hatched] = [
        item for item in shapes_of(root, "rect") if item.get("fill") == "url(#unknown)" and item.get("y") == "46"
    ]
    left, right = float(hatched.attrib["x"]), float(hatched.attrib["x"]) + float(hatched.attrib["width"])
    assert float(lines[0][-1][0]) <= left + 1
    assert float(lines[1][0][0]) >= right - 1


def test_a_month_of_readings_is_no_larger_than_a_day():
    days = 31

    def month() -> Iterator[Reading]:
        for minute in range(days * 1440):
            watts = 2000.0 if minute % 10 < 4 else 200.0
            yield Observation(minute * 60 * NS_PER_S, {"power_w": watts})

    whole = seen(month, RULES, COLUMNS)
    assert len(whole.stretches) > 8000
    assert len(picture(whole, RULES, "W", "month")) < 100_000


def test_thresholds_and_axes_are_named_with_their_units(found: Seen):
    said = texts(drawn(found))
    assert {"run above 1,000 W", "run below 900 W", "off below 100 W", "power_w, W", "runs: 2"} <= set(said)
    assert {"off", "standby", "running", "unknown"} <= set(said)
    assert "x <&> ' \" y" in said


@pytest.mark.parametrize(
    "rows",
    [[], [(0.0, 5.0)], [(0.0, 0.0), (1.0, 0.0)], [(5.0, -3.0), (9.0, -2.0)], [(0.0, 1e9), (1e7, 1e9)]],
    ids=["nothing", "one", "zeros", "negative", "flat"],
)
def test_every_trace_can_be_drawn(rows: Samples):
    odd = seen(lambda: readings(rows), RULES, COLUMNS)
    assert drawn(odd).tag.endswith("svg")
    assert len(list(plot(seen(lambda: readings(rows), RULES, 60), "W"))) == 10


def test_where_no_run_can_be_told_none_is_drawn(rows: Samples):
    refused = learn(rows, "powered_only").rules(ActivityConfig())
    root = drawn(seen(lambda: readings(rows), refused, COLUMNS), refused)
    assert not [text for text in texts(root) if text.startswith("run ")]
    assert "runs: 0" in texts(root)


def test_a_terminal_shows_the_same_in_blocks(rows: Samples):
    width = 60
    found = seen(lambda: readings(rows), RULES, width)
    lines = list(plot(found, "W"))
    *bars, marks, _times = [line[10:].ljust(width) for line in lines]
    assert all(len(line) <= 10 + width for line in lines)
    assert marks.count("█") == pytest.approx(width * 8000 / 30000, abs=2)
    assert "?" in marks
    for number, column in enumerate(found.columns):
        blank = all(row[number] == " " for row in bars)
        assert blank is (column is None)
    tall = [sum(EIGHTHS.index(row[number]) for row in bars) for number in range(width)]
    assert max(tall) == tall[marks.index("█") + 1]


def evenly(numbers: Iterable[float]) -> set[float]:
    listed = list(numbers)
    return {round(after - before, 6) for before, after in pairwise(listed)}


@pytest.mark.parametrize(("lowest", "highest"), [(0, 2400), (2080, 2370), (0.02, 4.1), (-5, 5), (7, 7), (0, 0)])
def test_axes_hold_all_values_in_even_steps(lowest: float, highest: float):
    low, high = value_range(lowest, highest)
    assert low <= lowest <= highest < high
    ticks = value_ticks(low, high)
    assert 2 <= len(ticks) <= 7
    assert len(evenly(ticks)) == 1


@pytest.mark.parametrize("span_s", [3, 61, 600, 30_000, 86_400 * 3, 86_400 * 400, 86_400 * 100_000])
def test_times_are_marked_in_even_steps(span_s: float):
    ticks = time_ticks(span_s)
    assert ticks[0] == 0
    assert ticks[-1] <= span_s
    assert 2 <= len(ticks) <= 9
    assert len(evenly(ticks)) == 1


def test_labels_never_cover_each_other():
    assert apart([10, 12, 13, 60], 14) == [10, 24, 38, 60]
