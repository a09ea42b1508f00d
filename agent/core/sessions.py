"""Run sessions and power sessions are read off the chain of intervals.

A session lasts while the chain says running (or, for power: standby or running). It spans a silence of at most
``bridge_ns`` if it goes on afterwards; the silent seconds stay unknown in the ledger and are carried in the session
as unseen. Any other interval ends it at its last sight.
"""

from dataclasses import dataclass

from instrument_agent.core.ledger import Interval
from instrument_agent.core.readings import Activity

RUNNING = frozenset({Activity.RUNNING})
POWERED = frozenset({Activity.RUNNING, Activity.STANDBY})


@dataclass(frozen=True, slots=True)
class Earlier:
    """The run that was open when the boot before ended: its boot, and its start on that boot's clock."""

    boot_id: str
    start_ns: int


@dataclass(frozen=True, slots=True)
class OpenRun:
    """A session that has not ended: seen up to ``seen_to_ns``, of which ``unseen_ns`` were bridged."""

    start_ns: int
    seen_to_ns: int
    unseen_ns: int = 0
    continues: Earlier | None = None


@dataclass(frozen=True, slots=True)
class RunSession:
    """A finished run; its running time is end - start - unseen.

    A run that was open when its boot ended may have gone on for ``end_uncertainty_ns`` after its last sight; one that
    was already running when its boot began ``continues`` an earlier one.
    """

    start_ns: int
    end_ns: int
    unseen_ns: int
    continues: Earlier | None = None
    end_uncertainty_ns: int = 0


@dataclass(frozen=True, slots=True)
class PowerSession:
    """A finished stretch of standby and running; its powered time is end - start - unseen."""

    start_ns: int
    end_ns: int
    unseen_ns: int


def follow(
    session: OpenRun | None, interval: Interval, bridge_ns: int, members: frozenset[Activity] = RUNNING
) -> tuple[OpenRun | None, OpenRun | None]:
    """Take the next interval of the chain, or the open one again after it has grown.

    Returns:
        The session that is open now, and the one that ended.
    """
    if interval.activity in members:
        if session is None:
            return OpenRun(interval.start_ns, interval.end_ns), None
        bridged_ns = max(0, interval.start_ns - session.seen_to_ns)
        seen_to_ns = max(session.seen_to_ns, interval.end_ns)
        return OpenRun(session.start_ns, seen_to_ns, session.unseen_ns + bridged_ns, session.continues), None
    if session is None or interval.start_ns == interval.end_ns:
        return session, None
    if interval.activity is Activity.UNKNOWN and interval.end_ns - session.seen_to_ns <= bridge_ns:
        return session, None
    return None, session


def run_session(run: OpenRun, end_uncertainty_ns: int = 0) -> RunSession:
    """Return the session of a run that ends at its last sight."""
    return RunSession(run.start_ns, run.seen_to_ns, run.unseen_ns, run.continues, end_uncertainty_ns)


def power_session(powered: OpenRun) -> PowerSession:
    """Return the session of a stretch of power that ends at its last sight."""
    return PowerSession(powered.start_ns, powered.seen_to_ns, powered.unseen_ns)
