"""Facts of one instrument, told to the platform at NOW by a box that has run for 30 hours."""

from typing import Any

from wire_box import BOOT, Box, ran, sealed

from instrument_agent.core.canonical import NO_HASH

H = 3_600_000
NOW_MS = 1_795_334_400_000
NOW_NS = NOW_MS * 1_000_000
BOOT_NOW_MS = 30 * H  # what the box's boot clock says at NOW


def tell(
    box: Box, *facts: tuple[str, dict[str, Any]], instrument_id: str = "炉-1", missing: int = 0, after: str = ""
) -> None:
    """Send facts of one instrument in a boot whose clock is at BOOT_NOW_MS now; one seq may be ``missing``.

    With ``after`` the epoch says that it follows that one, which ended at seq 3.
    """
    anchor = {"boottime_ms": BOOT_NOW_MS, "utc_ms": NOW_MS, "error_ms": 1000, "source": "ntp"}
    items: list[dict[str, Any]] = []
    began = {"previous_epoch": after, "previous_seq": 3, "previous_hash": "a" * 64}
    first = ("epoch_started", began) if after else ("time_anchor", anchor)
    for seq, (kind, data) in enumerate([first, *facts], 1):
        place = {"box_id": box.box_id, "epoch": box.epoch, "seq": seq, "boot_id": BOOT, "at_ms": seq}
        prev_hash = items[-1]["hash"] if items else NO_HASH
        record = {**place, "prev_hash": prev_hash, "type": kind, "data": data, "instrument_id": instrument_id}
        items.append(sealed(record))
    reply = box.send([item for item in items if item["record"]["seq"] != missing])
    rejected = reply.json()["rejected"]
    assert rejected == [], rejected


def power(start_h: float, end_h: float, unseen_h: float = 0) -> tuple[str, dict[str, Any]]:
    start_ms, end_ms, unseen_ms = (round(hours * H) for hours in (start_h, end_h, unseen_h))
    span = {"start_ms": start_ms, "end_ms": end_ms, "unseen_ms": unseen_ms}
    return "power_session", {**span, "powered_ms": end_ms - start_ms - unseen_ms}


def run(start_h: float, end_h: float) -> tuple[str, dict[str, Any]]:
    return "run_session", ran(round(start_h * H), round(end_h * H))


def gap(start_h: int, end_h: int) -> tuple[str, dict[str, Any]]:
    return "observation_gap", {"start_ms": start_h * H, "end_ms": end_h * H, "reason": "driver_error"}
