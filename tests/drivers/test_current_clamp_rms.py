"""How true an RMS is, for the waves that instruments draw."""

import math
import random
from collections.abc import Callable

import pytest

from instrument_agent.drivers.rms import ClampState, Samples, above_floor, fault_of, rms

CYCLE_S, WINDOW_S = 0.02, 0.2
FULL_SCALE, MIDDLE, PEAK = 4095, 2048, 1000

Wave = Callable[[float], float]


def sine(at_s: float) -> float:
    return math.sin(math.tau * at_s / CYCLE_S)


def rectified(at_s: float) -> float:
    """A switched power supply without correction: the odd harmonics 3 to 9."""
    parts = ((3, 0.8), (5, 0.55), (7, 0.3), (9, 0.12))
    shape = sum(part * math.sin(math.tau * order * at_s / CYCLE_S + order) for order, part in parts)
    return 0.4 * (sine(at_s) + shape)


def dimmed(at_s: float) -> float:
    """A furnace behind a thyristor that is fired at 108 degrees of each half cycle."""
    return sine(at_s) if at_s % (CYCLE_S / 2) >= 0.3 * CYCLE_S else 0.0


def sampled(
    wave: Wave, per_second: float, jitter: float, seed: int, *, gap_s: float = 0.0, noise: float = 0.0, offset: int = 0
) -> Samples:
    chance = random.Random(seed)
    at_s, times_s, codes = chance.random(), [], []
    gap_after = chance.randrange(20, 100)
    while not times_s or times_s[-1] < times_s[0] + WINDOW_S:
        times_s.append(at_s)
        codes.append(round(MIDDLE + offset + PEAK * wave(at_s) + chance.gauss(0, noise)))
        at_s += (1 + chance.uniform(-jitter, jitter)) / per_second + (gap_s if len(codes) == gap_after else 0)
    return Samples(times_s, codes, FULL_SCALE)


def truth(wave: Wave) -> float:
    steps = 20_000
    return PEAK * math.sqrt(sum(wave(CYCLE_S * step / steps) ** 2 for step in range(steps)) / steps)


@pytest.mark.parametrize(
    ("wave", "per_second", "jitter", "gap_s", "error"),
    [
        (sine, 800, 0.0, 0.0, 0.001),
        (sine, 820, 0.3, 0.0, 0.003),
        (sine, 3000, 0.5, 0.0, 0.001),
        (sine, 3000, 0.5, 0.004, 0.02),
        (rectified, 820, 0.0, 0.0, 0.01),
        (rectified, 3000, 0.5, 0.0, 0.003),
        (dimmed, 3000, 0.5, 0.0, 0.03),
        (dimmed, 8000, 0.5, 0.0, 0.015),
    ],
)
def test_the_error_stays_small_for_each_kind_of_load(
    wave: Wave, per_second: float, jitter: float, gap_s: float, error: float
) -> None:
    expected = truth(wave)
    for seed in range(8):
        samples = sampled(wave, per_second, jitter, seed, gap_s=gap_s)
        assert fault_of(samples, CYCLE_S, WINDOW_S) is None
        assert rms(samples, WINDOW_S) == pytest.approx(expected, rel=error)


def test_a_constant_voltage_under_the_wave_is_no_current() -> None:
    for offset in (-300, 300):
        assert rms(sampled(sine, 3000, 0.3, 1, offset=offset), WINDOW_S) == pytest.approx(PEAK / math.sqrt(2), rel=2e-3)


def test_mains_that_is_one_percent_off_costs_less_than_a_percent() -> None:
    for hertz in (49.5, 50.5):
        for seed in range(8):
            samples = sampled(lambda at_s, hertz=hertz: math.sin(math.tau * hertz * at_s), 3000, 0.3, seed)
            assert rms(samples, WINDOW_S) == pytest.approx(PEAK / math.sqrt(2), rel=0.01)


def test_noise_is_taken_away_by_its_own_rms() -> None:
    floor = rms(sampled(lambda at_s: 0.0, 3000, 0.3, 1, noise=40), WINDOW_S)
    noisy = rms(sampled(lambda at_s: 0.1 * sine(at_s), 3000, 0.3, 2, noise=40), WINDOW_S)
    assert noisy > 1.1 * 100 / math.sqrt(2)
    assert above_floor(noisy, floor) == pytest.approx(100 / math.sqrt(2), rel=0.05)
    assert above_floor(floor, floor) == above_floor(0.5 * floor, floor) == 0.0


def test_one_sample_gone_astray_is_not_clipping() -> None:
    samples = sampled(sine, 3000, 0.3, 1)
    codes = list(samples.codes)
    codes[100] = FULL_SCALE
    assert fault_of(Samples(samples.times_s, codes, FULL_SCALE), CYCLE_S, WINDOW_S) is None


def test_a_wave_a_hundredth_above_the_scale_is_clipping() -> None:
    samples = sampled(lambda at_s: min(2.047, max(-2.048, 2.07 * sine(at_s))), 3000, 0.3, 1)
    assert fault_of(samples, CYCLE_S, WINDOW_S) is ClampState.CLIPPED


def test_half_a_cycle_without_samples_is_no_measurement() -> None:
    samples = sampled(sine, 3000, 0.3, 1, gap_s=CYCLE_S * 0.51)
    assert fault_of(samples, CYCLE_S, WINDOW_S) is ClampState.UNDERSAMPLED


def test_what_lies_beyond_the_window_counts_only_as_far_as_it_leads_there() -> None:
    # Over the first 2 s the mean is 10, and the squares around it go 100, 0, 200 (halfway to 400).
    assert rms(Samples([5, 6, 8], [0, 10, 30], FULL_SCALE), 2.0) == pytest.approx(math.sqrt(75))


def test_samples_that_end_before_the_window_are_a_bug() -> None:
    samples = sampled(sine, 3000, 0.0, 1)
    with pytest.raises(ValueError, match="before the window"):
        rms(samples, 2 * WINDOW_S)
