"""The retry policy, in one place, as a value.

Full jitter with a cap: after an outage the boxes of a province must not all come back in the same second.
"""

import random
import zlib
from collections.abc import Callable

from tenacity import RetryCallState, Retrying, retry_if_exception_type, wait_random_exponential

from instrument_agent.core.errors import PlatformUnauthorized, PlatformUnavailable
from instrument_agent.core.readings import NS_PER_S

BASE_S = 2.0
CAP_S = 900.0
LONGEST_RETRY_AFTER_S = 3600.0

JUST_BOOTED_NS = 600 * NS_PER_S
"""A box that starts within this of its boot may be one of many whose power came back at once."""

_jitter = wait_random_exponential(multiplier=BASE_S, max=CAP_S)


def share(box_id: str) -> float:
    """Return a number from 0 to 1, always the same for one box, by which the boxes of a province are spread."""
    return zlib.crc32(box_id.encode()) / 0xFFFFFFFF


def first_contact_s(spread_s: float, boottime_ns: int) -> float:
    """Return how long a starting agent keeps quiet, in seconds: at random up to ``spread_s`` if the box just booted."""
    return random.uniform(0, spread_s) if boottime_ns < JUST_BOOTED_NS else 0.0  # noqa: S311  # guards nothing


def pause_s(state: RetryCallState) -> float:
    """Return how long to wait before the next attempt, in seconds of the agent's clock.

    A platform that names a time gets it, within reason; one that refuses the credential is asked seldom.
    """
    error = state.outcome.exception() if state.outcome is not None else None
    if isinstance(error, PlatformUnauthorized):
        return quiet_s(error)
    jitter_s: float = _jitter(state)
    return jitter_s + quiet_s(error)


def quiet_s(error: BaseException | None) -> float:
    """Return how long a platform is to be left alone after this, besides what a regular pause takes."""
    if not isinstance(error, PlatformUnauthorized | PlatformUnavailable):
        return 0.0
    asked_s = min(max(error.retry_after_s or 0.0, 0.0), LONGEST_RETRY_AFTER_S)
    if isinstance(error, PlatformUnauthorized):
        return max(asked_s, random.uniform(CAP_S / 2, CAP_S))  # noqa: S311  # spreads load, guards nothing
    return asked_s


def retrying(
    wait: Callable[[float], None], stopped: Callable[[], bool], tell: Callable[[RetryCallState], None]
) -> Retrying:
    """Return the policy: for ever, until stopped; ``wait`` takes seconds, ``tell`` hears of each failed attempt."""
    return Retrying(
        retry=retry_if_exception_type((PlatformUnavailable, PlatformUnauthorized)),
        wait=pause_s,
        stop=lambda _state: stopped(),
        sleep=wait,
        before_sleep=tell,
        reraise=True,
    )
