"""The power fails at any moment of provisioning: the old config or the new one, each with its own token, never half."""

import itertools
import os
import shutil
from collections.abc import Iterator

import pytest
from brought import Brought
from power_cut import Disk

from instrument_agent.config import load_config
from instrument_agent.provision.verdict import Outcome

EVERY = int(os.environ.get("CUTS_EVERY", "3"))
"""How many changes of the disk lie between two cuts; CUTS_EVERY=1 tries every one, which takes some seconds more."""
TOKENS = {"chiller": "old", "oven": "new"}


def kept_in_force(box: Brought) -> str:
    """Return which instrument the config in force watches, and see that its token is the one it was brought with."""
    config = load_config(box.home.config)
    name = config.instruments[0].id
    token = config.destinations[0].credential_file
    assert token is not None
    assert token.read_text() == TOKENS[name]
    return name


@pytest.fixture
def text(box: Brought) -> str:
    """The file of the card before; the box works with it."""
    text = box.text("chiller", url="http://127.0.0.1:1", more='credential_file = "token"\noffline_ok = true')
    box.bring(text, {"token": "old"})
    assert box.provision().outcome is Outcome.APPLIED
    return text


def cuts(box: Brought, text: str) -> Iterator[int]:
    """Yield after a cut before each change in turn, with everything as it was before, until one run comes through."""
    box.bring(text.replace("chiller", "oven"), {"token": "new"})
    folders = (box.home.config.parent, box.card.folder)
    for folder in folders:
        shutil.copytree(folder, f"{folder}.before")
    for change in itertools.count(step=EVERY):
        disk = Disk(folders)
        with disk.cut_before(change):
            box.provision()
        yield change
        if disk.changes < change:
            return
        for folder in folders:
            shutil.rmtree(folder)
            shutil.copytree(f"{folder}.before", folder)


def test_a_cut_at_any_change_of_the_disk_leaves_a_whole_config_and_the_next_start_finishes(
    box: Brought, text: str
) -> None:
    found = []
    for change in cuts(box, text):
        found.append(kept_in_force(box))
        box.agent.start()  # as the box starts again
        if change % 2 and box.home.trial() is not None:
            away = box.card.folder.rename(f"{box.card.folder}.away")  # the stick was pulled meanwhile
            list(box.task().steps())
            assert (box.home.trial(), kept_in_force(box)) == (None, "oven")
            away.rename(box.card.folder)
        assert box.provision().outcome is Outcome.APPLIED
        assert kept_in_force(box) == "oven"
        assert "token" not in box.on_card()
    # One moment at which everything changes, and nothing after it takes it back.
    assert found == sorted(found)
    assert 5 < found.count("chiller") < len(found) - 3


def test_a_cut_while_the_box_goes_back_leaves_a_whole_config_and_the_next_start_goes_back(
    box: Brought, text: str
) -> None:
    box.agent.unread = {"oven"}
    found = set()
    for _change in cuts(box, text):
        found.add(kept_in_force(box))
        box.agent.start()
        assert box.provision().outcome is Outcome.ROLLED_BACK
        assert (box.home.trial(), kept_in_force(box)) == (None, "chiller")
    assert found == {"chiller", "oven"}
