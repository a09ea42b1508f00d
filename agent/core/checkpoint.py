"""The state of an instrument as text, with a checksum, and back."""

import hashlib
import json
from typing import Any, TypeVar

from instrument_agent.core.across import Across
from instrument_agent.core.activity import Change, Sample, Switch
from instrument_agent.core.drift import Drift
from instrument_agent.core.energy import Verdict, Window
from instrument_agent.core.ledger import Interval, Timeline
from instrument_agent.core.readings import Activity, FailedRead, UnknownReason
from instrument_agent.core.sanity import UNDOUBTED, Doubt, Held, Row, Senses, Stretch
from instrument_agent.core.sessions import Earlier, OpenRun
from instrument_agent.core.step import State

Part = TypeVar("Part")


def written(state: State) -> tuple[str, str]:
    """Return the state as JSON, and the SHA-256 (hex) of that text."""
    text = json.dumps(state, default=_fields, sort_keys=True, separators=(",", ":"))
    return text, checksum(text)


def checksum(text: str) -> str:
    """Return the SHA-256 (hex) of ``text``."""
    return hashlib.sha256(text.encode()).hexdigest()


def read_back(text: str, sha256: str) -> State:
    """Return the state that ``written`` wrote down.

    Raises:
        ValueError: the checksum does not fit the text.
    """
    if checksum(text) != sha256:
        raise ValueError("the checkpoint does not fit its checksum")
    raw = json.loads(text)
    return State(
        boot_id=raw["boot_id"],
        line=_timeline(raw["line"]),
        last_seen_ns=raw["last_seen_ns"],
        latest_ns=raw["latest_ns"],
        window=tuple(Sample(**item) for item in raw.get("window", ())),
        power=_optional(Switch, raw.get("power")),
        run=_optional(Switch, raw.get("run")),
        held_ns=raw.get("held_ns"),
        silence=tuple(FailedRead(item["at_ns"], UnknownReason(item["reason"])) for item in raw.get("silence", ())),
        open_run=_session(raw.get("open_run")),
        open_power=_session(raw.get("open_power")),
        before=_optional(Earlier, raw.get("before")),
        # A checkpoint of an earlier version has none of these.
        senses=_senses(raw["senses"]) if "senses" in raw else UNDOUBTED,
        drift=_optional(Drift, raw.get("drift")),
        across=_optional(Across, raw.get("across")),
    )


def _fields(part: Any) -> dict[str, Any]:
    """Return the fields of a dataclass that hold something: a card is worn by what is written each two minutes."""
    # ``asdict`` copies all that is in them first, at twice the cost.
    fields = ((name, getattr(part, name)) for name in part.__slots__)
    return {name: value for name, value in fields if value is not None and value != ()}


def _timeline(raw: dict[str, Any]) -> Timeline:
    return Timeline(
        open=_interval(raw["open"]),
        powered=raw["powered"],
        running=raw["running"],
        power_changes=tuple(Change(**item) for item in raw.get("power_changes", ())),
        run_changes=tuple(Change(**item) for item in raw.get("run_changes", ())),
        silences=tuple(_interval(item) for item in raw.get("silences", ())),
    )


def _interval(raw: dict[str, Any]) -> Interval:
    reason = UnknownReason(raw["reason"]) if raw.get("reason") is not None else None
    return Interval(raw["start_ns"], raw["end_ns"], Activity(raw["activity"]), reason)


def _session(raw: dict[str, Any] | None) -> OpenRun | None:
    return None if raw is None else OpenRun(**raw | {"continues": _optional(Earlier, raw.get("continues"))})


def _senses(raw: dict[str, Any]) -> Senses:
    row = raw.get("row")
    return Senses(
        held=tuple(Held(**item | {"doubt": Doubt(item["doubt"])}) for item in raw.get("held", ())),
        negative=_optional(Stretch, raw.get("negative")),
        beyond=_optional(Stretch, raw.get("beyond")),
        window=_optional(Window, raw.get("window")),
        row=None if row is None else Row(**row | {"verdict": Verdict(row["verdict"])}),
        count_kwh=raw.get("count_kwh"),
        counter_fits=raw["counter_fits"],
        apparent_fits=raw["apparent_fits"],
    )


def _optional(kind: type[Part], raw: dict[str, Any] | None) -> Part | None:
    return None if raw is None else kind(**raw)
