"""Full jitter with a cap, what the platform asks for, and a slow probe where the credential is refused."""

import itertools
from collections.abc import Callable

import pytest

from instrument_agent.core.errors import (
    PlatformRejected,
    PlatformUnauthorized,
    PlatformUnavailable,
    StoreUnavailable,
)
from instrument_agent.uplink.retry import BASE_S, CAP_S, LONGEST_RETRY_AFTER_S, retrying

ROUNDS = 300


def failing(error: Exception, times: int) -> Callable[[], str]:
    """Return a function that raises ``error`` so many times and then answers."""
    left = itertools.count(times, -1)

    def attempt() -> str:
        if next(left) > 0:
            raise error
        return "done"

    return attempt


def pauses(error: Exception, times: int) -> list[float]:
    """Return how long the policy waited between attempts."""
    waited: list[float] = []
    assert retrying(waited.append, lambda: False, lambda _state: None)(failing(error, times)) == "done"
    return waited


def test_each_pause_is_anything_from_nothing_to_twice_the_bound_of_the_one_before() -> None:
    rounds = [pauses(PlatformUnavailable("down"), 14) for _ in range(ROUNDS)]
    for attempt, waited in enumerate(zip(*rounds, strict=True)):
        bound_s = min(CAP_S, BASE_S * 2**attempt)
        assert 0 <= min(waited) < 0.1 * bound_s, attempt
        assert 0.9 * bound_s < max(waited) <= bound_s, attempt
        assert sum(waited) / ROUNDS == pytest.approx(bound_s / 2, rel=0.2)


def test_after_weeks_the_pause_is_still_capped() -> None:
    waited = pauses(PlatformUnavailable("down"), 3000)
    assert max(waited) <= CAP_S
    assert max(waited[2000:]) > 0.9 * CAP_S


@pytest.mark.parametrize(
    ("asked_s", "least_s"), [(0.0, 0.0), (120.0, 120.0), (-50.0, 0.0), (1e12, LONGEST_RETRY_AFTER_S)]
)
def test_a_platform_that_names_a_time_gets_it_within_reason_and_still_spread(asked_s: float, least_s: float) -> None:
    waited = [pauses(PlatformUnavailable("busy", retry_after_s=asked_s), 1)[0] for _ in range(ROUNDS)]
    assert min(waited) >= least_s
    assert max(waited) <= least_s + BASE_S
    assert max(waited) - min(waited) > BASE_S / 2


def test_a_refused_credential_is_tried_again_seldom() -> None:
    waited = [pause for _ in range(60) for pause in pauses(PlatformUnauthorized("who?"), 5)]
    assert CAP_S / 2 <= min(waited) < 0.55 * CAP_S
    assert 0.95 * CAP_S < max(waited) <= CAP_S


@pytest.mark.parametrize("error", [PlatformRejected("odd"), StoreUnavailable("full"), ZeroDivisionError()], ids=repr)
def test_what_trying_again_cannot_mend_is_not_tried_again(error: Exception) -> None:
    waited: list[float] = []
    with pytest.raises(type(error)):
        retrying(waited.append, lambda: False, lambda _state: None)(failing(error, 1))
    assert waited == []


def test_it_gives_up_only_when_it_is_told_to_stop() -> None:
    waited: list[float] = []
    with pytest.raises(PlatformUnavailable, match="down"):
        retrying(waited.append, lambda: len(waited) == 40, lambda _state: None)(
            failing(PlatformUnavailable("down"), 1000)
        )
    assert len(waited) == 40


def test_every_failed_attempt_is_told_with_its_number() -> None:
    told: list[tuple[int, str]] = []
    policy = retrying(
        lambda _seconds: None,
        lambda: False,
        lambda state: told.append((state.attempt_number, str(state.outcome and state.outcome.exception()))),
    )
    policy(failing(PlatformUnavailable("down"), 3))
    policy(failing(PlatformUnavailable("down again"), 1))
    assert told == [(1, "down"), (2, "down"), (3, "down"), (1, "down again")]
