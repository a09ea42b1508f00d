import pytest

from instrument_agent.core.ledger import Interval
from instrument_agent.core.readings import Activity, UnknownReason
from instrument_agent.sandbox.judge import accounting_problems, delivery_problems, run_problems, window

POLLS = [float(second) for second in range(100)]
OFF, STANDBY = Activity.OFF, Activity.STANDBY


def test_a_boundary_may_be_two_polls_off_and_no_more():
    assert run_problems([(10.5, 20.5)], [(12.0, 22.0)], POLLS) == []
    (problem,) = run_problems([(10.5, 20.5)], [(12.0, 25.0)], POLLS)
    assert "end measured at 25.000 s, true at 20.500 s" in problem


def test_the_polls_count_as_they_really_were():
    thin = [0.0, 10.0, 40.0, 50.0]
    assert window(20.0, thin)[0] <= 0.0
    assert window(20.0, thin)[1] >= 50.0
    assert window(20.5, POLLS) == (18.0, 23.0)


@pytest.mark.parametrize("measured", [[], [(10.0, 20.0), (30.0, 40.0)]])
def test_a_missing_or_spurious_run_is_a_problem(measured):
    assert run_problems([(10.0, 20.0)], measured, POLLS)


def test_a_whole_chain_is_no_problem_and_a_hole_or_an_overlap_is():
    whole = [Interval(0, 5, OFF), Interval(5, 9, STANDBY), Interval(9, 12, Activity.UNKNOWN, UnknownReason.NOT_POLLED)]
    assert accounting_problems(whole, 0, 12) == []
    assert accounting_problems([Interval(0, 5, OFF), Interval(6, 9, STANDBY)], 0, 9)
    assert accounting_problems([Interval(0, 5, OFF), Interval(4, 9, STANDBY)], 0, 9)


def test_what_is_amiss_with_the_books_is_told_in_seconds_since_the_beginning():
    boot_ns, second_ns = 86_400 * 10**9, 10**9
    late = [Interval(boot_ns + second_ns, boot_ns + 9 * second_ns, OFF)]
    assert accounting_problems(late, boot_ns, boot_ns + 10 * second_ns) == [
        "the books reach from 1.000 s to 9.000 s, not from 0.000 s to 10.000 s"
    ]
    hole = [*late, Interval(boot_ns + 11 * second_ns, boot_ns + 12 * second_ns, OFF)]
    assert accounting_problems(hole, boot_ns, boot_ns + 12 * second_ns) == [
        "the books end at 9.000 s and go on at 11.000 s"
    ]


def test_a_chain_that_begins_late_or_ends_early_is_a_problem():
    chain = [Interval(2, 5, OFF), Interval(5, 9, STANDBY)]
    assert accounting_problems(chain, 2, 9) == []
    assert accounting_problems(chain, 1, 9)
    assert accounting_problems(chain, 2, 10)


def run(seq, start_ms, end_ms, epoch="e"):
    return {
        "epoch": epoch,
        "seq": seq,
        "type": "run_session",
        "instrument_id": "xrd-1",
        "boot_id": "b",
        "data": {"start_ms": start_ms, "end_ms": end_ms},
    }


def test_lost_foreign_and_doubled_records_are_problems():
    first, second = run(1, 0, 10), run(2, 10, 20)
    made = {("e", 1), ("e", 2)}
    assert delivery_problems(made, [first, second]) == []
    assert delivery_problems(made, [first]) == ["1 records are lost"]
    assert delivery_problems({("e", 1)}, [first, second]) == ["1 records the box never made"]
    assert delivery_problems(made, [first, second, second])
    assert delivery_problems(made, [first, run(2, 9, 20)]) == ["1 records count a time twice"]
    assert delivery_problems(made | {("f", 1)}, [first, second, run(1, 0, 10, epoch="f")])
