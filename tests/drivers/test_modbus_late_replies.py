"""RTU answers carry no number: however late one comes, it is never taken for the answer to another question."""

import random
import time
from collections.abc import Iterator
from contextlib import closing, suppress

import pytest
from wires import LateSlave, SerialFarEnd, SerialServer, own_addresses, rtu

from instrument_agent.core.errors import DeviceUnavailable
from instrument_agent.drivers.modbus_exchange import Line
from instrument_agent.drivers.modbus_frames import Question, with_other_length
from instrument_agent.drivers.modbus_line import SerialLine, rtu_over_tcp_line
from instrument_agent.drivers.modbus_rtu import LATEST, RtuOverTcpLine

POWER = Question(unit=1, function=4, address=0x000C, count=2)
ENERGY = Question(unit=1, function=4, address=0x0048, count=2)
HOLDING = Question(unit=1, function=3, address=0x0100, count=2)
SINGLE = Question(unit=1, function=4, address=0x0030, count=1)
NEIGHBOUR = Question(unit=2, function=4, address=0x000C, count=2)
TIMEOUT_S = 0.1
PATIENCE_S = 2.0
"""For answers that must come."""


def right(question: Question) -> list[int]:
    return list(range(question.address, question.address + question.count))


def ask(line: Line, question: Question, timeout_s: float = TIMEOUT_S) -> list[int] | None:
    return line.ask(question, time.monotonic() + timeout_s)


def at_once(_question: bytes) -> float:
    return 0.0


@pytest.fixture
def slave() -> Iterator[LateSlave]:
    with LateSlave(at_once) as end:
        yield end


@pytest.fixture
def line(slave: LateSlave) -> Iterator[Line]:
    with closing(SerialLine(slave.port, 9600, "N", 1)) as line:
        yield line


def test_as_long_as_all_is_well_a_question_is_asked_once(slave: LateSlave, line: Line) -> None:
    for question in (POWER, ENERGY, HOLDING, NEIGHBOUR, SINGLE) * 2:
        assert ask(line, question, PATIENCE_S) == right(question)
    assert len(slave.asked) == 10


class Behind:
    """A slave that answers each question with what it was asked ``behind`` questions ago."""

    def __init__(self, behind: int) -> None:
        self._behind = behind
        self._kept: list[bytes] = []

    def __call__(self, question: bytes) -> list[bytes]:
        self._kept += own_addresses(question)
        return [self._kept.pop(0)] if len(self._kept) > self._behind else []


@pytest.mark.parametrize("behind", [1, 2, 3])
@pytest.mark.parametrize("questions", [(POWER, ENERGY), (SINGLE, POWER, ENERGY), (POWER, HOLDING)], ids=str)
def test_a_slave_that_is_always_behind_never_answers_for_another_register(
    behind: int, questions: tuple[Question, ...]
) -> None:
    with SerialFarEnd(Behind(behind)) as end:
        line = SerialLine(end.port, 9600, "N", 1)
        for question in questions * 4:
            with suppress(DeviceUnavailable):
                assert ask(line, question, 0.03) == right(question)
        end.answer = own_addresses
        with suppress(DeviceUnavailable):  # the last of the old answers may still be on its way
            assert ask(line, ENERGY, PATIENCE_S) == right(ENERGY)
        assert ask(line, ENERGY, PATIENCE_S) == right(ENERGY)
        line.close()


def test_a_late_answer_that_comes_just_when_the_next_question_is_asked_is_not_its_answer(
    slave: LateSlave, line: Line
) -> None:
    """The slave is still busy with the first question and never hears the second."""
    kept: list[bytes] = []

    def busy(question: bytes) -> list[bytes]:
        kept.extend(own_addresses(question))
        return [kept[0]] if len(kept) == 2 else [] if len(kept) == 1 else own_addresses(question)

    slave.answer = busy
    for question in (POWER, ENERGY):
        with pytest.raises(DeviceUnavailable):
            ask(line, question)
    assert ask(line, ENERGY, PATIENCE_S) == right(ENERGY)


@pytest.mark.parametrize("seed", range(2))
def test_answers_late_by_up_to_three_deadlines_are_never_attributed_to_another_question(seed: int) -> None:
    rng = random.Random(seed)
    timeout_s = 0.03

    def delay_s(_question: bytes) -> float | None:
        return rng.choice([0.0, 0.0, rng.uniform(0, 4 * timeout_s), rng.uniform(timeout_s, 4 * timeout_s), None])

    answered = 0
    with LateSlave(delay_s, latest_s=LATEST * timeout_s - 0.002) as slave:
        line = SerialLine(slave.port, 19200, "N", 1)
        for _ in range(40):
            question = rng.choice([POWER, ENERGY, HOLDING, SINGLE, NEIGHBOUR])
            with suppress(DeviceUnavailable):
                assert ask(line, question, timeout_s) == right(question)
                answered += 1
        line.close()
    assert answered


def test_a_serial_server_that_holds_answers_back_over_a_new_connection_is_seen_through() -> None:
    """What was asked on one connection is answered on the next one."""
    kept: list[bytes] = []

    def answer(question: bytes) -> list[bytes]:
        kept.extend(own_addresses(question))
        return [kept.pop(0)] if len(kept) > 1 else []

    with SerialServer(answer) as end:
        line = RtuOverTcpLine("127.0.0.1", end.port)
        for question in (POWER, ENERGY) * 3:
            with suppress(DeviceUnavailable):
                assert ask(line, question, 0.05) == right(question)
        assert end.connections > 1
        end.answer = own_addresses
        assert ask(line, ENERGY, PATIENCE_S) == right(ENERGY)
        line.close()


