"""What the world puts in the place of the machine: clocks, meters, control socket, and the config file of the box."""

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from truth import NS, Truth

from instrument_agent.core.errors import DeviceUnavailable
from instrument_agent.core.readings import Channel, Value

if TYPE_CHECKING:
    from world import World

BOX = "soak-box"
POLL_S, GAP_S, BRIDGE_S, CHECKPOINT_S = 90.0, 225.0, 600.0, 900.0
MIN_ON_S, MIN_OFF_S, OFF_SETTLE_S = 180.0, 180.0, 180.0
KEPT_NS = 5 * 86_400 * NS
"""What is older and has arrived is pruned: a year is short here."""
PLATFORMS = ("province", "university")


class Killed(BaseException):
    """The process is gone from one moment to the next; ``reboot`` takes the boot too, ``then`` comes in the dark."""

    def __init__(self, reboot: bool, then: Callable[[], None] = lambda: None) -> None:
        super().__init__(reboot)
        self.reboot = reboot
        self.then = then


class Stopped(BaseException):
    """The process was asked to stop."""


class SimClock:
    """The clocks of the present boot; whoever waits through it lets the world go on."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self.boot_id = world.boot.boot_id

    def boottime_ns(self) -> int:
        return self._world.boot.boottime_ns(self._world.now_ns)

    def utc_ns(self) -> int:
        return self._world.utc_ns() + self._world.wall_off_ns

    def wait(self, event: threading.Event, seconds: float) -> bool:
        if not event.is_set():
            self._world.wait_until(self._world.now_ns + max(0, round(seconds * NS)))
        return event.is_set()


class SimDriver:
    """A meter that tells the truth unless a fault is on it."""

    def __init__(self, world: "World", truth: Truth) -> None:
        self._world = world
        self._truth = truth

    @property
    def channels(self) -> list[Channel]:
        return [Channel("power_w", "W", 0.0, 1e5)]

    def open(self) -> None:
        pass

    def close(self) -> None:
        pass

    def read(self, timeout_s: float) -> Mapping[str, Value]:
        del timeout_s
        world = self._world
        fault, until_ns = world.driver_faults.get(self._truth.instrument_id, ("", 0))
        if world.now_ns < until_ns:
            world.seen[f"driver {fault}"] += 1
            if fault == "unavailable":
                raise DeviceUnavailable("no answer")
            if fault == "error":
                raise RuntimeError("a bug in the driver")
            if fault == "hung":
                world.let_pass(until_ns)
                raise DeviceUnavailable("answered far too late")
            return {"nonsense": {"power_w": None}, "implausible": {"power_w": -5e9}, "absent": {}}[fault]
        return {"power_w": self._truth.power_w(world.now_ns / NS)}


class NoSocket:
    """Stands where the control socket is served on threads, which this world has none of."""

    def __init__(self, *_arguments: Any) -> None:
        pass

    def close(self) -> None:
        pass


def write_config(path: Path, directory: Path, truths: Sequence[Truth]) -> None:
    """Write the ordinary config file of the box; what the mock would play is replaced by the world."""
    lines = ["[box]", f'id = "{BOX}"', f'state_dir = "{directory / "state"}"', f'runtime_dir = "{directory / "run"}"']
    lines += [f"checkpoint_s = {CHECKPOINT_S}"]
    for name in PLATFORMS:
        lines += ["[[destination]]", f'name = "{name}"', f'url = "http://127.0.0.1:9/{name}"', "batch_records = 50"]
    for truth in truths:
        lines += ["[[instrument]]", f'id = "{truth.instrument_id}"', f"poll_s = {POLL_S}", "[instrument.driver]"]
        lines += ['name = "mock"', "script = [1.0]", "[instrument.activity]", f"off_below = {truth.off_below_w}"]
        lines += [f"run_above = {truth.run_above_w}", f"run_below = {truth.run_below_w}", f"min_on_s = {MIN_ON_S}"]
        lines += [f"min_off_s = {MIN_OFF_S}", f"off_settle_s = {OFF_SETTLE_S}", f"gap_s = {GAP_S}"]
        lines += [f"bridge_s = {BRIDGE_S}"]
    path.write_text("\n".join(lines), encoding="utf-8")
