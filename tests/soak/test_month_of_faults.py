"""A month of one box in seconds, with every kind of fault; `make soak SEEDS=1-200` takes more of them."""

import pytest
from months import months


@pytest.mark.timeout(400)
def test_a_month_of_faults_costs_no_fact_no_second_and_no_memory() -> None:
    lived = list(months([1, 3]))
    assert [month.problems for month in lived] == [[], []]
    missing = set(lived[0].missing) & set(lived[1].missing)
    assert not missing, "months in which a kind of fault did not happen show nothing about it"