def test_rtu_frames_are_read_over_a_plain_tcp_connection() -> None:
    with SerialServer(own_addresses) as end:
        line = rtu_over_tcp_line("127.0.0.1", end.port)
        assert line is rtu_over_tcp_line("127.0.0.1", end.port)
        for question in (POWER, HOLDING, NEIGHBOUR, SINGLE):
            assert ask(line, question, PATIENCE_S) == right(question)
        assert end.connections == 1
        line.close()


def test_the_line_is_kept_silent_until_the_late_answer_has_come(slave: LateSlave, line: Line) -> None:
    slave.delay_s = lambda question: 0.25 if question[0] == 1 else 0.0
    with pytest.raises(DeviceUnavailable):
        ask(line, POWER, 0.2)
    assert ask(line, NEIGHBOUR, 1.0) == right(NEIGHBOUR)
    assert 0.25 <= slave.asked_at_s[1] - slave.asked_at_s[0] < 0.35  # and not until 0.4


def test_a_slave_that_never_answers_costs_whoever_asks_next_at_most_half_of_its_time(
    slave: LateSlave, line: Line
) -> None:
    slave.delay_s = lambda question: None if question[0] == 1 else 0.0
    with pytest.raises(DeviceUnavailable):
        ask(line, POWER, 0.2)
    start_s = time.monotonic()
    assert ask(line, NEIGHBOUR, 0.2) == right(NEIGHBOUR)
    assert 0.1 <= slave.asked_at_s[1] - start_s < 0.18
    assert ask(line, NEIGHBOUR, 0.2) == right(NEIGHBOUR)
    assert slave.asked_at_s[2] - slave.asked_at_s[1] < 0.08


def test_a_slave_that_was_always_quick_is_heard_out_only_as_long_as_it_ever_took(slave: LateSlave, line: Line) -> None:
    slave.delay_s = lambda _question: 0.02
    assert ask(line, POWER, 0.2) == right(POWER)
    slave.delay_s = lambda question: None if question[0] == 1 else 0.0
    with pytest.raises(DeviceUnavailable):
        ask(line, POWER, 0.2)
    start_s = time.monotonic()
    assert ask(line, NEIGHBOUR, 0.2) == right(NEIGHBOUR)
    assert 0.01 < slave.asked_at_s[2] - start_s < 0.09


def test_the_late_answer_of_one_slave_does_not_cost_another_its_read(slave: LateSlave, line: Line) -> None:
    """It comes after the silence, while the other one is being asked."""
    assert ask(line, POWER) == right(POWER)
    slave.delay_s = lambda question: 0.18 if question[0] == 1 else 0.12
    with pytest.raises(DeviceUnavailable):
        ask(line, POWER)
    assert ask(line, NEIGHBOUR, 0.4) == right(NEIGHBOUR)
    assert [question[0] for question in slave.asked] == [1, 1, 2]


def test_a_slave_that_refuses_other_lengths_is_read_again_once_nothing_late_can_come(
    slave: LateSlave, line: Line
) -> None:
    slave.delay_s = lambda _question: None
    with pytest.raises(DeviceUnavailable):
        ask(line, POWER, 0.15)
    until_s = time.monotonic() + LATEST * 0.15

    def only_pairs(question: bytes) -> list[bytes]:
        return own_addresses(question) if question[5] == 2 else [rtu(question, b"", function=0x84, count=3)]

    slave.answer, slave.delay_s = only_pairs, at_once
    with pytest.raises(DeviceUnavailable, match="another length"):
        ask(line, ENERGY, 0.15)
    assert time.monotonic() < until_s
    until_s = time.monotonic() + LATEST * 0.15
    while time.monotonic() < until_s:
        assert ask(line, NEIGHBOUR, PATIENCE_S) == right(NEIGHBOUR)
    assert ask(line, ENERGY, PATIENCE_S) == right(ENERGY)


def test_a_slave_that_answers_unasked_is_doubted(slave: LateSlave, line: Line) -> None:
    """It answers everything twice, the first time at once and then when it is asked next."""
    kept: list[bytes] = []

    def twice(question: bytes) -> list[bytes]:
        answer = own_addresses(question)[0]
        before, kept[:] = kept[:] or [answer], [answer]
        return [*before, answer]

    slave.answer = twice
    for question in (POWER, ENERGY, HOLDING) * 4:
        with suppress(DeviceUnavailable):
            assert ask(line, question) == right(question)


@pytest.mark.parametrize(
    ("function", "count", "taken", "counts"),
    [
        (4, 20, set(), [19, 18, 21, 22]),
        (4, 2, set(), [1, 3, 4]),
        (4, 1, set(), [2, 3]),
        (4, 2, {2}, [3, 4]),
        (3, 125, set(), [124, 123]),
        (1, 3, set(), [11, 19]),
        (2, 20, set(), [12, 4, 28, 36]),
    ],
)
def test_other_lengths_are_shorter_ones_first_and_never_as_many_bytes(
    function: int, count: int, taken: set[int], counts: list[int]
) -> None:
    question = Question(1, function, 0, count)
    others = list(with_other_length(question, taken))
    assert [other.count for other in others[: len(counts)]] == counts
    assert not {other.answer_bytes for other in others} & ({question.answer_bytes} | taken)
