"""What is said of one thing that was looked at."""

from dataclasses import dataclass
from enum import StrEnum


class Grade(StrEnum):
    """How it stands: only ``fail`` makes the doctor end with status 1."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    NOT_APPLICABLE = "not_applicable"


@dataclass(frozen=True, slots=True)
class Verdict:
    """One line: ``check`` is a stable name, ``about`` the instrument, port or platform (empty for the box itself).

    ``finding`` is a sentence for people; ``advice`` says what to do, and is empty if nothing is to be done.
    """

    check: str
    grade: Grade
    finding: str
    advice: str = ""
    about: str = ""
