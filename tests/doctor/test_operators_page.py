"""What the operator's page says exists, and every metric is on it."""

import re
from pathlib import Path

from test_metrics_for_prometheus import STATUS

from instrument_agent.cli.doctor import _check_words
from instrument_agent.doctor.metrics import PREFIX, exposition

PAGE = (Path(__file__).parents[2] / "docs/operator.md").read_text(encoding="utf-8")


def test_every_metric_is_explained_and_no_other() -> None:
    made = {line.split()[2].removeprefix(PREFIX) for line in exposition(STATUS).splitlines() if line[:6] == "# TYPE"}
    rows = PAGE[PAGE.index("| metric") :].split("\n\n")[0].splitlines()[2:]
    told = {name for row in rows for name in re.findall(r"`(\w+)`", row.split("|")[1])}
    assert told == made


def test_every_kind_of_check_is_explained() -> None:
    rows = PAGE[PAGE.index("| it looks at") :].split("\n\n")[0].splitlines()[2:]
    told = {name.strip() for row in rows for name in row.split("|")[1].split(",")}
    assert told == set(_check_words().values())
