"""Is the database what was written? Quick by default; ``deep`` walks through everything."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from instrument_agent.buffer.boots import chronology
from instrument_agent.buffer.headfile import lost_tail, read_head
from instrument_agent.buffer.reader import FILE_NAME, Readable
from instrument_agent.buffer.retention import FOR_LIFE
from instrument_agent.buffer.verify import verify
from instrument_agent.core.readings import NS_PER_MS
from instrument_agent.doctor.verdict import Grade, Verdict
from instrument_agent.i18n import _


@dataclass(frozen=True, slots=True)
class DatabaseFacts:
    """What was found: the records there, whether a head file is there, and what is missing at the end.

    ``differences`` is how many a deep look found, with the first; None without a deep look. ``set_aside`` are the
    damaged files that earlier starts put away.
    """

    records: int
    head_there: bool
    lost: str = ""
    differences: int | None = None
    first: str = ""
    set_aside: tuple[str, ...] = ()


def judge_database(facts: DatabaseFacts) -> list[Verdict]:
    """Judge the chain of records and what was put away."""
    found = [_chain(facts)]
    if facts.set_aside:
        said = _("{count} damaged databases were set aside: {names}").format(
            count=len(facts.set_aside), names=", ".join(facts.set_aside)
        )
        advice = _("keep them until the platform's operator has compared; then the card should be replaced")
        found.append(Verdict("database", Grade.WARN, said, advice))
    return found


def _chain(facts: DatabaseFacts) -> Verdict:
    advice = _("sudo instrument-agent verify says what; restart the agent: it saves what can be verified")
    if facts.differences:
        said = _("{count} differences, first: {first}").format(count=facts.differences, first=facts.first)
        return Verdict("database", Grade.FAIL, said, advice)
    if facts.lost:
        return Verdict("database", Grade.FAIL, facts.lost, advice)
    if facts.differences == 0:
        said = _("all {count} records and what follows from them are as they were written")
        return Verdict("database", Grade.OK, said.format(count=facts.records))
    if not facts.head_there:
        said = _("{count} records; there is no head file to compare their end with").format(count=facts.records)
        return Verdict("database", Grade.WARN, said, _("look at all of it: instrument-agent doctor --deep"))
    said = _("the last of {count} records is the one that was noted").format(count=facts.records)
    return Verdict("database", Grade.OK, said)


def look_into(source: Readable, state_dir: Path, *, deep: bool) -> DatabaseFacts:
    """Compare the end of the log with the head file, and with ``deep`` verify everything.

    Raises:
        StoreUnavailable: it cannot be read.
    """
    head = read_head(state_dir)  # first: while the agent writes, the log may only grow beyond it
    lost = lost_tail(source, head)
    report = verify(source, head) if deep else None
    names = sorted(path.name for path in state_dir.glob(f"{FILE_NAME}.damaged-*"))
    return DatabaseFacts(
        records=source.rows("select count(*) from records")[0][0],
        head_there=head is not None,
        lost="" if lost is None else _lost(lost),
        differences=None if report is None else report.count,
        first=next(iter(report.differences), "") if report is not None else "",
        set_aside=tuple(name for name in names if not name.endswith(("-wal", "-shm"))),
    )


def log_ns(source: Readable, boot_id: str, boottime_ns: int) -> int | None:
    """Return how far back the log reaches (ns), without what is kept for life; None if nobody knows.

    Raises:
        StoreUnavailable: it cannot be read.
    """
    kinds = ", ".join("?" * len(FOR_LIFE))
    rows = source.rows(
        "select json_extract(body, '$.boot_id'), json_extract(body, '$.at_ms') from records"  # noqa: S608  # placeholders
        f" where type not in ({kinds}) order by id limit 1",
        tuple(FOR_LIFE),
    )
    if not rows:
        return None
    first_boot, at_ns = rows[0][0], int(rows[0][1]) * NS_PER_MS
    if first_boot == boot_id:
        return boottime_ns - at_ns
    times = chronology(source)
    then, now = times.utc(first_boot, at_ns), times.utc(boot_id, boottime_ns)
    return None if then is None or now is None else max(0, now.utc_ns - then.utc_ns)


def _lost(lost: dict[str, Any]) -> str:
    return _("the log ends too early: epoch {epoch} lacks seq {from_seq} to {to_seq}").format(**lost)
