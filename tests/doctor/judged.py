"""What the tests of judgements share: the grades, a moment of UTC, and what every verdict must have."""

from instrument_agent.core.readings import NS_PER_S
from instrument_agent.doctor.verdict import Grade, Verdict

OK, WARN, FAIL, NA = Grade.OK, Grade.WARN, Grade.FAIL, Grade.NOT_APPLICABLE
UTC_NS = 1_790_000_000 * NS_PER_S
HOUR_NS = 3600 * NS_PER_S


def judged(verdict: Verdict, grade: Grade, said: str) -> None:
    assert (verdict.grade, said in verdict.finding) == (grade, True), verdict
    if grade in (WARN, FAIL):
        assert verdict.advice, "a fault without a word on what to do"
