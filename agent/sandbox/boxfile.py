"""Writes the ordinary config file of a box beside the bench."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from instrument_agent.sandbox.bench import Connection
from instrument_agent.sandbox.loads import Load


def write_box_file(
    path: Path,
    loads: Sequence[Load],
    connections: Mapping[str, Connection],
    platform_url: str,
    *,
    poll_s: float,
    gap_s: float,
) -> None:
    """Write a config with one instrument per load, read over its connection and delivered to one platform.

    ``poll_s`` and ``gap_s`` are seconds of the agent's clock.
    """
    tables: list[tuple[str, Mapping[str, str | float]]] = [
        (
            "[box]",
            {
                "id": "demo-box",
                "state_dir": str(path.parent / "state"),
                "runtime_dir": str(path.parent / "run"),
            },
        ),
        (
            "[[destination]]",
            {"name": "platform", "url": platform_url, "heartbeat_s": 15, "first_contact_spread_s": 0},
        ),
    ]
    for load in loads:
        tables += [
            ("[[instrument]]", _instrument(load, poll_s)),
            ("[instrument.driver]", {"name": "modbus", **connections[load.instrument_id]}),
            ("[instrument.activity]", _activity(load, poll_s, gap_s)),
        ]
    lines = ["# Made by the demo; an ordinary config file as config.example.toml explains it.", ""]
    for header, values in tables:
        # A JSON string or number is a TOML string or number too.
        lines += [header, *(f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in values.items()), ""]
    path.write_text("\n".join(lines), encoding="utf-8")


def _instrument(load: Load, poll_s: float) -> dict[str, str | float]:
    return {
        "id": load.instrument_id,
        "asset_code": f"DEMO-{load.instrument_id}",
        "name_zh": load.name_zh,
        "name_en": load.name_en,
        "model": load.model,
        "poll_s": poll_s,
    }


def _activity(load: Load, poll_s: float, gap_s: float) -> dict[str, str | float]:
    return {
        "off_below": load.off_below,
        "run_above": load.run_above,
        "run_below": load.run_below,
        "min_on_s": load.min_on_s,
        "min_off_s": load.min_off_s,
        "off_settle_s": 2 * poll_s,
        "gap_s": gap_s,
        "bridge_s": 5 * gap_s,
    }
