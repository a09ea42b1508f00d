"""What ``verify`` has counted, as lines for people."""

from collections.abc import Callable, Mapping

from instrument_agent.i18n import ngettext

Lines = dict[str, Callable[[int], str]]

PROVEN: Lines = {
    "records": lambda n: ngettext(
        "{count} record fits its hash and follows the one before it without a gap",
        "{count} records fit their hashes and follow each other without a gap",
        n,
    ),
    "sessions": lambda n: ngettext(
        "{count} session has the duration its intervals give",
        "{count} sessions have the durations their intervals give",
        n,
    ),
    "gaps": lambda n: ngettext(
        "{count} gap is that of its interval",
        "{count} gaps are those of their intervals",
        n,
    ),
    "days": lambda n: ngettext(
        "{count} day has the sums its intervals give",
        "{count} days have the sums their intervals give",
        n,
    ),
    "intervals": lambda n: ngettext(
        "{count} interval fits its checksum",
        "{count} intervals fit their checksums",
        n,
    ),
    "anchors": lambda n: ngettext(
        "{count} time anchor is in the chain of records",
        "{count} time anchors are in the chain of records",
        n,
    ),
    "checkpoints": lambda n: ngettext(
        "{count} instrument can be resumed",
        "{count} instruments can be resumed",
        n,
    ),
    "signatures": lambda n: ngettext(
        "{count} epoch is as the box signed it: not altered after it wrote it",
        "{count} epochs are as the box signed them: not altered after it wrote them",
        n,
    ),
    "receipts": lambda n: ngettext(
        "{count} epoch is as a platform confirmed it with its signature",
        "{count} epochs are as a platform confirmed them with its signature",
        n,
    ),
}
ONLY_IF_ENROLLED = ("signatures", "receipts")
NOT_PROVEN: Lines = {
    "roots": lambda n: ngettext(
        "{count} epoch was pruned; its chain begins at a root",
        "{count} epochs were pruned; their chain begins at a root",
        n,
    ),
    "lone_records": lambda n: ngettext(
        "{count} record was kept of a pruned epoch; it fits its own hash only",
        "{count} records were kept of pruned epochs; each fits its own hash only",
        n,
    ),
    "lost_records": lambda n: ngettext(
        "{count} record was lost with a damaged file; its place is marked",
        "{count} records were lost with a damaged file; their places are marked",
        n,
    ),
    "sessions": lambda n: ngettext(
        "{count} session whose intervals are not all there any more",
        "{count} sessions whose intervals are not all there any more",
        n,
    ),
    "gaps": lambda n: ngettext(
        "{count} gap whose interval is not there any more",
        "{count} gaps whose intervals are not all there any more",
        n,
    ),
    "days": lambda n: ngettext(
        "{count} day whose intervals are not all there any more",
        "{count} days whose intervals are not all there any more",
        n,
    ),
    "anchors": lambda n: ngettext(
        "{count} time anchor whose record is lost",
        "{count} time anchors whose records are lost",
        n,
    ),
    "contradicting_anchors": lambda n: ngettext(
        "{count} pair of time anchors contradicts each other",
        "{count} pairs of time anchors contradict each other",
        n,
    ),
    "contradicting_boots": lambda n: ngettext(
        "{count} boot seems to begin before one before it ended: a clock was told a false time",
        "{count} boots seem to begin before one before them ended: a clock was told a false time",
        n,
    ),
    "signatures": lambda n: ngettext(
        "{count} signature of the box could not be held against the log",
        "{count} signatures of the box could not be held against the log",
        n,
    ),
    "unreceipted": lambda n: ngettext(
        "{count} epoch was sent further than the platform's receipt goes",
        "{count} epochs were sent further than the platform's receipts go",
        n,
    ),
    "receipts": lambda n: ngettext(
        "{count} receipt of a platform could not be held against the log",
        "{count} receipts of a platform could not be held against the log",
        n,
    ),
}


def proven_lines(counts: Mapping[str, int]) -> list[str]:
    """Return what is proven; of signatures nothing if there are none, as on a box that is not enrolled."""
    return [
        line(counts[name]).format(count=counts[name])
        for name, line in PROVEN.items()
        if counts[name] or name not in ONLY_IF_ENROLLED
    ]


def unproven_lines(counts: Mapping[str, int]) -> list[str]:
    """Return what is not proven; nothing of what there is none of."""
    return [line(counts[name]).format(count=counts[name]) for name, line in NOT_PROVEN.items() if counts.get(name)]
