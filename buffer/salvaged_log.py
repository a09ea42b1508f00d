"""In which order salvaged records were written, and where each stood in the log."""

from collections import Counter

from instrument_agent.buffer.salvage import Found, Kept


def of_epoch(found: Found, epoch: str) -> dict[int, Kept]:
    """Return the records of an epoch by seq."""
    return {seq: kept for (of, seq), kept in found.records.items() if of == epoch}


def in_order(found: Found) -> list[str]:
    """Return the epochs in the order they were begun: each names the one before it, and most know their place."""
    places: dict[str, list[int]] = {}
    for (epoch, _seq), kept in found.records.items():
        places.setdefault(epoch, []).extend([] if kept.id is None else [kept.id])
    before = {
        epoch: str(kept.record["data"].get("previous_epoch", ""))
        for (epoch, seq), kept in found.records.items()
        if seq == 1
    }
    order = sorted(
        (epoch for epoch in places if places[epoch]), key=lambda epoch: sorted(places[epoch])[len(places[epoch]) // 2]
    )
    left = [epoch for epoch in places if not places[epoch]]
    while left:
        fitting = [epoch for epoch in left if before.get(epoch) in order] or left[:1]
        for epoch in fitting:
            after = before.get(epoch, "")
            order.insert(order.index(after) + 1 if after in order else len(order), epoch)
            left.remove(epoch)
    return order


def named_ends(found: Found) -> dict[str, tuple[int, str]]:
    """Return the last seq and hash of each epoch, as the one after it names them."""
    first = (kept.record["data"] for (_epoch, seq), kept in found.records.items() if seq == 1)
    named = ((data.get("previous_epoch"), data.get("previous_seq"), data.get("previous_hash")) for data in first)
    return {epoch: (seq, digest) for epoch, seq, digest in named if epoch and seq and digest}


def offsets_of(found: Found, epochs: list[str]) -> dict[str, int] | None:
    """Return log position minus seq of each epoch, which is the same for all its records; None if not to be told."""
    offsets: dict[str, int] = {}
    ends = named_ends(found)
    end = 0
    for epoch in epochs:
        kept = of_epoch(found, epoch)
        votes = Counter(item.id - seq for seq, item in kept.items() if item.id is not None)
        first = kept.get(1)
        guess = end if first is None or first.record["data"].get("previous_epoch", "") in ("", *offsets) else None
        offset = votes.most_common(1)[0][0] if votes else guess
        if offset is None or offset < end:
            return None
        offsets[epoch] = offset
        end = offset + max([*kept, ends.get(epoch, (0, ""))[0]])
    return offsets
