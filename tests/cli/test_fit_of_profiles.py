"""A profile fits if what it makes of the registers looks like a meter on a mains."""

import pytest

from instrument_agent.core.readings import Channel
from instrument_agent.field.fit import Check, fit, ranked

ONE = [
    Channel("voltage_v", "V", 0, 500),
    Channel("current_a", "A", 0, 60),
    Channel("power_w", "W", -15000, 15000),
    Channel("power_factor", "1", -1, 1),
    Channel("frequency_hz", "Hz", 0, 100),
]
GOOD = {"voltage_v": 230.0, "current_a": 5.0, "power_w": 1100.0, "power_factor": 0.95, "frequency_hz": 50.0}
THREE = [
    Channel(f"{quantity}_l{phase}_{unit.lower()}", unit, -1e5, 1e5)
    for quantity, unit in (("voltage", "V"), ("current", "A"), ("power", "W"))
    for phase in (1, 2, 3)
] + [Channel("power_w", "W", -1e5, 1e5)]
GOOD_THREE = {
    **{f"voltage_l{phase}_v": 230.0 for phase in (1, 2, 3)},
    **{f"current_l{phase}_a": 1.0 for phase in (1, 2, 3)},
    **{f"power_l{phase}_w": 200.0 for phase in (1, 2, 3)},
    "power_w": 600.0,
}


def test_a_good_reading_passes_every_check():
    found = fit("p", ONE, GOOD)
    assert (found.passed, found.failed) == ((Check.VOLTAGE, Check.FREQUENCY, Check.POWER), ())
    assert (found.plausible, found.share, found.likely) == (5, 1.0, True)


@pytest.mark.parametrize(
    ("change", "check"),
    [
        ({"voltage_v": 79.0}, Check.VOLTAGE),
        ({"voltage_v": 0.0}, Check.VOLTAGE),
        ({"frequency_hz": 44.9}, Check.FREQUENCY),
        ({"frequency_hz": 65.1}, Check.FREQUENCY),
        ({"power_w": 1300.0}, Check.POWER),
        ({"power_w": -1300.0}, Check.POWER),
    ],
)
def test_what_no_mains_can_show_rules_a_profile_out(change: dict[str, float], check: Check):
    found = fit("p", ONE, GOOD | change)
    assert check in found.failed
    assert not found.likely


def test_power_the_other_way_round_is_as_good():
    assert fit("p", ONE, GOOD | {"power_w": -1100.0}).likely


@pytest.mark.parametrize("values", [{}, dict.fromkeys(GOOD), dict.fromkeys(GOOD, 1e9), dict.fromkeys(GOOD, "text")])
def test_nothing_credible_is_no_fit(values: dict[str, object]):
    found = fit("p", ONE, values)
    assert (found.plausible, found.likely) == (0, False)
    assert ranked([found]) == []


def test_each_phase_is_held_against_itself_and_the_total_against_all():
    assert fit("p", THREE, GOOD_THREE).failed == ()
    assert fit("p", THREE, GOOD_THREE | {"power_l2_w": 400.0}).failed == (Check.POWER,)
    assert fit("p", THREE, GOOD_THREE | {"power_w": 900.0}).failed == (Check.POWER,)


def test_a_phase_that_is_not_connected_does_not_count_against_a_meter():
    two = GOOD_THREE | {"voltage_l3_v": 3.0, "current_l3_a": 0.0, "power_l3_w": 0.0, "power_w": 400.0}
    assert fit("p", THREE, two).likely


def test_without_a_check_that_holds_nothing_is_likely():
    assert not fit("p", [Channel("power_w", "W", 0, 9e9)], {"power_w": 100.0}).likely


def test_of_two_that_fit_the_one_that_says_more_comes_first_and_zeros_say_nothing():
    one, three = fit("one", ONE, GOOD), fit("three", THREE, GOOD_THREE)
    assert [item.profile for item in ranked([one, three])] == ["three", "one"]
    zeros = GOOD_THREE | {name: 0.0 for name in GOOD_THREE if "l1" not in name}
    assert [item.profile for item in ranked([fit("three", THREE, zeros), one])] == ["one", "three"]


def test_one_phase_of_three_is_not_held_against_the_power_of_all():
    one_of_three = [item for item in THREE if item.name in ("voltage_l1_v", "current_l1_a", "power_w")]
    found = fit("p", one_of_three, GOOD_THREE)
    assert (found.passed, found.failed) == ((Check.VOLTAGE,), ())
    assert found.likely


def test_a_profile_whose_power_is_not_credible_is_not_offered():
    broken = fit("p", ONE, GOOD | {"power_w": 1e9})
    assert (broken.passed, broken.failed) == ((Check.VOLTAGE, Check.FREQUENCY), ())
    assert not broken.likely


NO_VOLTAGE = [Channel("power_w", "W", -1e5, 1e5), Channel("energy_total_kwh", "kW.h", 0, 1e8)]


@pytest.mark.parametrize(
    ("channels", "values", "guess"),
    [
        (NO_VOLTAGE, {"power_w": 4200.0, "energy_total_kwh": 7.0}, True),
        (NO_VOLTAGE, {"power_w": 4200.0, "energy_total_kwh": -7.0}, False),
        (NO_VOLTAGE, {"power_w": 0.0, "energy_total_kwh": 0.0}, False),
        (NO_VOLTAGE[1:], {"energy_total_kwh": 7.0}, False),
        (ONE, GOOD, False),
        (ONE, GOOD | {"voltage_v": 10.0}, False),
    ],
)
def test_without_any_check_a_profile_is_a_guess_only_if_all_of_it_is_credible(
    channels: list[Channel], values: dict[str, float], guess: bool
):
    assert fit("p", channels, values).guess is guess
