"""Which registers are asked for together. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from instrument_agent.drivers.registers import Register


@dataclass(frozen=True, slots=True)
class Block:
    """One read: ``count`` registers from ``address`` with ``function``."""

    function: int
    address: int
    count: int

    @property
    def end(self) -> int:
        """The address behind the last register."""
        return self.address + self.count


def blocks(registers: Iterable[Register], max_registers: int, max_gap: int) -> tuple[Block, ...]:
    """Return as few reads as cover all registers, none of them cut in two; one after the other by address.

    One read covers at most ``max_registers``, and reads over at most ``max_gap`` registers nobody asked for between
    two that somebody did.
    """
    found: list[Block] = []
    for register in sorted(registers, key=lambda item: (item.function or 0, item.address, item.end)):
        function = register.function or 0
        if found and found[-1].function == function:
            last = found[-1]
            end = max(register.end, last.end)
            if register.address - last.end <= max_gap and end - last.address <= max_registers:
                found[-1] = Block(function, last.address, end - last.address)
                continue
        found.append(Block(function, register.address, register.end - register.address))
    return tuple(found)


def without_gaps(block: Block, registers: Iterable[Register]) -> tuple[Block, ...]:
    """Return what is left of a read when nothing is read that nobody asked for."""
    inside = [
        item
        for item in registers
        if item.function == block.function and block.address <= item.address and item.end <= block.end
    ]
    return blocks(inside, block.count, 0)
