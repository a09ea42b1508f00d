"""Two buses in one agent: an adapter is pulled out and comes back under another name; the other bus does not notice."""

import os
from itertools import pairwise

import pytest
from rig import Dial, Rig

from instrument_agent.sandbox.agent_process import AgentProcess
from instrument_agent.sandbox.bench import LINK_NAME, Bench

POLL_S = 0.5
ON_SERIAL = ("xrd-1", "furnace-1")
ROUNDS = 3


@pytest.fixture
def rig(tmp_path):
    """Two meters on a serial line and one on TCP, for an agent on the machine's own clock."""
    sources = {"xrd-1": Dial(100.0), "furnace-1": Dial(1500.0), "lcms-1": Dial(2000.0)}
    rig = Rig(tmp_path, sources, speed=1.0)
    rig.bench = Bench(sources, rig.now_s, tmp_path, on_serial=len(ON_SERIAL))
    with rig:
        yield rig


def failing(rig):
    return [rig.instrument(name).get("driver", {}).get("failing") for name in ON_SERIAL]


def test_a_port_that_goes_and_comes_back_as_another_costs_the_other_bus_no_poll(rig, tmp_path):
    rig.configure({}, poll_s=POLL_S)
    rig.agent = AgentProcess(rig.config_path, tmp_path / "agent.log")
    rig.until(lambda: all(rig.bench.meters[name].asked_s for name in ON_SERIAL), "both meters on the line are read")
    other = rig.bench.meters["lcms-1"]
    link = tmp_path / LINK_NAME
    before, start_s = {str(link.readlink())}, rig.now_s()
    for _round in range(ROUNDS):
        rig.bench.unplug()
        rig.until(lambda: failing(rig) == ["driver_unavailable"] * 2, "the port is missed")
        taken = os.openpty()  # so that the adapter cannot come back under its old name
        rig.bench.replug()
        before.add(str(link.readlink()))
        rig.until(lambda: failing(rig) == [None, None], "both meters are read again")
        for fd in taken:
            os.close(fd)
    asked_s = [at_s for at_s in other.asked_s if at_s > start_s]
    assert len(before) > 1
    assert max(after - before for before, after in pairwise(asked_s)) < 2 * POLL_S - 0.1
    assert len(asked_s) >= (rig.now_s() - start_s) / POLL_S - 2
    assert rig.instrument("lcms-1")["driver"]["failures"] == 0
    assert [rig.log().count(f"{name}: lost") for name in ON_SERIAL] == [ROUNDS, ROUNDS]
    assert rig.agent.stop() == 0
