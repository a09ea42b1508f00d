"""The box only watches: nothing but a read of registers or bits can be asked of a Modbus device."""

import pytest

from instrument_agent.drivers.modbus_frames import REQUESTS, Question


def test_nothing_but_reading_can_be_asked() -> None:
    for function in set(range(-1, 300)) - {1, 2, 3, 4}:
        with pytest.raises(ValueError, match="cannot be asked"):
            Question(1, function, 0, 2)


@pytest.mark.parametrize(
    ("unit", "function", "address", "count"),
    [
        *((unit, 4, 0, 2) for unit in (-1, 0, 256)),
        *((1, 4, address, 2) for address in (-1, 0xFFFF, 0x10000)),
        *((1, function, 0, 0) for function in (1, 2, 3, 4)),
        (1, 3, 0, 126),
        (1, 4, 0, 126),
        (1, 1, 0, 2001),
        (1, 2, 0, 2001),
    ],
)
def test_what_no_device_has_cannot_be_asked(unit: int, function: int, address: int, count: int) -> None:
    with pytest.raises(ValueError, match="cannot be asked"):
        Question(unit, function, address, count)


def test_the_requests_that_can_be_asked_only_read() -> None:
    assert {code: request.function_code for code, request in REQUESTS.items()} == {1: 1, 2: 2, 3: 3, 4: 4}
