"""UTC of a moment of a boot, from the sights of UTC in that boot."""

from hypothesis import given, settings
from hypothesis import strategies as st

from instrument_agent.core.anchors import Anchor, Utc, utc_of
from instrument_agent.core.readings import NS_PER_S

BOOT, OTHER = "boot-a", "boot-b"
UTC_NS = 1_800_000_000 * NS_PER_S
HOUR_NS = 3600 * NS_PER_S


def anchor(boottime_ns: int, error_s: float = 1.0, boot_id: str = BOOT, shift_ns: int = 0) -> Anchor:
    return Anchor(boot_id, boottime_ns, UTC_NS + boottime_ns + shift_ns, round(error_s * NS_PER_S), "ntp")


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


def test_the_anchor_that_leaves_the_smallest_error_wins():
    near_but_poor = anchor(10 * HOUR_NS, error_s=5, shift_ns=4 * NS_PER_S)
    far_but_good = anchor(0, error_s=1)
    assert utc_of([near_but_poor, far_but_good], BOOT, 10 * HOUR_NS) == Utc(UTC_NS + 10 * HOUR_NS, 4_600_000_000)
    late = utc_of([near_but_poor, far_but_good], BOOT, 20 * HOUR_NS)
    assert late == Utc(UTC_NS + 20 * HOUR_NS, 8_200_000_000)
    nearer = anchor(19 * HOUR_NS, error_s=2, shift_ns=7)
    assert utc_of([far_but_good, nearer], BOOT, 20 * HOUR_NS) == Utc(UTC_NS + 20 * HOUR_NS + 7, 2_360_000_000)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    st.lists(st.tuples(st.integers(0, 10**16), st.integers(0, 10**11), st.sampled_from([BOOT, OTHER]))),
    st.integers(0, 10**16),
)
def test_the_true_time_lies_within_the_error_if_it_does_for_each_anchor(sights, at_ns: int):
    anchors = [Anchor(boot_id, at, UTC_NS + at + error, error, "ntp") for at, error, boot_id in sights]
    found = utc_of(anchors, BOOT, at_ns)
    assert (found is None) == all(item.boot_id == OTHER for item in anchors)
    if found is not None:
        assert abs(found.utc_ns - (UTC_NS + at_ns)) <= found.error_ns
