"""The floor of `modbus_tcp.py`: reads the same registers once a second with pymodbus' client, and does nothing else.

Arguments: the TCP ports of the meters on loopback. Prints "ready" after the first round, and goes on until something
is written to its standard input.
"""

import select
import sys
import time

from pymodbus.client import ModbusTcpClient

BLOCKS = ((0x0000, 0x20), (0x0046, 6), (0x0156, 2))
"""What the agent asks an SDM120 for its ten values: address and number of registers."""


def main() -> None:
    """Read every meter once a second."""
    meters = [ModbusTcpClient("127.0.0.1", port=int(port)) for port in sys.argv[1:]]
    for meter in meters:
        meter.connect()
    due_s, rounds = time.monotonic(), 0
    while True:
        rounds += 1
        for meter in meters:
            for address, count in BLOCKS:
                answer = meter.read_input_registers(address, count=count, device_id=1)
                meter.convert_from_registers(answer.registers, meter.DATATYPE.FLOAT32)
        if rounds == 1:
            print("ready", flush=True)
        due_s += 1.0
        if select.select([sys.stdin], [], [], max(0.0, due_s - time.monotonic()))[0]:
            return


if __name__ == "__main__":
    main()
