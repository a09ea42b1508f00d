"""A card that forgets: one flipped bit anywhere, then a start."""

import os
import random
import shutil
from pathlib import Path

import pytest
from damage import ACKED_ID, filled, flip, image, restarted

FLIPS = int(os.environ.get("BIT_FLIPS", "60"))


@pytest.mark.parametrize("closed", [False, True], ids=["power_cut", "closed"])
def test_no_changed_fact_leaves_and_only_the_wal_loses_any_by_name(tmp_path: Path, closed: bool):
    store = filled(tmp_path / "box")
    rows = store.rows("select epoch, seq, body, hash, id from records")
    written = {(epoch, seq): (body, digest) for epoch, seq, body, digest, _id in rows}
    waiting = {(epoch, seq) for epoch, seq, _body, _hash, id_ in rows if id_ > ACKED_ID}
    if closed:
        store.close()
    original = image(store, tmp_path / "image")
    if not closed:
        store.close()
    rnd = random.Random(11)
    quarantined = lost_at_all = 0
    for number in range(FLIPS // 2):
        name = "buffer.db" if closed else ("buffer.db-wal", "buffer.db")[number % 2]
        state_dir = tmp_path / str(number)
        copied = Path(shutil.copytree(original, state_dir))
        flip(copied / name, rnd)
        after = restarted(copied)
        lost = waiting - set(after.facts)
        assert all(written[key] == fact for key, fact in after.facts.items()), "a changed fact left the box"
        assert lost <= after.named, (number, name, lost - after.named)
        assert not lost or name == "buffer.db-wal", (number, name, lost)
        quarantined += any(".damaged-" in path.name for path in copied.iterdir())
        lost_at_all += bool(lost)
    assert quarantined > 0 or not closed
    assert lost_at_all > 0 or closed
