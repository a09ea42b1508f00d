"""UTC of a moment of a boot, from the sights of UTC in that boot."""

import re
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instrument_agent.core.anchors import (
    BUILT_UTC_NS,
    DAY_NS,
    LATEST_UTC_NS,
    Anchor,
    Quality,
    Sights,
    Utc,
    contradict,
    in_whole_ms,
    plausible,
    utc_of,
)
from instrument_agent.core.readings import NS_PER_S

BOOT, OTHER = "boot-a", "boot-b"
UTC_NS = 1_800_000_000 * NS_PER_S
HOUR_NS = 3600 * NS_PER_S
PPM = 1_000_000


def anchor(
    boottime_ns: int, error_s: float = 1.0, boot_id: str = BOOT, shift_s: float = 0, source: str = "ntp"
) -> Anchor:
    utc_ns = UTC_NS + boottime_ns + round(shift_s * NS_PER_S)
    return Anchor(boot_id, boottime_ns, utc_ns, round(error_s * NS_PER_S), source)


def test_without_an_anchor_utc_is_not_known():
    assert utc_of([], BOOT, 5) is None


def test_an_anchor_of_another_boot_is_never_used():
    assert utc_of([anchor(0, boot_id=OTHER)], BOOT, 5) is None
    far = utc_of([anchor(0, boot_id=OTHER, error_s=0), anchor(0, error_s=50)], BOOT, 0)
    assert far == Utc(UTC_NS, 50 * NS_PER_S)


def test_the_error_grows_by_100_ppm_with_the_distance_on_both_sides():
    for at_ns in (0, 2 * HOUR_NS):
        found = utc_of([anchor(HOUR_NS)], BOOT, at_ns)
        assert found == Utc(UTC_NS + at_ns, NS_PER_S + 360_000_000)  # 0.36 s in an hour


def test_between_two_anchors_the_error_is_that_of_the_better_side():
    sights = Sights([anchor(0), anchor(10 * HOUR_NS)])
    assert sights.utc(2 * HOUR_NS) == Utc(UTC_NS + 2 * HOUR_NS, 1_720_000_000)
    assert sights.utc(8 * HOUR_NS) == Utc(UTC_NS + 8 * HOUR_NS, 1_720_000_000)
    assert sights.utc(12 * HOUR_NS).error_ns == 1_720_000_000


def test_drift_between_two_anchors_is_followed():
    drifted_s = 10 * 3600 * 60e-6  # 60 ppm over 10 h
    sights = Sights([anchor(0, 0.1), anchor(10 * HOUR_NS, 0.1, shift_s=drifted_s)])
    middle = sights.utc(5 * HOUR_NS)
    assert middle.utc_ns == UTC_NS + 5 * HOUR_NS + round(drifted_s / 2 * NS_PER_S)
    assert middle.error_ns < 0.1 * NS_PER_S + 5 * HOUR_NS // 10_000


def test_a_time_is_never_known_better_than_the_best_anchor():
    # Their spans only just touch, so what they have in common is a point; the anchors do not become better by that.
    sights = Sights([anchor(0, 3), anchor(0, 2, shift_s=5)])
    assert sights.utc(0) == Utc(UTC_NS + 3 * NS_PER_S, 2 * NS_PER_S)


