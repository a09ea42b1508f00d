"""A simulated Eastron SDM120 single-phase meter: its input registers, computed when they are asked for.

    address  quantity (float32, most significant word first)          function code 04
    0x0000   voltage V            0x0006   current A
    0x000C   active power W       0x0012   apparent power VA
    0x0018   reactive power var   0x001E   power factor
    0x0046   frequency Hz
    0x0048   imported kWh         0x004A   exported kWh               0x0156   total kWh

Registers between these read as zero, so that a client may fetch 0x0000..0x004B in one block, as the real one allows.
"""

import math
import struct
from collections.abc import Callable
from enum import StrEnum
from typing import Protocol

from pymodbus.constants import ExcCodes
from pymodbus.simulator import DataType, SimData, SimDevice

READ_INPUT_REGISTERS = 4
_BLOCK_REGISTERS = 0x004C
_TOTAL_ADDRESS = 0x0156
_POWER_ADDRESS = 0x000C

_OPEN_VOLTAGE_V = 222.0
_SUPPLY_OHM = 0.1
_POWER_FACTOR = 0.95
_FREQUENCY_HZ = 50.0

_ENERGY_STEP_S = 1.0
_ENERGY_STEPS_MAX = 1000
_WS_PER_KWH = 3_600_000.0


class PowerSource(Protocol):
    """What is connected behind a meter: a load shape or a recorded trace."""

    def power_w(self, t_s: float) -> float:
        """Return the active power in W at ``t_s`` seconds."""


class Fault(StrEnum):
    """How a meter misbehaves."""

    NONE = "none"
    SILENT = "silent"
    EXCEPTION = "exception"


class Meter:
    """One meter in front of one power source.

    ``fault`` may be set from any thread and holds from the next request on. Energy is counted from the making of the
    meter, as the integral of the power in steps of 1 s (longer, if it was not asked for 1,000 s). ``asked_s`` is
    when its power was read, on the source's time axis.
    """

    def __init__(self, source: PowerSource, now_s: Callable[[], float]) -> None:
        self.fault = Fault.NONE
        self.asked_s: list[float] = []
        self._source = source
        self._now_s = now_s
        self._counted_to_s = now_s()
        self._imported_kwh = 0.0
        self._exported_kwh = 0.0

    def values(self) -> dict[int, float]:
        """Return what the meter measures now, by register address."""
        now_s = self._now_s()
        self._count_energy(now_s)
        power_w = self._source.power_w(now_s)
        apparent_va = abs(power_w) / _POWER_FACTOR
        voltage_v = _OPEN_VOLTAGE_V - _SUPPLY_OHM * apparent_va / _OPEN_VOLTAGE_V
        return {
            0x0000: voltage_v,
            0x0006: apparent_va / voltage_v,
            _POWER_ADDRESS: power_w,
            0x0012: apparent_va,
            0x0018: math.sqrt(apparent_va**2 - power_w**2),
            0x001E: math.copysign(_POWER_FACTOR, power_w),
            0x0046: _FREQUENCY_HZ,
            0x0048: self._imported_kwh,
            0x004A: self._exported_kwh,
            _TOTAL_ADDRESS: self._imported_kwh + self._exported_kwh,
        }

    def device(self, unit_id: int) -> SimDevice:
        """Return this meter as a Modbus device that answers at ``unit_id``."""
        blocks = [
            SimData(0x0000, count=_BLOCK_REGISTERS, datatype=DataType.REGISTERS),
            SimData(_TOTAL_ADDRESS, count=2, datatype=DataType.REGISTERS),
        ]
        return SimDevice(unit_id, blocks, action=self._answer)

    async def _answer(
        self,
        function_code: int,
        start_address: int,
        address: int,
        count: int,
        registers: list[int],
        _new_values: list[int] | list[bool] | None,
    ) -> ExcCodes | None:
        if self.fault is Fault.EXCEPTION:
            return ExcCodes.DEVICE_FAILURE
        if function_code != READ_INPUT_REGISTERS:
            return ExcCodes.ILLEGAL_FUNCTION
        if address <= _POWER_ADDRESS < address + count:
            self.asked_s.append(self._now_s())
        for register, value in self.values().items():
            index = register - start_address
            registers[index : index + 2] = struct.unpack(">HH", struct.pack(">f", value))
        return None

    def _count_energy(self, now_s: float) -> None:
        elapsed_s = now_s - self._counted_to_s
        if elapsed_s <= 0:
            return
        steps = min(_ENERGY_STEPS_MAX, math.ceil(elapsed_s / _ENERGY_STEP_S))
        step_s = elapsed_s / steps
        for step in range(steps):
            energy_kwh = self._source.power_w(self._counted_to_s + (step + 0.5) * step_s) * step_s / _WS_PER_KWH
            self._imported_kwh += max(0.0, energy_kwh)
            self._exported_kwh += max(0.0, -energy_kwh)
        self._counted_to_s = now_s
