"""The conformance kit catches each bad driver for its own reason, and says what to do."""

from typing import Any

import pytest
from bad_drivers import (
    AnyOption,
    ClosesOnce,
    Eager,
    Endless,
    Forgetful,
    Guessing,
    Inventive,
    Late,
    NeedsPort,
    NeverMade,
    NeverOpen,
    NoDataclass,
    Played,
    Rangeless,
    Speechless,
    Trusting,
    Unguarded,
    Unitless,
    Unshielded,
    Wasteful,
    WithoutClose,
    WithoutTimeout,
)
from lab_meter import example
from plain_meter import PlainMeter

from instrument_agent.core.errors import ConfigError
from instrument_agent.drivers import conformance, trials
from instrument_agent.drivers.conformance import findings

NOWHERE = "/dev/nowhere"
PORT = {"port": NOWHERE}


@pytest.mark.parametrize(
    ("check", "driver", "options", "problem"),
    [
        (conformance.check_members, WithoutClose, {}, "no method close"),
        (conformance.check_members, WithoutTimeout, PORT, "read cannot be called"),
        (conformance.check_options, NoDataclass, {}, "no dataclass"),
        (conformance.check_options, AnyOption, PORT, "mood"),
        (conformance.check_channels, Unitless, PORT, "power does not end in its unit W"),
        (conformance.check_channels, Rangeless, PORT, "no credible range"),
        (conformance.check_channels, Speechless, PORT, "channels raised RuntimeError: not open"),
        (conformance.check_making, Eager, PORT, "socket"),
        (conformance.check_unopened, Unguarded, PORT, "AttributeError"),
        (conformance.check_silence, Inventive, PORT, "an answer where nobody gave one"),
        (conformance.check_silence, Late, PORT, r"of 0\.2 s"),
        (conformance.check_junk, Trusting, PORT, "raised UnicodeDecodeError"),
        (conformance.check_junk, Guessing, PORT, "gave a number for power_w"),
        (conformance.check_endless, Late, PORT, r"of 0\.2 s"),
        (conformance.check_unplugged, Unshielded, PORT, "raised"),
        (conformance.check_leaks, Forgetful, PORT, "forgotten"),
        (conformance.check_leaks, Wasteful, PORT, "left after close"),
        (conformance.check_device, Played, {"values": {"voltage_v": 1.0}}, "channels it does not have: voltage_v"),
        (conformance.check_device, Played, {"values": {"power_w": True}}, "power_w is bool"),
        (conformance.check_device, Played, {"values": {"power_w": b"5"}}, "power_w is bytes"),
        (conformance.check_device, Played, {"values": None}, "read returned None"),
        (conformance.check_device, ClosesOnce, {"values": {"power_w": 1.0}}, "closed already"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_bad_driver_is_caught_for_its_own_reason(check: Any, driver: Any, options: dict[str, Any], problem: str):
    with pytest.raises(trials.Failed, match=problem) as caught:
        check(driver, options)
    assert caught.value.hint


def test_a_finding_says_what_failed_and_what_to_do():
    (found,) = [item for item in findings(ClosesOnce, {"values": {"power_w": 1.0}}) if item.failed]
    assert "closes twice" in found.check
    assert "closed already" in found.problem
    assert found.hint
    *_before, found = findings(WithoutClose, {})
    assert "four members" in found.check
    assert found.failed


@pytest.mark.parametrize(
    "driver",
    [NoDataclass, NeedsPort, PlainMeter(NOWHERE), example],
    ids=["a class", "one with options", "an object", "a function"],
)
def test_what_is_no_dataclass_is_a_finding_whatever_its_options(driver: Any):
    (found,) = findings(driver, {"pott": NOWHERE})
    assert (found.failed, found.problem) == (True, "the driver is no dataclass")
    assert "@dataclass" in found.hint


def test_a_driver_that_never_returns_is_left_behind(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(trials, "GIVEN_UP_S", 0.1)
    with pytest.raises(trials.Failed, match="has not returned"):
        conformance.check_silence(Endless, PORT)


def test_a_driver_that_never_opens_is_not_tried_again_and_again(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(trials, "GIVEN_UP_S", 0.1)
    monkeypatch.setattr(trials, "OPENING_S", 0.1)
    *_before, found = findings(NeverOpen, PORT)
    assert "closes twice" in found.check
    assert "open has not returned" in found.problem


def test_a_driver_that_is_never_made_is_a_mistake(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(trials, "GIVEN_UP_S", 0.1)
    monkeypatch.setattr(conformance, "OPENING_S", 0.1)
    with pytest.raises(ConfigError, match="has not taken these options"):
        findings(NeverMade, PORT)
