"""CPU and memory of the agent over Modbus TCP, with 1, 4, 16 and 64 meters of ten values read once a second."""

from agent_footprint import MIB, floor_rss, measured

METERS = (1, 4, 16, 64)
CPU_TARGET, MEMORY_TARGET_MIB = 3.0, 10.0
TARGET_AT = 16


def main() -> None:
    """Measure each number of meters for half a minute and print the table."""
    bare = floor_rss()
    print("meters  agent CPU  loop CPU  ratio  RSS     over imports  reads")
    for meters in METERS:
        found = measured(meters)
        over_mib = (found.agent_rss - bare) / MIB
        print(
            f"{meters:6}  {100 * found.agent_cpu:7.2f} %  {100 * found.loop_cpu:6.2f} %  {found.times_loop:4.1f}x"
            f"  {found.agent_rss / MIB:4.1f} M  {over_mib:+9.1f} M  {found.reads} of {found.wanted}"
        )
        if meters == TARGET_AT:
            cpu, memory = found.times_loop <= CPU_TARGET, over_mib <= MEMORY_TARGET_MIB
            print(
                f"        targets: {CPU_TARGET:.0f}x the loop's CPU ({'met' if cpu else 'MISSED'}),"
                f" {MEMORY_TARGET_MIB:.0f} MiB over its imports ({'met' if memory else 'MISSED'})"
            )


if __name__ == "__main__":
    main()
