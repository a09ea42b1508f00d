"""What the ``fault`` records of a box say, as sentences."""

from collections.abc import Callable, Mapping
from typing import Any

from instrument_agent.core.readings import NS_PER_MS, NS_PER_S
from instrument_agent.i18n import _

MS_PER_S = NS_PER_S // NS_PER_MS


def told(data: Mapping[str, Any]) -> str:
    """Return the data of a ``fault`` record as a sentence with its figures."""
    sentence = SENTENCES.get(str(data.get("kind")), _other)
    try:
        return sentence(data)
    except (KeyError, TypeError, ValueError):  # written by an agent of another version
        return _other(data)


def _damaged(data: Mapping[str, Any]) -> str:
    more, unread = data.get("more_records_lost", 0), data.get("unread", [])
    parts = [_("the database was damaged and is kept as {file}").format(file=data["file"])]
    if "records_kept" in data:
        saved = _("{records} records and {rows} other rows were saved")
        parts.append(saved.format(records=data["records_kept"], rows=data["rows_kept"]))
    # A number that is only what can be shown to be lost is called that.
    lost = _("{records} records and {rows} rows were lost")
    if more or unread:
        lost = _("at least {records} records and {rows} rows were lost")
    records = data["records_lost"] + (more if isinstance(more, int) else 0)
    parts.append(lost.format(records=records, rows=data["rows_lost"]))
    if more and isinstance(more, int):
        parts.append(_("of {count} of these records only the number is known").format(count=more))
    if more == UNKNOWN:
        parts.append(_("how many records are missing is not known"))
    if data.get("epochs_lost"):
        parts.append(_("nothing is left of epochs {epochs}").format(epochs=", ".join(data["epochs_lost"])))
    if unread:
        parts.append(_("not read to their end: {tables}").format(tables=", ".join(unread)))
    return "; ".join(parts)


def _tail(data: Mapping[str, Any]) -> str:
    sentence = _("the end of epoch {epoch} is missing: records {from_seq} to {to_seq}; shown by {shown_by}")
    return sentence.format_map(data)


def _strange(data: Mapping[str, Any]) -> str:
    sentence = _("{shown_by} has {acked_through} records of epoch {epoch}, which is not on this card")
    return sentence.format_map(data)


def _clocks(data: Mapping[str, Any]) -> str:
    apart_s = abs(data["apart_ms"]) // MS_PER_S
    return _("the clocks of {source} and {other} were {apart_s} s apart").format(**data, apart_s=apart_s)


def _restarted(data: Mapping[str, Any]) -> str:
    return _("the agent started itself anew because a bus hung: {buses}").format_map(data)


def _contradicted(data: Mapping[str, Any]) -> str:
    if data["phase"] == "end":
        return _("{instrument} and its witness {witness} do not contradict each other any more").format_map(data)
    return _("{instrument} and its witness {witness} contradict each other").format_map(data)


def _other(data: Mapping[str, Any]) -> str:
    figures = ", ".join(f"{name} {value}" for name, value in data.items() if name != "kind")
    return f"{data.get('kind', '')}: {figures}" if figures else str(data.get("kind", ""))


UNKNOWN = "unknown"
"""What ``more_records_lost`` says if nothing tells how many there were."""
SENTENCES: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "database_damaged": _damaged,
    "tail_lost": _tail,
    "epoch_unknown_here": _strange,
    "clock_disagreement": _clocks,
    "restart_for_hung_bus": _restarted,
    "witness_disagrees": _contradicted,
}
