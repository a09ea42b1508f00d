"""What ``status`` says, in the text format Prometheus reads; for the textfile collector of node_exporter, say.

Names follow the conventions of Prometheus: base units (seconds), ``_total`` for counters only.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from instrument_agent.core.readings import NS_PER_MS, Activity

PREFIX = "instrument_agent_"
_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})

Sample = tuple[Mapping[str, str], float | None]
"""Labels and a value; None is not written at all, because it is not known."""


def exposition(status: Mapping[str, Any]) -> str:
    """Return a status as metrics; what is not known is left out, so that it is absent and not 0."""
    lines: list[str] = []
    families = (*_of_box(status), *_of_instruments(status), *_of_drivers(status), *_of_destinations(status))
    for name, kind, said, samples in families:
        known = [(labels, value) for labels, value in samples if value is not None]
        if known:
            lines += [f"# HELP {PREFIX}{name} {said}", f"# TYPE {PREFIX}{name} {kind}"]
            lines += [f"{PREFIX}{name}{_labels(labels)} {value}" for labels, value in known]
    return "\n".join(lines) + "\n"


Family = tuple[str, str, str, Iterable[Sample]]


def _of_box(status: Mapping[str, Any]) -> list[Family]:
    info = {"box": status["box_id"], "version": status["agent_version"]}
    utc = status["utc"]
    failing = float(bool(status["storage_error"])) if "storage_error" in status else None
    return [
        ("info", "gauge", "The box and the version of the agent.", [(info, 1)]),
        ("up", "gauge", "Whether the agent is running.", [({}, float(status["running"]))]),
        ("utc_known", "gauge", "Whether UTC is known.", [({}, float(utc is not None))]),
        (
            "utc_error_seconds",
            "gauge",
            "How far UTC as it is known may be off.",
            [({}, utc and utc["error_ms"] / 1000)],
        ),
        ("storage_failing", "gauge", "Whether nothing can be written down.", [({}, failing)]),
    ]


def _of_instruments(status: Mapping[str, Any]) -> list[Family]:
    found = [({"instrument": item["instrument_id"]}, item) for item in status["instruments"]]
    return [
        (
            "instrument_activity",
            "gauge",
            "1 for the activity the instrument is in now, 0 for the others.",
            [
                (labels | {"activity": activity.value}, float(item["activity"] == activity.value))
                for labels, item in found
                for activity in Activity
            ],
        ),
        (
            # No counter: boundaries are put back to where they were crossed, so these may also shrink.
            "instrument_spent_seconds",
            "gauge",
            "Time in each activity since the box was started.",
            [
                (labels | {"activity": activity}, spent_ms / 1000)
                for labels, item in found
                for activity, spent_ms in item["spent_ms"].items()
            ],
        ),
        (
            "instrument_last_read_age_seconds",
            "gauge",
            "Time since the last good reading.",
            [
                (labels, (status["boottime_ms"] - item["read_at_ms"]) / 1000)
                for labels, item in found
                if item["read_at_ms"] is not None
            ],
        ),
    ]


def _of_drivers(status: Mapping[str, Any]) -> list[Family]:
    found = [({"instrument": item["instrument_id"]}, item["driver"]) for item in status["instruments"]]
    drivers = [(labels, driver) for labels, driver in found if driver]
    return [
        (
            "instrument_failing",
            "gauge",
            "Whether reading the instrument fails now.",
            [(labels, float(bool(driver["failing"]))) for labels, driver in drivers],
        ),
        (
            "instrument_reads_total",
            "counter",
            "Good reads since the agent was started.",
            [(labels, driver["reads"]) for labels, driver in drivers],
        ),
        (
            "instrument_read_failures_total",
            "counter",
            "Failed reads since the agent was started.",
            [(labels, driver["failures"]) for labels, driver in drivers],
        ),
    ]


def _of_destinations(status: Mapping[str, Any]) -> list[Family]:
    found = [({"destination": item["name"]}, item) for item in status["destinations"]]
    queues = [(labels, item["queue"]) for labels, item in found]
    return [
        (
            "destination_records_waiting",
            "gauge",
            "Records that wait for delivery.",
            [(labels, queue["waiting"]) for labels, queue in queues],
        ),
        (
            "destination_records_refused",
            "gauge",
            "Records that the platform refused.",
            [(labels, queue["dead_lettered"]) for labels, queue in queues],
        ),
        (
            "destination_acknowledged_age_seconds",
            "gauge",
            "Time since the last acknowledgement, if it was since the box was started.",
            [
                (labels, (status["boottime_ms"] - queue["acked_at_ns"] // NS_PER_MS) / 1000)
                for labels, queue in queues
                if queue["acked_at_ns"] is not None and queue["acked_boot_id"] == status["boot_id"]
            ],
        ),
        (
            "destination_failing",
            "gauge",
            "Whether the last contact with the platform failed.",
            [(labels, float(bool(item["contact"]["error"]))) for labels, item in found if "contact" in item],
        ),
        (
            "destination_heartbeats_total",
            "counter",
            "Heartbeats sent since the agent was started.",
            [(labels, item["heartbeats_sent"]) for labels, item in found if "heartbeats_sent" in item],
        ),
    ]


def _labels(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{value.translate(_ESCAPES)}"' for name, value in labels.items()) + "}"
