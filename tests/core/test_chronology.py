"""UTC of any moment of any boot; those that never learned the time lie between their neighbours."""

from hypothesis import given, settings
from hypothesis import strategies as st

from instrument_agent.core.anchors import Anchor, Quality, Utc
from instrument_agent.core.chronology import Boot, Chronology, Moment
from instrument_agent.core.readings import NS_PER_S

UTC_NS = 1_800_000_000 * NS_PER_S
HOUR_NS = 3600 * NS_PER_S
PPM = 1_000_000


def sight(boot_id: str, boottime_ns: int, utc_ns: int, error_ns: int = NS_PER_S) -> Anchor:
    return Anchor(boot_id, boottime_ns, utc_ns, error_ns, "ntp")


BEFORE = sight("a", 10 * HOUR_NS, UTC_NS)
AFTER = sight("d", 0, UTC_NS + 48 * HOUR_NS)
BOOTS = [
    Boot("a", 0, 10 * HOUR_NS),
    Boot("b", 0, 4 * HOUR_NS),
    Boot("c", 0, 6 * HOUR_NS),
    Boot("d", 0, HOUR_NS),
]


def test_a_boot_with_an_anchor_needs_no_neighbours():
    known = Chronology(BOOTS, [BEFORE])
    assert known.utc("a", 10 * HOUR_NS) == Utc(UTC_NS, NS_PER_S)
    assert known.moment("a", 10 * HOUR_NS) == Moment(UTC_NS - NS_PER_S, UTC_NS + NS_PER_S)
    assert known.moment("a", 10 * HOUR_NS).quality is Quality.EXACT


def test_a_boot_without_one_lies_between_the_end_before_it_and_the_start_after_it():
    moment = Chronology(BOOTS, [BEFORE, AFTER]).moment("b", HOUR_NS)
    drift_ns = HOUR_NS // 10_000
    assert moment.earliest_ns == UTC_NS - NS_PER_S + HOUR_NS - drift_ns
    # What remained: 3 h of its own boot and the 6 h of the boot after it.
    assert moment.latest_ns == UTC_NS + (48 - 9) * HOUR_NS + NS_PER_S + 9 * drift_ns
    assert moment.quality is Quality.BOUNDED


def test_boots_without_one_follow_each_other():
    known = Chronology(BOOTS, [BEFORE, AFTER])
    drift_ns = HOUR_NS // 10_000
    assert known.moment("c", HOUR_NS).earliest_ns == UTC_NS - NS_PER_S + 5 * (HOUR_NS - drift_ns)
    assert known.moment("c", 6 * HOUR_NS).latest_ns == UTC_NS + 48 * HOUR_NS + NS_PER_S


def test_what_no_later_boot_bounds_is_unknown_but_not_before_its_predecessor():
    moment = Chronology(BOOTS, [BEFORE]).moment("c", 0)
    assert (moment.latest_ns, moment.utc, moment.quality) == (None, None, Quality.UNKNOWN)
    assert moment.earliest_ns == UTC_NS - NS_PER_S + 4 * HOUR_NS - 4 * HOUR_NS // 10_000


def test_what_no_earlier_boot_bounds_is_unknown_but_not_after_its_successor():
    moment = Chronology(BOOTS, [AFTER]).moment("b", 0)
    assert (moment.earliest_ns, moment.utc, moment.quality) == (None, None, Quality.UNKNOWN)
    assert moment.latest_ns == UTC_NS + 38 * HOUR_NS + NS_PER_S + 10 * HOUR_NS // 10_000
    assert Chronology([], []).moment("never heard of", 5) == Moment(None, None)


def test_a_quick_restart_between_two_good_boots_is_known_well():
    boots = [Boot("a", 0, HOUR_NS), Boot("b", 0, HOUR_NS), Boot("c", 0, HOUR_NS)]
    anchors = [sight("a", HOUR_NS, UTC_NS), sight("c", 0, UTC_NS + HOUR_NS + 20 * NS_PER_S)]
    moment = Chronology(boots, anchors).moment("b", HOUR_NS // 2)
    assert moment.quality is Quality.GOOD
    utc = Chronology(boots, anchors).utc("b", HOUR_NS // 2)
    assert utc is not None
    assert abs(utc.utc_ns - (UTC_NS + HOUR_NS // 2 + 10 * NS_PER_S)) < NS_PER_S


def test_neighbours_that_contradict_each_other_leave_all_between_them_open():
    backwards = sight("d", 0, UTC_NS - 10 * HOUR_NS)
    moment = Chronology(BOOTS, [BEFORE, backwards]).moment("b", 0)
    assert moment.latest_ns is not None
    assert moment.earliest_ns is not None
    assert moment.earliest_ns < UTC_NS - 10 * HOUR_NS < moment.latest_ns
    assert moment.latest_ns >= UTC_NS - NS_PER_S


@st.composite
def history(draw: st.DrawFn) -> tuple[list[Boot], list[Anchor], list[tuple[str, int, int]]]:
    """Boots as they truly were: each with a drift of its own, dark times between them, and some of them anchored."""
    boots, anchors, moments = [], [], []
    utc_ns = UTC_NS
    for number in range(draw(st.integers(1, 6))):
        name = f"boot-{number}"
        ppm = draw(st.integers(-100, 100))
        utc_ns += draw(st.integers(0, 10**15))
        first_ns = draw(st.integers(0, 10**13))
        last_ns = first_ns + draw(st.integers(0, 10**15))

        def true_ns(boottime_ns: int, booted_ns: int = utc_ns, ppm: int = ppm) -> int:
            return booted_ns + boottime_ns + abs(boottime_ns * ppm) // PPM * (1 if ppm > 0 else -1)

        boots.append(Boot(name, first_ns, last_ns))
        at_ns = draw(st.integers(first_ns, last_ns))
        if draw(st.booleans()):
            error_ns = draw(st.integers(1, 10**11))
            anchors.append(sight(name, at_ns, true_ns(at_ns) + draw(st.integers(1 - error_ns, error_ns - 1)), error_ns))
        at_ns = draw(st.integers(0, last_ns))
        moments.append((name, at_ns, true_ns(at_ns)))
        utc_ns = true_ns(last_ns)
    return boots, anchors, moments


@settings(max_examples=200, deadline=None, derandomize=True)
@given(history())
def test_the_truth_lies_between_the_bounds_whatever_happened(found):
    boots, anchors, moments = found
    known = Chronology(boots, anchors)
    for boot_id, at_ns, true_ns in moments:
        moment = known.moment(boot_id, at_ns)
        assert (
            moment.earliest_ns is None or moment.earliest_ns - 2 <= true_ns
        )  # the truth above is rounded to whole nanoseconds, twice
        assert moment.latest_ns is None or true_ns <= moment.latest_ns + 2
