"""Closes calendar days: once its end is known and settled, a day becomes a record and is never opened again."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from zoneinfo import ZoneInfo

from instrument_agent.buffer.books import anchors, anchors_after, changes_of_hands, configured_data
from instrument_agent.buffer.calendar_days import (
    BootSpan,
    NextDay,
    boot_spans,
    intervals_between,
    last_summary,
    midnight,
    next_day,
    save_day,
    save_midnight,
)
from instrument_agent.buffer.retention import ENDLESS_UTC_NS
from instrument_agent.buffer.store import Store
from instrument_agent.core.anchors import Anchor, Sights, Utc
from instrument_agent.core.days import (
    FAR_NS,
    Idle,
    Stretch,
    boot_moment,
    clipped,
    counted_span,
    credible_begins,
    daily_summary,
    dated,
    day_sums,
    idle_after,
    local_day,
    shares_before,
)
from instrument_agent.core.readings import NS_PER_S
from instrument_agent.core.step import State

KNOWN_TO_NS = 60 * NS_PER_S
"""A day is closed once the UTC of its end is known this well, or will never be known better."""
LEAP_NS = 86_400 * NS_PER_S
"""A sight of UTC that puts the end of the next day further back than this needs another one that agrees."""


@dataclass(frozen=True, slots=True)
class _Due:
    """A day to count next, and when it begins and ends in UTC."""

    next: NextDay
    utc_ns: tuple[int, int]


class Daybook:
    """The calendar of a box: days of ``zone``, idle levels after so many ``levels_days``."""

    def __init__(self, store: Store, zone: str, levels_days: tuple[int, ...]) -> None:
        self._store = store
        self._zone_name = zone
        self._zone = ZoneInfo(zone)
        self._levels_days = levels_days

    def close_due(self, states: Mapping[str, State]) -> int:
        """Close every day of every instrument that can be closed by now; return how many were."""
        return sum(self._close_instrument(name, state) for name, state in states.items())

    def owes(self, instrument_id: str, state: State) -> bool:
        """Say whether a day in which an instrument was still watched is not counted yet, as far as is known."""
        following = self._next(instrument_id, state)
        return following is None or following.utc_ns[0] < self._watched_to_utc_ns(instrument_id, state, following)

    def uncounted_from_utc_ns(self, states: Mapping[str, State]) -> int:
        """Return when the first day begins that is not counted yet of an instrument that was watched in it."""
        following = [self._next(name, state) for name, state in states.items() if self.owes(name, state)]
        return min((due.utc_ns[0] for due in following if due is not None), default=ENDLESS_UTC_NS)

    def is_due(self, instrument_id: str, state: State) -> bool:
        """Say whether the next day of an instrument can be closed by now."""
        return self._due(instrument_id, state, anchors(self._store, state.boot_id)) is not None

    def close_next(self, instrument_id: str, state: State) -> None:
        """Close the next day of an instrument, if it can be by now."""
        due = self._due(instrument_id, state, anchors(self._store, state.boot_id))
        if due is not None:
            self._close(instrument_id, state, due)

    def _watched_to_utc_ns(self, instrument_id: str, state: State, following: _Due) -> int:
        """Return until when an instrument was watched; a boot that may still learn the time counts as long enough."""
        for span in reversed(boot_spans(self._store, instrument_id, following.next.first_epoch_number)):
            if span.watched_to_ns is not None:
                utc = _clock_of(anchors(self._store, span.boot_id))(span.watched_to_ns)
                if utc is not None:
                    return utc.utc_ns
                if span.boot_id == state.boot_id:
                    return following.utc_ns[1]
        return following.utc_ns[0]

    def _close_instrument(self, instrument_id: str, state: State) -> int:
        closed = 0
        # Nearly every look finds nothing due, so looking reads little more than the anchors of this boot.
        known = anchors(self._store, state.boot_id)
        while (due := self._due(instrument_id, state, known)) is not None:
            self._close(instrument_id, state, due)
            closed += 1
        return closed

    def _due(self, instrument_id: str, state: State, known: list[Anchor]) -> _Due | None:
        """Return the next day of an instrument if its end has passed, is settled and is known well enough."""
        here = _clock_of(known)
        settled = here(state.line.settled_ns)
        due = None if settled is None else self._next(instrument_id, state)
        if settled is None or due is None or settled.utc_ns - settled.error_ns < due.utc_ns[1]:
            return None
        # What the boot clock counted since a sight of UTC is not in doubt, the sight itself may be.
        leapt_ns = due.utc_ns[1] + LEAP_NS
        if min(anchor.utc_ns for anchor in known) > leapt_ns and not self._agreed(leapt_ns):
            return None
        began_ns = self._span(instrument_id, state)[0]
        marked_ns, settled_ns = midnight(self._store, state.boot_id, due.utc_ns[1]), state.line.settled_ns
        ended_ns = boot_moment(here, due.utc_ns[1], 0, settled_ns) if marked_ns is None else marked_ns
        if ended_ns > settled_ns:
            return None  # it was put there for another instrument, which was further
        ended = here(ended_ns)
        # Only an anchor that comes after the last one tells more: an end that lies before that, or in a boot that is
        # over, will never be known better than it is now.
        open_yet = ended_ns > max(began_ns, *(anchor.boottime_ns for anchor in known))
        unsure = ended is not None and open_yet and ended.error_ns > KNOWN_TO_NS
        return None if unsure else due

    def _agreed(self, utc_ns: int) -> bool:
        """Say whether two sights of UTC put a moment into the past: of two sources or boots, or hours apart.

        A time server that is a year ahead must not close the days of that year.
        """
        return len(anchors_after(self._store, utc_ns)) > 1

    def _next(self, instrument_id: str, state: State) -> _Due | None:
        """Return the next day to count; it begins where the last one ended, whatever zone the box was in then."""
        following = next_day(self._store, instrument_id) or self._first(instrument_id, state)
        if following is None:
            return None
        last = last_summary(self._store, instrument_id)
        before = None
        if last is not None and following.day == date.fromisoformat(last["day"]) + timedelta(days=1):
            before = date.fromisoformat(last["day"]), ZoneInfo(last["zone"])
        day, *utc_ns = counted_span(following.day, self._zone, before)
        return _Due(replace(following, day=day), (utc_ns[0], utc_ns[1]))

    def _first(self, instrument_id: str, state: State) -> NextDay | None:
        """Return the day on which watching began, as far as any boot can tell."""
        began_ns = []
        for span in boot_spans(self._store, instrument_id, 0):
            begin_ns = self._span(instrument_id, state)[0] if span.boot_id == state.boot_id else span.begin_ns
            began = None if begin_ns is None else _clock_of(anchors(self._store, span.boot_id))(begin_ns)
            began_ns += [] if began is None else [began.utc_ns]
        # The boots before that may have watched, too, without learning the time.
        return next((NextDay(local_day(at_ns, self._zone), 0, Idle()) for at_ns in credible_begins(began_ns)), None)

    def _close(self, instrument_id: str, state: State, due: _Due) -> None:
        day, (start_utc_ns, end_utc_ns) = due.next.day, due.utc_ns
        numbers: dict[str, int] = {}
        boots: list[tuple[str, Stretch | None]] = []
        for span in boot_spans(self._store, instrument_id, due.next.first_epoch_number):
            stretch = self._stretch(instrument_id, state, span, due.utc_ns)
            if stretch is not None or span.begin_ns is not None:
                boots.append((span.boot_id, stretch))
            numbers[span.boot_id] = span.first_epoch_number
        stretches = dated(boots)
        begun = [numbers[boot_id] for boot_id, stretch in stretches if stretch.begin_utc_ns < end_utc_ns]
        first_number = max([due.next.first_epoch_number, *begun])
        sums = day_sums(start_utc_ns, end_utc_ns, [stretch for _boot_id, stretch in stretches])
        idle = idle_after(due.next.idle, sums)
        data = daily_summary(day, self._zone_name, sums, idle, self._levels_days)
        # How much its figures may be relied on: the origin of the rules at the time the day is closed.
        origin = configured_data(self._store, instrument_id).get("rules_origin")
        data |= {} if origin is None else {"rules_origin": origin}
        shares = shares_before(start_utc_ns, stretches, changes_of_hands(self._store, instrument_id))
        data |= {"before_transfers": shares} if shares else {}
        following = NextDay(day + timedelta(days=1), first_number, idle)
        with self._store.write() as change:
            save_day(change, instrument_id, (state.boot_id, state.latest_ns), data, following)

    def _stretch(self, instrument_id: str, state: State, span: BootSpan, day_ns: tuple[int, int]) -> Stretch | None:
        """Return what a boot adds to a day; None for a boot that never learned the time."""
        clock = _clock_of(anchors(self._store, span.boot_id))
        current = span.boot_id == state.boot_id
        begin_ns, end_ns = self._span(instrument_id, state) if current else (span.begin_ns, span.end_ns)
        if begin_ns is None or end_ns is None:
            return None
        begin, end = clock(begin_ns), clock(end_ns)
        if begin is None or end is None:
            return None
        if begin.utc_ns - FAR_NS > day_ns[1] or end.utc_ns + FAR_NS < day_ns[0]:
            return Stretch(begin.utc_ns, end.utc_ns, (), span.left)
        first_ns = self._mark(span.boot_id, clock, day_ns[0], (0, end_ns))
        last_ns = self._mark(span.boot_id, clock, day_ns[1], (min(first_ns, end_ns), end_ns))
        from_ns, to_ns = (min(max(mark_ns, begin_ns), end_ns) for mark_ns in (first_ns, last_ns))
        chain = intervals_between(self._store, instrument_id, span.boot_id, from_ns, to_ns)
        if current:
            # A bus may have closed the open interval since this state was taken: it counts once, as it was then.
            growing = state.line.open
            chain = [*(item for item in chain if item.start_ns < growing.start_ns), growing]
        return Stretch(begin.utc_ns, end.utc_ns, clipped(chain, from_ns, to_ns), span.left)

    def _mark(self, boot_id: str, clock: Callable[[int], Utc | None], utc_ns: int, within_ns: tuple[int, int]) -> int:
        """Return where a midnight lies on a boot's clock: where it was put first, for all instruments and both days."""
        marked_ns = midnight(self._store, boot_id, utc_ns)
        if marked_ns is None:
            marked_ns = boot_moment(clock, utc_ns, *within_ns)
            with self._store.write() as change:
                save_midnight(change, boot_id, utc_ns, marked_ns)
        return marked_ns

    def _span(self, instrument_id: str, state: State) -> tuple[int, int]:
        """Return where the chain of the present boot begins, and how far it is settled."""
        rows = self._store.rows(
            "select min(start_ns) from intervals where instrument_id = ? and boot_id = ?",
            (instrument_id, state.boot_id),
        )
        begin_ns = rows[0][0]
        return (state.line.open.start_ns if begin_ns is None else begin_ns), state.line.settled_ns


def _clock_of(known: list[Anchor]) -> Callable[[int], Utc | None]:
    """Return the mapping from a boot's clock to UTC from its anchors; it knows nothing of a boot without one."""
    return Sights(known).utc if known else lambda _boottime_ns: None
