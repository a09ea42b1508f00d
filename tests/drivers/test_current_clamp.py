"""A clamp on a converter, simulated at the wire: the RMS of whole cycles, or the reason why there is none."""

import math
import random
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from gpiozero.pins.mock import MockFactory
from pins import Converter, outputs, simulated_pins

from instrument_agent.core.errors import ConfigError, DeviceUnavailable
from instrument_agent.drivers.current_clamp import CurrentClampDriver

SAMPLE_S = 1 / 1500
VOLTS_PER_AMPERE = 22 / 2000
"""A clamp with 2,000 turns on 22 ohm."""

Volts = Callable[[int, float], float]


@pytest.fixture
def board() -> Iterator[MockFactory]:
    with simulated_pins() as factory:
        yield factory


def sine(amperes: float, hertz: float = 50.0, bias_v: float = 1.65) -> Volts:
    peak_v = amperes * VOLTS_PER_AMPERE * math.sqrt(2)
    return lambda _channel, at_s: bias_v + peak_v * math.sin(math.tau * hertz * at_s)


def clamped(volts: Volts, bits: int = 12, sample_s: float = SAMPLE_S, **options: Any) -> dict[str, Any]:
    """Return what a clamp reads from a wave; ``sample_s`` is the mean time between two samples, which jitters."""
    chance = random.Random(1)
    chip = Converter(bits, volts, lambda: sample_s * chance.uniform(0.7, 1.3))
    driver = CurrentClampDriver(ct_ratio=2000, burden_ohm=22, **{"chip": f"mcp3{'02'[bits == 12]}08", **options})
    driver.monotonic = lambda: chip.now_s
    driver.open()
    try:
        values = dict(driver.read(1.0))
    finally:
        driver.close()
        chip.close()
    assert set(values) <= {channel.name for channel in driver.channels}
    return values


@pytest.mark.parametrize(("bits", "amperes", "error"), [(12, 10.0, 0.005), (12, 60.0, 0.005), (10, 10.0, 0.02)])
def test_a_sine_is_read_as_its_rms(board: MockFactory, bits: int, amperes: float, error: float) -> None:
    assert clamped(sine(amperes), bits) == {
        "current_a": pytest.approx(amperes, rel=error),
        "clamp_state": "ok",
    }


@pytest.mark.parametrize("chip", ["mcp3004", "mcp3204"])
def test_each_chip_is_asked_for_the_input_that_is_wired(board: MockFactory, chip: str) -> None:
    wave = sine(10.0)
    bits = 12 if chip == "mcp3204" else 10
    values = clamped(lambda channel, at_s: wave(0, at_s) if channel == 3 else 0.0, bits, chip=chip, adc_channel=3)
    assert values["current_a"] == pytest.approx(10.0, rel=0.02)


@pytest.mark.parametrize(("mains_hz", "cycles"), [(50, 10), (60, 10), (60, 12)])
def test_a_measurement_takes_whole_cycles_of_its_mains(board: MockFactory, mains_hz: int, cycles: int) -> None:
    times_s: list[float] = []
    wave = sine(10.0, hertz=mains_hz)
    values = clamped(
        lambda channel, at_s: times_s.append(at_s) or wave(channel, at_s), mains_hz=mains_hz, cycles=cycles
    )
    assert values["current_a"] == pytest.approx(10.0, rel=0.005)
    assert times_s[-1] - times_s[0] == pytest.approx(cycles / mains_hz, abs=2 * SAMPLE_S)


def test_turns_through_the_clamp_divide_the_current(board: MockFactory) -> None:
    assert clamped(sine(50.0), ct_turns=5)["current_a"] == pytest.approx(10.0, rel=0.005)


def test_apparent_power_is_there_only_with_a_mains_voltage_and_power_never(board: MockFactory) -> None:
    values = clamped(sine(10.0), mains_v=230.0)
    assert values["apparent_power_va"] == pytest.approx(2300, rel=0.005)
    assert "power_w" not in values
    assert "apparent_power_va" not in clamped(sine(10.0))


def test_the_noise_floor_is_taken_away_in_quadrature(board: MockFactory) -> None:
    values = clamped(sine(5.0), noise_floor_a=3.0)
    assert values == {"current_a": pytest.approx(4.0, rel=0.01), "clamp_state": "ok"}


