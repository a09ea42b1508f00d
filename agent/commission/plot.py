"""A trace as a terminal shows it: a few rows of blocks, and under them what the rules make of it. Pure."""

from collections.abc import Iterator

from instrument_agent.commission.scale import number_text, time_text, value_range
from instrument_agent.commission.seen import Seen
from instrument_agent.core.readings import Activity

EIGHTHS = " ▁▂▃▄▅▆▇█"
MARKS = {Activity.OFF: "_", Activity.STANDBY: "▄", Activity.RUNNING: "█", Activity.UNKNOWN: "?"}
ROWS = 8
_LABEL = 9


def plot(seen: Seen, unit: str) -> Iterator[str]:
    """Yield the lines: the highest value of each column as a bar, the activity that fills it most, the time."""
    low, high = value_range(seen.lowest, seen.highest) if seen.lowest <= seen.highest else (0.0, 1.0)
    bars = [0 if column is None else _eighths(column[1], low, high) for column in seen.columns]
    for row in reversed(range(ROWS)):
        label = number_text(high) if row == ROWS - 1 else f"{number_text(low)} {unit}".rstrip() if row == 0 else ""
        blocks = "".join(EIGHTHS[max(0, min(8, bar - 8 * row))] for bar in bars)
        yield f"{label:>{_LABEL}} {blocks}".rstrip()
    yield " " * (_LABEL + 1) + "".join(_marks(seen))
    end = time_text(seen.end_s - seen.start_s, 1)
    yield " " * (_LABEL + 1) + "0" + end.rjust(len(seen.columns) - 1)


def _eighths(value: float, low: float, high: float) -> int:
    """Return the height of a bar; what was read is never nothing."""
    return max(1, round((value - low) / (high - low) * 8 * ROWS))


def _marks(seen: Seen) -> Iterator[str]:
    width, span_s = len(seen.columns), seen.end_s - seen.start_s
    first = 0
    for number in range(width):
        start_s = seen.start_s + number * span_s / width
        end_s = start_s + span_s / width
        spent: dict[Activity, float] = {}
        while first < len(seen.stretches) and seen.stretches[first].end_s <= start_s:
            first += 1
        for item in seen.stretches[first:]:
            if item.start_s >= end_s:
                break
            seconds = min(item.end_s, end_s) - max(item.start_s, start_s)
            spent[item.activity] = spent.get(item.activity, 0.0) + seconds
        yield MARKS[max(spent, key=lambda activity: spent[activity])] if spent else " "
