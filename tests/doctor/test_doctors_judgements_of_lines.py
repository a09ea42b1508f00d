"""Each judgement of what the box reads and whom it tells: ports, instruments, clamps, platforms and secrets."""

from typing import Any

import pytest
from judged import FAIL, HOUR_NS, NA, OK, UTC_NS, WARN, judged

from instrument_agent.core.anchors import DAY_NS
from instrument_agent.doctor.credentials import CredentialFacts, judge_credential
from instrument_agent.doctor.instruments import ClampFacts, InstrumentFacts, judge_clamp, judge_instrument
from instrument_agent.doctor.platforms import DeliveryFacts, ReachFacts, judge_delivery, judge_reach
from instrument_agent.doctor.ports import PortFacts, judge_port
from instrument_agent.doctor.verdict import Grade


@pytest.mark.parametrize(
    ("facts", "grade", "said"),
    [
        (PortFacts("/dev/ttyUSB0", there=False), FAIL, "not there"),
        (PortFacts("/dev/ttyUSB0", there=True), FAIL, "no device"),
        (PortFacts("/dev/ttyUSB0", there=True, device=True, group="dialout"), FAIL, "its group is dialout"),
        (
            PortFacts("/dev/ttyUSB0", there=True, device=True, allowed=True, lasting="/dev/serial/by-id/a"),
            WARN,
            "anoth",
        ),
        (PortFacts("/a", there=True, device=True, allowed=True, lasting="/a"), OK, "instrument-agent may open it"),
        (PortFacts("/dev/ttyAMA0", there=True, device=True, allowed=True), OK, "may open it"),
    ],
)
def test_a_port_is_there_may_be_opened_and_keeps_its_name(facts: PortFacts, grade: Grade, said: str) -> None:
    judged(judge_port(facts), grade, said)


def test_a_port_that_may_not_be_opened_names_the_rule_that_would_allow_it() -> None:
    verdict = judge_port(PortFacts("/dev/ttyUSB0", there=True, device=True, group="dialout"))
    assert "70-instrument-agent.rules" in verdict.advice


@pytest.mark.parametrize(
    ("path", "advice"),
    [("/dev/ttyUSB0", "plug the adapter in"), ("/dev/spidev0.0", "enable SPI"), ("/dev/gpiochip0", "a Raspberry Pi")],
)
def test_what_is_missing_is_got_as_its_kind_is(path: str, advice: str) -> None:
    assert advice in judge_port(PortFacts(path, there=False)).advice


GOOD = {"reads": 1000, "failures": 2, "failing": None, "error": "", "hint": "", "backwards": 0}


def seen(age_ms: int = 500, **driver: Any) -> InstrumentFacts:
    return InstrumentFacts("xrd-1", GOOD | driver, {"power_w": 5.0}, 1_000_000 - age_ms, 1_000_000, 60)


@pytest.mark.parametrize(
    ("facts", "grade", "said"),
    [
        (seen(), OK, "last read 0 s ago"),
        (seen(failing="driver_unavailable", error="no answer", hint="look"), FAIL, "not read: no answer"),
        (seen(error="it answers, but without power_w", hint="look"), FAIL, "without power_w"),
        (seen(failing="driver_hung"), FAIL, "not read: driver_hung"),
        (seen(61_000), FAIL, "last read 61 s ago"),
        (seen(failures=100), WARN, "9 % of its reads fail"),
        (seen(reads=10, failures=10), OK, "last read"),
        (InstrumentFacts("a", None, {}, None, 0, 60), NA, "no agent is running"),
        (InstrumentFacts("a", GOOD, {}, None, 0, 60), WARN, "not read yet"),
        (InstrumentFacts("a", GOOD, {"power_w": None, "state": "x"}, 0, 500, 60), WARN, "not credibly: power_w"),
    ],
)
def test_an_instrument_is_well_while_it_is_read(facts: InstrumentFacts, grade: Grade, said: str) -> None:
    judged(judge_instrument(facts), grade, said)


