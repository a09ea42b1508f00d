import pytest
from rig import Dial, Rig


@pytest.fixture
def dial():
    return Dial(100.0)


@pytest.fixture
def rig(tmp_path, dial):
    """A box with one instrument whose power is the dial's, and a platform."""
    with Rig(tmp_path, {"xrd-1": dial}) as rig:
        rig.configure({"platform": rig.start_platform()})
        yield rig