def test_sources_that_disagree_are_both_within_the_error():
    ntp, platform = anchor(0), anchor(HOUR_NS, shift_s=600, source="platform:province")
    found = Sights([ntp, platform]).utc(HOUR_NS // 2)
    assert found.utc_ns - found.error_ns <= UTC_NS + HOUR_NS // 2 - NS_PER_S
    assert found.utc_ns + found.error_ns >= UTC_NS + HOUR_NS // 2 + 601 * NS_PER_S
    assert found.quality is Quality.BOUNDED


def test_a_disagreement_that_has_ended_does_not_spoil_what_comes_after_it():
    wrong = anchor(6 * HOUR_NS, shift_s=600, source="platform:province")
    good = [
        anchor(at * HOUR_NS, source=name) for at in (0, 6, 12, 18) for name in ("ntp", "platform:province") if at != 6
    ]
    sights = Sights([*good, anchor(6 * HOUR_NS), wrong])
    assert sights.utc(9 * HOUR_NS).quality is Quality.BOUNDED
    assert sights.utc(15 * HOUR_NS).quality is Quality.GOOD


@pytest.mark.parametrize(
    ("error_s", "quality"),
    [(0, Quality.EXACT), (1, Quality.EXACT), (1.001, Quality.GOOD), (60, Quality.GOOD), (60.001, Quality.BOUNDED)],
)
def test_quality_follows_from_the_error(error_s: float, quality: Quality):
    assert Utc(UTC_NS, round(error_s * NS_PER_S)).quality is quality


def test_milliseconds_are_rounded_so_that_they_still_hold_the_truth():
    assert Utc(5_999_999, 1).in_ms() == (5, 1)
    assert Utc(5_999_999, 2).in_ms() == (5, 2)
    assert Utc(5_000_000, 2_000_000).in_ms() == (5, 2)


@pytest.mark.parametrize(
    ("utc_ns", "platform_utc_ns", "can_be"),
    [
        (0, None, False),  # 1970: a box whose clock has no battery
        (BUILT_UTC_NS - 1, None, False),
        (BUILT_UTC_NS, None, True),
        (LATEST_UTC_NS, None, True),
        (4_733_510_400 * NS_PER_S, None, False),  # 2120
        (UTC_NS + DAY_NS, UTC_NS, True),
        (UTC_NS + DAY_NS + 1, UTC_NS, False),
        (UTC_NS - 100 * DAY_NS, UTC_NS, True),
    ],
)
def test_which_times_can_be(utc_ns: int, platform_utc_ns: int | None, can_be: bool):
    assert plausible(utc_ns, platform_utc_ns) is can_be


def test_an_ntp_server_a_day_ahead_of_the_platform_is_left_out_even_if_it_spoke_first():
    lying = anchor(0, shift_s=10 * 365 * 86_400)
    sights = Sights([lying, anchor(HOUR_NS, source="platform:province")])
    assert sights.utc(HOUR_NS) == Utc(UTC_NS + HOUR_NS, NS_PER_S)


def test_an_anchor_in_whole_milliseconds_still_holds_the_truth():
    exact = Anchor(BOOT, 1_999_999, UTC_NS + 700_001, 5_000_001, "ntp")
    whole = in_whole_ms(exact)
    assert [value % 1_000_000 for value in (whole.boottime_ns, whole.utc_ns, whole.error_ns)] == [0, 0, 0]
    started_ns = exact.utc_ns - exact.boottime_ns
    wanted = (started_ns + whole.boottime_ns - exact.error_ns, started_ns + whole.boottime_ns + exact.error_ns)
    assert whole.utc_ns - whole.error_ns <= wanted[0]
    assert wanted[1] <= whole.utc_ns + whole.error_ns
    assert in_whole_ms(whole) == whole


def test_two_anchors_contradict_each_other_only_beyond_error_and_drift():
    first = anchor(0)
    assert not contradict(first, anchor(HOUR_NS, shift_s=2.35))
    assert contradict(first, anchor(HOUR_NS, shift_s=2.37))
    assert contradict(anchor(HOUR_NS, shift_s=-2.37), first)


def test_the_worked_example_for_auditors_is_what_comes_out():
    text = (Path(__file__).parents[2] / "docs" / "time.md").read_text(encoding="utf-8")
    rows = re.findall(r"boottime_ms +(\d+) +utc_ms (\d+) +error_ms (\d+) +source (\S+)", text)
    sights = Sights([Anchor(BOOT, *(int(value) * 10**6 for value in row[:3]), row[3]) for row in rows])
    [start_ms, end_ms] = (int(value) for value in re.findall(r"start_ms (\d+) +end_ms (\d+)", text)[0])
    start, end = sights.utc(start_ms * 10**6), sights.utc(end_ms * 10**6)
    assert f"{start.utc_ns / 10**6:.1f}, which is" in text
    assert f"{end.utc_ns / 10**6:.1f} ±" in text
    assert {f"{utc.error_ns / 10**6:.1f}" for utc in (start, end)} == {"1453.8"}
    assert max(utc.in_ms()[1] for utc in (start, end)) == 1455
    assert '"utc_error_s": 1.455' in text


@st.composite
def quartz(draw: st.DrawFn) -> list[tuple[int, int]]:
    """Moments of a boot clock and the true UTC then, while its drift wanders within 100 ppm."""
    steps = draw(
        st.lists(st.tuples(st.integers(1, 10**16), st.integers(-100, 100)), min_size=2, max_size=12), label="steps"
    )
    moments = [(draw(st.integers(0, 10**15)), UTC_NS)]
    for passed_ns, ppm in steps:
        boottime_ns, utc_ns = moments[-1]
        # Rounded towards no drift: a whole nanosecond more could be more than 100 ppm.
        drifted_ns = abs(passed_ns * ppm) // PPM * (1 if ppm > 0 else -1)
        moments.append((boottime_ns + passed_ns, utc_ns + passed_ns + drifted_ns))
    return moments


@settings(max_examples=200, deadline=None, derandomize=True)
@given(quartz(), st.data())
def test_the_truth_lies_within_the_error_for_any_drift_and_any_true_anchors(moments, data):
    chosen = data.draw(st.lists(st.sampled_from(moments), min_size=1, max_size=6))
    anchors = []
    for boottime_ns, utc_ns in chosen:
        error_ns = data.draw(st.integers(0, 10**12))
        off_ns = data.draw(st.integers(-error_ns, error_ns))
        source = data.draw(st.sampled_from(["ntp", "platform:province"]))
        # More than a day late is refused, and a true anchor never is that.
        anchors.append(Anchor(BOOT, boottime_ns, utc_ns + off_ns, error_ns, source))
    sights = Sights(anchors)
    found = [sights.utc(boottime_ns) for boottime_ns, _utc_ns in moments]
    for utc, (_boottime_ns, true_ns) in zip(found, moments, strict=True):
        assert utc.utc_ns - utc.error_ns <= true_ns <= utc.utc_ns + utc.error_ns
        assert utc.error_ns >= min(item.error_ns for item in anchors)
    assert all(a.utc_ns <= b.utc_ns for a, b in pairwise(found))


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.integers(0, 10**14), st.integers(-(10**12), 10**12), st.integers(-(10**12), 10**12), st.integers(1, 10**12))
def test_utc_runs_on_even_where_anchors_pull_it_back(at_ns, shift_ns, other_ns, passed_ns):
    anchors = [
        Anchor(BOOT, 10**13, UTC_NS + 10**13 + shift_ns, 2 * 10**12, "ntp"),
        Anchor(BOOT, 5 * 10**13, UTC_NS + 5 * 10**13 + other_ns, 10**12, "ntp"),
    ]
    sights = Sights(anchors)
    assert sights.utc(at_ns).utc_ns <= sights.utc(at_ns + passed_ns).utc_ns
