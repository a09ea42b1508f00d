"""What the time of a whole box comes from."""

import os

from rig import Dial, Rig


def test_a_box_without_a_platform_learns_the_time_from_its_time_server_and_not_from_the_wall_clock(tmp_path):
    with Rig(tmp_path, {"xrd-1": Dial(1.0)}) as rig:
        rig.configure({})
        rig.start_agent()
        rig.until(lambda: rig.activity("xrd-1") == "off", "the instrument is seen")
        found = rig.status()
        assert (found["utc"], found["time_sources"]) == (None, [])

        (tmp_path / "synchronized").touch()
        now_ns = rig.clock.utc_ns()
        os.utime(tmp_path / "synchronized", ns=(now_ns, now_ns))
        # The anchor is in the database a moment before its source is listed.
        found = rig.until(lambda: (status := rig.status()).get("time_sources") and status, "the time is known")
        assert found["time_sources"] == ["ntp"]
        booted_ms = (rig.clock.origin_utc_ns - rig.clock.origin_boottime_ns) // 1_000_000
        expected_ms = booted_ms + found["boottime_ms"]
        assert abs(found["utc"]["at_ms"] - expected_ms) <= found["utc"]["error_ms"] < 1100
        assert rig.agent.stop() == 0