def clamp(**changes: Any) -> ClampFacts:
    facts: dict[str, Any] = {
        "name": "sem-1",
        "most_a": 53.0,
        "off_below_a": 0.1,
        "run_above_a": 4.0,
        "noise_floor_a": 0.05,
        "state": "ok",
        "seen_ms": 86_400_000,
        "off_ms": 80_000_000,
    }
    return ClampFacts(**(facts | changes))


@pytest.mark.parametrize(
    ("facts", "grade", "said"),
    [
        (clamp(), OK, "up to 53 A"),
        (clamp(run_above_a=60.0), FAIL, "begins at 60 A, but it can tell 53 A"),
        (clamp(run_above_a=None, off_below_a=None), OK, "up to 53 A"),
        (clamp(state="clipped"), FAIL, "stronger than it can tell"),
        (clamp(state="rail"), FAIL, "stuck"),
        (clamp(state="open_bias"), FAIL, "half the scale"),
        (clamp(state="undersampled"), FAIL, "too busy"),
        (clamp(noise_floor_a=0.2), WARN, "more than off_below"),
        (clamp(off_ms=86_400_000), WARN, "no current for 24 h"),
        (clamp(seen_ms=80_000_000), OK, "up to 53 A"),
        (clamp(state=""), OK, "up to 53 A"),
    ],
)
def test_a_clamp_is_held_against_what_it_can_tell(facts: ClampFacts, grade: Grade, said: str) -> None:
    judged(judge_clamp(facts), grade, said)


@pytest.mark.parametrize(
    ("facts", "grade", "said"),
    [
        (ReachFacts("p", took_s=0.25), OK, "in 0.2 s"),
        (ReachFacts("p", "no answer from the platform: refused"), FAIL, "refused"),
        (ReachFacts("p", expires_ns=UTC_NS + 30 * DAY_NS, utc_ns=UTC_NS), OK, "accepts the credential"),
        (ReachFacts("p", expires_ns=UTC_NS + 20 * DAY_NS, utc_ns=UTC_NS), WARN, "ends in 20 days"),
        (ReachFacts("p", expires_ns=UTC_NS, utc_ns=None), OK, "accepts"),
    ],
)
def test_a_platform_answers_and_its_certificate_goes_on(facts: ReachFacts, grade: Grade, said: str) -> None:
    judged(judge_reach(facts), grade, said)


@pytest.mark.parametrize(
    ("facts", "grade", "said"),
    [
        (DeliveryFacts("p", 0, 0, True, None, 100), OK, "nothing waits"),
        (DeliveryFacts("p", 5, 0, True, HOUR_NS, 100), OK, "5 records wait; there is room for 100 more days"),
        (DeliveryFacts("p", 5, 0, True, 3 * DAY_NS, None), WARN, "acknowledged for 3.0 days"),
        (DeliveryFacts("p", 5, 0, True, None, None), WARN, "since the box started"),
        (DeliveryFacts("p", 5, 0, False, None, None), WARN, "nothing was ever acknowledged"),
    ],
)
def test_what_waits_is_well_while_it_is_acknowledged(facts: DeliveryFacts, grade: Grade, said: str) -> None:
    (only,) = judge_delivery(facts)
    judged(only, grade, said)


def test_what_was_refused_is_told_beside_what_waits() -> None:
    waiting, refused = judge_delivery(DeliveryFacts("p", 5, 2, True, 3 * DAY_NS, None))
    judged(waiting, WARN, "5 records wait; nothing was acknowledged for 3.0 days")
    judged(refused, WARN, "refused 2 records")


@pytest.mark.parametrize(
    ("mode", "grade"), [(0o600, OK), (0o640, OK), (0o644, FAIL), (0o642, FAIL), (0o641, FAIL), (None, FAIL)]
)
def test_a_secret_that_everybody_may_reach_fails(mode: int | None, grade: Grade) -> None:
    judged(judge_credential(CredentialFacts("/etc/token", mode, "No such file or directory")), grade, "")


def test_what_this_user_may_not_see_is_not_judged() -> None:
    judged(judge_credential(CredentialFacts("/etc/token", None, hidden=True)), NA, "may not look")
    judged(judge_reach(ReachFacts("p", hidden=True)), NA, "may not read the credential")
