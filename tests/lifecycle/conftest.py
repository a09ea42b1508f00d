import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

for room in ("box", "cli", "days"):
    sys.path.insert(0, str(Path(__file__).parents[1] / room))

from rig import Dial, Rig  # noqa: E402  # the rooms are put on the path above


@pytest.fixture
def dial() -> Dial:
    return Dial(2000.0)


@pytest.fixture
def rig(tmp_path: Path, dial: Dial) -> Iterator[Rig]:
    """A box of the old unit whose one instrument runs, and a platform."""
    with Rig(tmp_path, {"xrd-1": dial}) as rig:
        rig.configure({"platform": rig.start_platform()})
        text = rig.config_path.read_text(encoding="utf-8")
        owned = 'name_zh = "衍射仪"\norg_name = "Old Unit"\norg_uscc = "91350100M000100Y43"\nasset_code = "OLD-1"'
        rig.config_path.write_text(text.replace('name_zh = "衍射仪"', owned), encoding="utf-8")
        yield rig
