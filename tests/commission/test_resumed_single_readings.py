"""A run judged by single readings goes on where a box that was killed stopped."""

from dataclasses import replace

from shapes import sampled

from instrument_agent.commission.learning import learn
from instrument_agent.config import ActivityConfig
from instrument_agent.core.checkpoint import read_back, written
from instrument_agent.core.readings import NS_PER_S, Observation
from instrument_agent.core.step import Event, begin, end, step

JOB = [(40.0, 900.0, True), *(phase for _ in range(9) for phase in ((20.0, 15.0, True), (4.0, 900.0, True)))]


def test_resuming_after_every_reading_changes_nothing():
    samples = sampled([(900, 15, False), *JOB, (900, 15, False), *JOB, (900, 15, False)], sigma=0.5, every_s=4)
    rules = replace(learn(samples).rules(ActivityConfig()), single_readings=True)

    def events(resumed: bool) -> list[Event]:
        state = begin("boot", 0)
        found: list[Event] = []
        for at_s, value in samples:
            state = read_back(*written(state)) if resumed else state
            state, some = step(rules, state, Observation(round(at_s * NS_PER_S), {"power_w": value}))
            found += some
        return [*found, *end(rules, state)[1]]

    assert len(events(resumed=False)) > 4
    assert events(resumed=True) == events(resumed=False)
