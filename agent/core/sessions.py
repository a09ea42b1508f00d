"""Run sessions are read off the chain of intervals.

A run lasts while the chain says running. It spans a silence of at most ``bridge_ns`` if it runs on both sides; the
silent seconds stay unknown in the ledger and are carried in the session as unseen. Any other interval ends it at
its last sight.
"""

from dataclasses import dataclass

from instrument_agent.core.ledger import Interval
from instrument_agent.core.readings import Activity


@dataclass(frozen=True, slots=True)
class OpenRun:
    """A run that has not ended: seen running up to ``seen_to_ns``, of which ``unseen_ns`` were bridged."""

    start_ns: int
    seen_to_ns: int
    unseen_ns: int = 0


@dataclass(frozen=True, slots=True)
class RunSession:
    """A finished run; its running time is end - start - unseen."""

    start_ns: int
    end_ns: int
    unseen_ns: int


def follow(run: OpenRun | None, interval: Interval, bridge_ns: int) -> tuple[OpenRun | None, RunSession | None]:
    """Take the next interval of the chain, or the open one again after it has grown."""
    if interval.activity is Activity.RUNNING:
        if run is None:
            return OpenRun(interval.start_ns, interval.end_ns), None
        bridged_ns = max(0, interval.start_ns - run.seen_to_ns)
        return OpenRun(run.start_ns, max(run.seen_to_ns, interval.end_ns), run.unseen_ns + bridged_ns), None
    if run is None or interval.start_ns == interval.end_ns:
        return run, None
    if interval.activity is Activity.UNKNOWN and interval.end_ns - run.seen_to_ns <= bridge_ns:
        return run, None
    return None, finished(run)


def finished(run: OpenRun) -> RunSession:
    """Return the session of a run that ends at its last sight."""
    return RunSession(run.start_ns, run.seen_to_ns, run.unseen_ns)
