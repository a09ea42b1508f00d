"""In which order salvaged records were written, and where each stood in the log."""

from instrument_agent.buffer.salvage import Found, Kept


def first_of(found: Found, epochs: list[str], epoch: str) -> Kept:
    """Return the first record of an epoch that was found, or else of the next one (``epochs`` in their order)."""
    there = epochs[epochs.index(epoch) :]
    return next(kept for one in there for kept in found.records("epoch = ? order by seq limit 1", one))


def in_order(found: Found) -> list[str]:
    """Return the epochs in the order they were begun: each names the one before it, and most know their place."""
    placed: list[tuple[int, str]] = []
    left: list[str] = []
    for epoch, known in found.ask("select epoch, count(id) from kept group by epoch order by epoch"):
        middle = "select id from kept where epoch = ? and id is not null order by id limit 1 offset ?"
        places = found.ask(middle, epoch, known // 2)
        if places:
            placed.append((places[0][0], epoch))
        else:
            left.append(epoch)
    before = {kept.record["epoch"]: str(kept.record["data"].get("previous_epoch", "")) for kept in _firsts(found)}
    order = [epoch for _place, epoch in sorted(placed)]
    while left:
        fitting = [epoch for epoch in left if before.get(epoch) in order] or left[:1]
        for epoch in fitting:
            after = before.get(epoch, "")
            order.insert(order.index(after) + 1 if after in order else len(order), epoch)
            left.remove(epoch)
    for epoch in tuple(order):  # of some only the name is left, in the first record of the next
        if (named := before.get(epoch, "")) and named not in order:
            order.insert(order.index(epoch), named)
    return order


def named_ends(found: Found) -> dict[str, tuple[int, str]]:
    """Return the last seq and hash of each epoch, as the one after it names them."""
    data = (kept.record["data"] for kept in _firsts(found))
    named = ((item.get("previous_epoch"), item.get("previous_seq"), item.get("previous_hash")) for item in data)
    return {epoch: (seq, digest) for epoch, seq, digest in named if epoch and seq and digest}


def offsets_of(found: Found, epochs: list[str]) -> dict[str, int] | None:
    """Return log position minus seq of each epoch, which is the same for all its records; None if not to be told."""
    offsets: dict[str, int] = {}
    ends = named_ends(found)
    end = 0
    for epoch in epochs:
        votes = found.ask(
            "select id - seq, count(*) as votes from kept where epoch = ? and id is not null"
            " group by id - seq order by votes desc limit 1",
            epoch,
        )
        first = next(found.records("epoch = ? and seq = 1", epoch), None)
        guess = end if first is None or first.record["data"].get("previous_epoch", "") in ("", *offsets) else None
        offset = votes[0][0] if votes else guess
        if offset is None or offset < end:
            return None
        offsets[epoch] = offset
        end = offset + max(last_seq(found, epoch), ends.get(epoch, (0, ""))[0])
    return offsets


def last_seq(found: Found, epoch: str) -> int:
    """Return the highest seq that was found of an epoch; 0 if nothing was."""
    highest: int | None = found.ask("select max(seq) from kept where epoch = ?", epoch)[0][0]
    return highest or 0


def _firsts(found: Found) -> list[Kept]:
    return list(found.records("seq = 1"))
