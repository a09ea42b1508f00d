"""Power sessions, and runs that go on over a boot."""

from played import OFF, RULES, RUN, STANDBY, held, so_far

from instrument_agent.core.readings import NS_PER_S, FailedRead, UnknownReason
from instrument_agent.core.sessions import Earlier, RunSession
from instrument_agent.core.step import begin, step


def test_a_power_session_spans_standby_and_runs_and_ends_when_it_is_off():
    readings = [*held(0, 100, OFF), *held(100, 200, STANDBY), *held(200, 400, RUN), *held(400, 600, STANDBY)]
    books = so_far([*readings, *held(600, 800, OFF)])
    assert [run[:2] for run in books.runs] == [(200, 400)]
    assert books.powers == [(100, 600, 0)]


def test_power_spans_a_silence_that_can_be_bridged_and_carries_it_as_unseen():
    readings = [*held(0, 100, OFF), *held(100, 200, STANDBY), *held(300, 400, STANDBY), *held(400, 600, OFF)]
    (session,) = so_far(readings).powers
    assert session == (100, 400, 300 - 199)


def first_run(first_value: float) -> RunSession:
    """The first run of a boot whose predecessor ended in a run."""
    state = begin("second", 0, Earlier("first", 7 * NS_PER_S))
    events = []
    dark = FailedRead(50 * NS_PER_S, UnknownReason.POWER_LOSS)
    for reading in [dark, *held(60, 300, first_value), *held(300, 600, RUN), *held(600, 900, STANDBY)]:
        state, some = step(RULES, state, reading)
        events += some
    return next(event for event in events if isinstance(event, RunSession))


def test_a_run_that_is_going_on_when_a_boot_begins_continues_the_one_before():
    assert first_run(RUN).continues == Earlier("first", 7 * NS_PER_S)


def test_a_run_that_begins_later_continues_nothing():
    assert first_run(STANDBY).continues is None
