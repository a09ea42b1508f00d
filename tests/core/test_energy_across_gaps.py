"""What a meter counted while nobody looked is told once, with the end of the gap, and changes no state."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from metered import HOUR_S, Meter, Power, Seen, honest, nothing_seen, steady
from played import rules

from instrument_agent.core.across import Across, Counted, Ran, counted
from instrument_agent.core.checkpoint import read_back, written
from instrument_agent.core.ledger import Interval
from instrument_agent.core.observing import cut, ended, next_boot
from instrument_agent.core.readings import NS_PER_S, Activity, FailedRead, Reading, UnknownReason, Value
from instrument_agent.core.records import RecordType, event_facts
from instrument_agent.core.sanity import Doubt, Held

RULES = rules(off_below=20, run_above=1000, run_below=800)
STANDBY, RUNNING = steady(400), steady(2000)


def nothing(_at_s: float) -> float:
    return 0.0


def told(seen: Seen) -> list[tuple[int, str]]:
    """Return the watt-hours and the verdict of each gap."""
    return [(round(e.counted_ws / 3600), e.ran.value) for e in seen.events if isinstance(e, Counted)]


def unread(meter: Meter, load: Power, seconds: int) -> Iterator[Reading]:
    """Let the meter count for so long, while no read succeeds."""
    for reading in meter.readings(load, seconds):
        yield FailedRead(reading.at_ns, UnknownReason.DRIVER_UNAVAILABLE)


def believed(meter: Meter) -> Seen:
    """Return an instrument whose counter was seen to fit, and which is off by now."""
    seen = nothing_seen().see(RULES, meter.readings(RUNNING, 1500))
    assert seen.state.senses.counter_fits
    return seen.see(RULES, meter.readings(nothing, 300))


@pytest.mark.parametrize(
    ("load", "seconds", "expected"),
    [
        (nothing, HOUR_S, (0, "nothing_ran")),
        (steady(6), HOUR_S, (6, "nothing_ran")),  # a run of a minute at 800 W draws 13 Wh
        (steady(14), HOUR_S, (14, "cannot_tell")),
        (STANDBY, HOUR_S, (400, "cannot_tell")),
        (steady(950), HOUR_S, (950, "cannot_tell")),  # standby may draw that: a run begins at 1000 W
        (RUNNING, HOUR_S, (2000, "something_ran")),
    ],
)
def test_the_energy_of_a_gap_tells_what_it_shows_and_no_more(load: Power, seconds: int, expected: tuple[int, str]):
    meter = Meter(0.001)
    seen = believed(meter).see(RULES, unread(meter, load, seconds)).see(RULES, meter.readings(nothing, 60))
    ((wh, verdict),) = told(seen)
    assert wh == pytest.approx(expected[0], abs=3)
    assert verdict == expected[1]


def test_it_is_told_with_the_end_of_the_gap_and_the_gap_stays_unknown():
    meter = Meter(0.001)
    seen = believed(meter)
    from_s = meter.begun_s
    seen.see(RULES, unread(meter, nothing, HOUR_S)).see(RULES, meter.readings(nothing, 10))
    back_s = meter.begun_s
    seen.events.clear()
    for reading in meter.readings(nothing, 60):
        seen.see(RULES, [reading])
        if seen.events:
            break
    gap, energy = seen.events
    assert gap == Interval(
        round(from_s * NS_PER_S), round(back_s * NS_PER_S), Activity.UNKNOWN, UnknownReason.DRIVER_UNAVAILABLE
    )
    assert isinstance(energy, Counted)
    (_gap, fact) = event_facts("boot", "xrd-1", seen.state.latest_ns, (gap, energy))
    assert (fact.type, fact.instrument_id) == (RecordType.LIFECYCLE_EVENT, "xrd-1")
    assert fact.data == {
        "event": "energy_across_gap",
        "from_boot_id": "boot",
        "from_ms": round(from_s * 1000),
        "to_ms": round(back_s * 1000),
        "counted_wh": 0,
        "verdict": "nothing_ran",
    }


def test_a_gap_that_a_run_can_span_is_not_told():
    meter = Meter(0.001)
    seen = believed(meter).see(RULES, unread(meter, nothing, 280)).see(RULES, meter.readings(nothing, 600))
    assert [event.reason for event in seen.events if isinstance(event, Interval)][-1] is not None
    assert told(seen) == []


def test_a_counter_that_was_never_seen_to_fit_tells_nothing():
    meter = Meter(0.001)
    seen = nothing_seen().see(RULES, meter.readings(RUNNING, 600))
    seen.see(RULES, unread(meter, nothing, HOUR_S)).see(RULES, meter.readings(nothing, 600))
    assert told(seen) == []


def test_a_counter_that_came_back_lower_tells_nothing():
    meter = Meter(0.001)
    seen = believed(meter).see(RULES, unread(meter, RUNNING, HOUR_S))
    meter.joules = 0.0
    assert told(seen.see(RULES, meter.readings(nothing, 600))) == []


def no_counter(_at_s: float, values: dict[str, Value]) -> dict[str, Value]:
    return {name: value for name, value in values.items() if name != "energy_import_kwh"}


def test_a_counter_that_was_not_read_beside_the_power_tells_nothing():
    meter = Meter(0.001)
    before = believed(meter).see(RULES, meter.readings(nothing, 600, no_counter))
    before.see(RULES, unread(meter, nothing, HOUR_S)).see(RULES, meter.readings(nothing, 600))
    meter = Meter(0.001)
    after = believed(meter).see(RULES, unread(meter, nothing, HOUR_S))
    after.see(RULES, meter.readings(nothing, 600, no_counter)).see(RULES, meter.readings(nothing, 600))
    assert told(before) == told(after) == []


def reversed_clamp(_at_s: float, values: dict[str, Value]) -> dict[str, Value]:
    return values | {"power_w": -float(values["power_w"] or 0)}


def test_a_clamp_that_comes_back_the_wrong_way_round_is_no_evidence_of_rest():
    meter = Meter(0.001)
    seen = believed(meter).see(RULES, unread(meter, nothing, HOUR_S))
    seen.see(RULES, meter.readings(RUNNING, 400, reversed_clamp)).see(RULES, meter.readings(nothing, 600))
    assert told(seen) == []
    meter = Meter(0.001)
    seen = rebooted(believed(meter), meter)
    seen.see(RULES, meter.readings(RUNNING, 400, reversed_clamp)).see(RULES, meter.readings(nothing, 600))
    assert told(seen) == []


def rebooted(seen: Seen, meter: Meter) -> Seen:
    """Return what the next boot goes on from."""
    events = seen.events + list(ended(RULES, seen.state)[1])
    meter.begun_s = 20.0
    return Seen(read_back(*written(next_boot(seen.state, "next", None))), events)


@pytest.mark.parametrize(("load", "verdict"), [(nothing, "nothing_ran"), (RUNNING, "cannot_tell")])
def test_energy_is_counted_over_boots_but_how_long_that_was_no_boot_clock_knows(load: Power, verdict: str):
    meter = Meter(0.001)
    seen = believed(meter)
    left_ns, left_joules = seen.state.last_seen_ns, meter.joules
    list(meter.readings(load, 2 * HOUR_S))
    seen = rebooted(seen, meter)
    seen.see(RULES, unread(meter, load, HOUR_S))  # the meter did not answer in the whole of this boot
    seen = rebooted(seen, meter).see(RULES, meter.readings(nothing, 600))
    (energy,) = (event for event in seen.events if isinstance(event, Counted))
    assert (energy.from_boot_id, energy.from_ns) == ("boot", left_ns)
    assert (energy.to_ns, energy.ran.value) == (30 * NS_PER_S, verdict)
    assert energy.counted_ws == pytest.approx(meter.joules - left_joules, abs=3601)
    assert seen.see(RULES, meter.readings(nothing, 600)).state.across is None


def test_what_a_boot_ends_with_is_told_in_that_boot():
    meter = Meter(0.001)
    seen = believed(meter).see(RULES, unread(meter, nothing, HOUR_S)).see(RULES, meter.readings(nothing, 10))
    assert told(seen) == []
    seen = rebooted(seen, meter)
    assert told(seen) == [(0, "nothing_ran")]
    assert seen.see(RULES, meter.readings(nothing, 600)).state.across is None
    assert told(seen) == [(0, "nothing_ran")] * 2, "the reboot is a gap of its own"


def test_one_sight_between_two_silences_is_in_the_gap_and_in_its_energy():
    meter = Meter(0.001)
    seen = believed(meter)
    from_ns = seen.state.last_seen_ns
    for seconds in (HOUR_S, 2 * HOUR_S):
        seen.see(RULES, unread(meter, RUNNING, seconds)).see(RULES, meter.readings(nothing, 10))
    seen.see(RULES, meter.readings(nothing, 60))
    energies = [event for event in seen.events if isinstance(event, Counted)]
    gaps = [event for event in seen.events if isinstance(event, Interval) and event.start_ns >= from_ns]
    assert [energy.from_ns for energy in energies] == [gap.start_ns for gap in gaps if gap.reason is not None]
    assert sum(energy.counted_ws for energy in energies) == pytest.approx(2000 * 3 * HOUR_S, rel=0.01)


def test_no_energy_is_counted_from_one_owner_to_the_next():
    meter = Meter(0.001)
    seen = believed(meter)
    seen.state, _events = cut(RULES, seen.state, seen.state.latest_ns)
    seen.see(RULES, unread(meter, RUNNING, HOUR_S)).see(RULES, meter.readings(nothing, 600))
    assert told(seen) == []


def test_what_was_drawn_before_a_gap_and_counted_late_is_no_run_in_it():
    across = Across("boot", 0, from_w=9000.0, from_kwh=1.0, to_kwh=1.2, to_ns=400 * NS_PER_S)
    late = counted(RULES, across, 400 * NS_PER_S, "boot", 0.001)
    assert late.ran is Ran.CANNOT_TELL
    assert counted(RULES, replace(across, from_w=0.0), 400 * NS_PER_S, "boot", 0.001).ran is Ran.SOMETHING


def test_energy_shows_a_run_only_where_its_time_is_known_and_long_enough_for_one():
    across = Across("boot", 0, from_w=0.0, from_kwh=1.0, to_kwh=1.2, to_ns=400 * NS_PER_S)
    assert counted(RULES, across, 400 * NS_PER_S, "next", 0.001).ran is Ran.CANNOT_TELL
    long_runs = rules(off_below=20, run_above=1000, run_below=800, min_on_s=900)
    assert counted(long_runs, across, 400 * NS_PER_S, "boot", 0.001).ran is Ran.CANNOT_TELL


def test_a_sensor_in_doubt_tells_nothing():
    meter = Meter(0.001)
    seen = believed(meter)
    doubts = (Held(Doubt.DISAGREES, seen.state.latest_ns, 0.0),)
    seen.state = replace(seen.state, senses=replace(seen.state.senses, held=doubts))
    seen.see(RULES, unread(meter, nothing, HOUR_S)).see(RULES, meter.readings(nothing, 600))
    assert told(seen) == []


def test_a_coarse_counter_cannot_tell_that_nothing_ran():
    across = Across("boot", 0, from_w=0.0, from_kwh=1.0, to_kwh=1.0, to_ns=400 * NS_PER_S)
    assert counted(RULES, across, 400 * NS_PER_S, "boot", 0.1).ran is Ran.CANNOT_TELL


def test_a_box_that_is_killed_after_every_reading_tells_the_same_energy():
    def readings() -> Iterator[Reading]:
        meter = Meter(0.001)
        for load, fault, seconds in (
            (RUNNING, honest, 1500),
            (nothing, None, 900),
            (STANDBY, honest, 10),
            (RUNNING, None, 900),
            (nothing, no_counter, 30),
            (nothing, honest, 120),
            (RUNNING, None, 2000),
            (RUNNING, honest, 200),
        ):
            yield from unread(meter, load, seconds) if fault is None else meter.readings(load, seconds, fault)

    once = nothing_seen().see(RULES, readings())
    killed = nothing_seen().see(RULES, readings(), resumed=True)
    assert (once.state, once.events) == (killed.state, killed.events)
    assert [verdict for _wh, verdict in told(once)] == ["nothing_ran", "something_ran"]
