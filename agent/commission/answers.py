"""What a person would answer in the walk, written down beforehand: for a walk without one at the terminal."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from instrument_agent.commission.findings import Profile
from instrument_agent.commission.steps import Step
from instrument_agent.i18n import _
from instrument_agent.tables.binding import bind
from instrument_agent.tables.file import read_config_file
from instrument_agent.tables.mistakes import InvalidConfig, Notebook, Unfit

PAIR = 2
MOST_NAME = 80


def _check_window(window: object) -> None:
    pair = window if isinstance(window, list) and len(window) == PAIR else [0, 0]
    if not all(type(time_s) in (int, float) for time_s in pair) or not pair[0] < pair[1]:
        raise Unfit(_("must be the start and the end in seconds of the trace"), "window = [600, 1800]")


def _check_name(name: str) -> None:
    if not 0 < len(name.strip()) <= MOST_NAME:
        raise Unfit(_("must be a name of at most {most} letters").format(most=MOST_NAME))


@dataclass(frozen=True, slots=True, kw_only=True)
class StepAnswer:
    """How a step is taken: read now for ``seconds``, cut out of the trace by ``window``, or left out."""

    seconds: float | None = field(default=None, metadata={"low": 0.1, "high": 86_400})
    window: Any = field(default=None, metadata={"check": _check_window})
    skip: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """Who commissions, the kind of load if it is known, the trace that windows are cut out of, and each step."""

    who: str = field(metadata={"check": _check_name})
    profile: str | None = field(default=None, metadata={"choices": tuple(kind.value for kind in Profile)})
    trace: Path | None = None
    off: StepAnswer = StepAnswer()
    standby: StepAnswer = StepAnswer()
    run: StepAnswer = StepAnswer()
    standby_again: StepAnswer = StepAnswer()

    def __post_init__(self) -> None:
        for step in Step:
            if self.of(step).window is not None and self.trace is None:
                raise Unfit(_("a window is cut out of a trace: name it"), 'trace = "trace.csv"', (step.value,))

    def of(self, step: Step) -> StepAnswer:
        """Return how a step is taken."""
        answer: StepAnswer = getattr(self, step.value)
        return answer


def read_answers(path: Path) -> Answers:
    """Read a file of answers (TOML).

    Raises:
        InvalidConfig: it has mistakes; each is told with its line.
    """
    file = read_config_file(path)
    book = Notebook(path, file.lines)
    values = bind(Answers, file.keys, (), book)
    if not book.mistakes:
        try:
            return Answers(**values)
        except Unfit as unfit:
            book.note(unfit.at, unfit.problem, unfit.hint)
    raise InvalidConfig(book.mistakes)