@pytest.mark.parametrize("amperes", [0.0, 0.2])
def test_a_current_under_the_noise_floor_is_zero_and_said_to_be(board: MockFactory, amperes: float) -> None:
    values = clamped(sine(amperes), noise_floor_a=0.3, mains_v=230.0)
    assert values == {"current_a": 0.0, "apparent_power_va": 0.0, "clamp_state": "below_floor"}


@pytest.mark.parametrize(
    ("volts", "state"),
    [
        (sine(110.0), "clipped"),
        (lambda _channel, _at_s: 0.0, "rail"),
        (lambda _channel, _at_s: 3.3, "rail"),
        (sine(10.0, bias_v=1.2), "open_bias"),
        (lambda _channel, _at_s: 0.7, "open_bias"),
    ],
    ids=["clipped", "stuck at 0", "stuck at full scale", "bias off the middle", "input afloat"],
)
def test_a_wave_that_cannot_be_the_current_is_no_value_and_says_why(
    board: MockFactory, volts: Volts, state: str
) -> None:
    values = clamped(volts, mains_v=230.0)
    assert values == {"current_a": None, "apparent_power_va": None, "clamp_state": state}


def test_samples_too_few_for_the_shape_are_no_value(board: MockFactory) -> None:
    assert clamped(sine(10.0), sample_s=1 / 700) == {"current_a": None, "clamp_state": "undersampled"}


def test_a_read_shorter_than_the_cycles_says_so(board: MockFactory) -> None:
    chip = Converter(12, sine(1.0), lambda: SAMPLE_S)
    driver = CurrentClampDriver(ct_ratio=2000, burden_ohm=22)
    with pytest.raises(DeviceUnavailable, match="not open"):
        driver.read(1.0)
    driver.open()
    with pytest.raises(DeviceUnavailable, match=r"10 cycles take 0\.2 s") as caught:
        driver.read(0.2)
    assert "timeout_s" in caught.value.hint
    adc = driver._adc
    driver.close()
    driver.close()
    assert adc.closed
    chip.close()


def test_two_clamps_share_one_chip(board: MockFactory) -> None:
    chip = Converter(12, lambda channel, at_s: sine(10.0 * (1 + channel))(0, at_s), lambda: SAMPLE_S)
    drivers = [CurrentClampDriver(ct_ratio=2000, burden_ohm=22, adc_channel=channel) for channel in (0, 1)]
    for driver in drivers:
        driver.monotonic = lambda: chip.now_s
        driver.open()
    assert [driver.read(1.0)["current_a"] for driver in drivers] == [
        pytest.approx(10.0, rel=0.005),
        pytest.approx(20.0, rel=0.005),
    ]
    drivers[0].close()
    assert drivers[1].read(1.0)["current_a"] == pytest.approx(20.0, rel=0.005)
    drivers[1].close()
    chip.close()


def test_no_pin_but_those_of_the_bus_is_touched(board: MockFactory) -> None:
    clamped(sine(10.0))
    assert {pin.info.name for pin in board.pins.values()} == {"GPIO8", "GPIO9", "GPIO10", "GPIO11"}
    assert outputs() == {"GPIO10"}  # data to the chip; clock and select are made by the simulated chip


def test_pins_are_never_driven_one_by_one_where_the_bus_cannot_be_opened(
    board: MockFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_bus(*, shared: bool, hardware: bool) -> Any:
        if hardware:
            raise OSError("can not open SPI device")
        return real(shared, hardware)

    real = board._get_spi_class
    monkeypatch.setattr(board, "_get_spi_class", lambda shared, hardware: no_bus(shared=shared, hardware=hardware))
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        with pytest.raises(DeviceUnavailable, match="SPI bus cannot be opened") as caught:
            CurrentClampDriver(ct_ratio=2000, burden_ohm=22).open()
    assert "do_spi" in caught.value.hint
    assert outputs() == set()


def test_an_input_the_chip_has_not_is_refused() -> None:
    with pytest.raises(ConfigError, match="mcp3204 has no input 4") as caught:
        CurrentClampDriver(ct_ratio=2000, burden_ohm=22, chip="mcp3204", adc_channel=4)
    assert "0 to 3" in caught.value.hint
