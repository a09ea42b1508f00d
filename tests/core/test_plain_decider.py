"""A slow decider, written from the rules in words, agrees with the one that runs on the box."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from played import at, played, rules

from instrument_agent.core.activity import Rules
from instrument_agent.core.readings import NS_PER_S

Stretch = tuple[int, int, bool]  # from, to, on the upper side


def median_filtered(values: list[float]) -> list[float]:
    """Each value is the middle one of itself and its neighbours; the first and the last have one neighbour."""
    wide = [values[0], *values, values[-1]]
    return [sorted(wide[index : index + 3])[1] for index in range(len(values))]


def stretches(times: list[int], values: list[float], above: float, below: float) -> list[Stretch]:
    """A side lasts from its first sample to the first sample of the other side; in between nothing changes."""
    changes: list[tuple[int, bool]] = []
    upper = False
    for time, value in zip(times, values, strict=True):
        upper = value >= above or (upper and value >= below)
        if not changes or changes[-1][1] != upper:
            changes.append((time, upper))
    ends = [*(time for time, _upper in changes[1:]), times[-1]]
    return [(start, end, side) for (start, side), end in zip(changes, ends, strict=True)]


def on_times(found: list[Stretch], min_on: int, min_off: int, *, doubt_ends: bool) -> list[tuple[int, int]]:
    """On from a long enough upper stretch up to the next long enough lower one."""
    times: list[tuple[int, int]] = []
    began: int | None = None
    for start, end, upper in found:
        if upper and began is None and end - start >= min_on:
            began = start
        if not upper and began is not None and end - start >= min_off:
            times.append((began, start))
            began = None
    if began is not None:
        last_start, last_end, upper = found[-1]
        times.append((began, last_start if doubt_ends and not upper else last_end))
    return times


def decided(given_rules: Rules, samples: list[tuple[int, float]]) -> list[tuple[float, float, str]]:
    times = [time for time, _value in samples]
    values = median_filtered([value for _time, value in samples])
    min_on, min_off, settle = (
        item // NS_PER_S for item in (given_rules.min_on_ns, given_rules.min_off_ns, given_rules.off_settle_ns)
    )
    running = on_times(
        stretches(times, values, given_rules.run_above, given_rules.run_below), min_on, min_off, doubt_ends=True
    )
    powered = on_times(
        stretches(times, values, given_rules.off_below, given_rules.off_below), 0, settle, doubt_ends=False
    )
    cuts = sorted({times[0], times[-1], *(edge for span in running + powered for edge in span)})
    chain: list[tuple[float, float, str]] = []
    for start, end in pairwise(cuts):
        state = "off"
        if any(a <= start and end <= b for a, b in powered):
            state = "standby"
        if any(a <= start and end <= b for a, b in running):
            state = "running"
        if chain and chain[-1][2] == state:
            chain[-1] = (chain[-1][0], end, state)
        else:
            chain.append((start, end, state))
    return chain


LEVELS = st.sampled_from([0.0, 9.0, 10.0, 50.0, 80.0, 90.0, 100.0, 500.0])
PIECES = st.lists(
    st.tuples(LEVELS, st.integers(1, 12), st.sampled_from([0, 1, 3, 10, 30, 60])), min_size=1, max_size=25
)
TIMES_S = st.sampled_from([0, 1, 10, 60, 90])


@settings(max_examples=300, deadline=None, derandomize=True)
@given(PIECES, TIMES_S, TIMES_S, TIMES_S)
def test_it_agrees_on_any_shape_that_is_seen_all_the_time(pieces, min_on_s: int, min_off_s: int, off_settle_s: int):
    given_rules = rules(min_on_s=min_on_s, min_off_s=min_off_s, off_settle_s=off_settle_s)
    samples: list[tuple[int, float]] = []
    now_s = 0
    for value, times, every_s in pieces:
        for _ in range(times):
            samples.append((now_s, value))
            now_s += every_s
    books = played([at(second, value) for second, value in samples], given_rules)
    assert books.intervals == decided(given_rules, samples)
    assert [(start, end) for start, end, _unseen in books.runs] == [
        (start, end) for start, end, state in decided(given_rules, samples) if state == "running"
    ]
