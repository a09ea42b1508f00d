"""A commissioning under way, kept in the state directory so that it can be left and taken up again."""

import json
import os
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from instrument_agent.buffer.headfile import sync_directory
from instrument_agent.commission.proposing import Lesson, lesson
from instrument_agent.commission.recorded import Recording
from instrument_agent.commission.steps import Measured, Outcome, Step, judged, measured, steps_of
from instrument_agent.commission.survey import Window
from instrument_agent.config import InstrumentConfig
from instrument_agent.core.errors import AgentError
from instrument_agent.drivers.trace import header_text, recorded_rows, row_text, trace_channels
from instrument_agent.i18n import _
from instrument_agent.rights import join_hint

BETWEEN_S = 90.0
"""Between two steps nothing is recorded: a silence that is long enough to be unknown."""


@dataclass(slots=True)
class Known:
    """What is kept of a walk; ``steps`` are the outcomes of those that are over, ``before`` the rules it began with."""

    channel: str
    walk: str = field(default_factory=lambda: str(uuid.uuid4()))
    who: str = ""
    profile: str | None = None
    steps: dict[str, str] = field(default_factory=dict)
    before: dict[str, Any] | None = None
    keys_before: dict[str, Any] = field(default_factory=dict)
    recorded: dict[str, Any] | None = None


class Walk:
    """One commissioning of one instrument."""

    def __init__(self, state_dir: Path, instrument: InstrumentConfig, *, restart: bool = False) -> None:
        """Take up what was left, or begin anew.

        Raises:
            AgentError: the state directory cannot be used, or the walk was for another channel.
        """
        self.folder = state_dir / "commissioning" / instrument.id
        self._instrument = instrument
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _not_written(self.folder, error) from error
        self.known = Known(instrument.activity.channel)
        if not restart:
            self._take_up()

    @property
    def left(self) -> list[Step]:
        """The steps that are still to be done."""
        return [step for step in steps_of(self.known.profile) if step not in self.known.steps]

    def last_at(self, zone: str) -> str:
        """Return when it came so far, as the box's clock, which nobody has checked, had it."""
        changed_s = (self.folder / "walk.json").stat().st_mtime
        return f"{datetime.fromtimestamp(changed_s, tz=ZoneInfo(zone)):%Y-%m-%d %H:%M}"

    def path(self, step: Step) -> Path:
        """Return where a step is recorded."""
        return self.folder / f"{step.value}.csv"

    def measured(self) -> dict[Step, Measured]:
        """Return what was read in each step that was taken."""
        return {step: measured(self.path(step), self.known.channel) for step in self._taken()}

    def outcome(self, step: Step) -> Outcome:
        """Return the outcome of a step that was just recorded."""
        return judged(step, {**self.measured(), step: measured(self.path(step), self.known.channel)})

    def done(self, step: Step, outcome: Outcome) -> None:
        """Note that a step is over."""
        self.known.steps[step.value] = outcome.value
        self.save()

    def again(self, step: Step) -> None:
        """Note that a step is to be taken once more."""
        self.known.steps.pop(step.value, None)
        self.save()

    def save(self) -> None:
        """Write down how far it has come.

        Raises:
            AgentError: it cannot be written.
        """
        path, new = self.folder / "walk.json", self.folder / "walk.json.new"
        try:
            with new.open("w", encoding="utf-8") as file:
                file.write(json.dumps(asdict(self.known), ensure_ascii=False))
                file.flush()
                os.fsync(file.fileno())
            new.replace(path)
            sync_directory(self.folder)
        except OSError as error:
            raise _not_written(path, error) from error

    def lesson(self) -> Lesson:
        """Learn from all steps; they are marked for what they were.

        Raises:
            AgentError: the readings cannot be put together.
        """
        windows = self._joined(self.folder / "walk.csv")
        found = self.measured()
        off, standby = found.get(Step.OFF), found.get(Step.STANDBY)
        learned = lesson(
            self._instrument,
            Recording(self.folder / "walk.csv", self.known.channel),
            self.known.profile,
            windows.get(Step.STANDBY),
            windows.get(Step.RUN),
            (off.high, standby.low) if off is not None and standby is not None else None,
        )
        if off is None or standby is None or learned.proposal.off is not None:
            return learned
        seen_off, seen_standby = off.level(windows[Step.OFF]), standby.level(windows[Step.STANDBY])
        return replace(learned, proposal=replace(learned.proposal, off=seen_off, standby=seen_standby))

    def _taken(self) -> list[Step]:
        return [step for step in Step if self.known.steps.get(step.value) == Outcome.OK]

    def _take_up(self) -> None:
        path = self.folder / "walk.json"
        try:
            found = Known(**json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return
        except (OSError, ValueError, TypeError) as error:
            problem = _("the walk that was begun cannot be taken up: {error}").format(error=error)
            raise AgentError(problem, _("begin anew with --restart")) from error
        if found.channel != self.known.channel:
            problem = _("the walk that was begun read {channel}").format(channel=found.channel)
            raise AgentError(problem, _("begin anew with --restart"))
        self.known = found

    def _joined(self, path: Path) -> Mapping[Step, Window]:
        """Write all steps into one recording, and return when each was."""
        windows: dict[Step, Window] = {}
        start_s = 0.0
        try:
            with path.open("w", encoding="utf-8", newline="") as file:
                for step in self._taken():
                    channels = trace_channels(self.path(step))
                    if not windows:
                        file.write(header_text(channels) + "\n")
                    at_s = start_s
                    for row_s, found in recorded_rows(self.path(step)):
                        at_s = start_s + row_s
                        file.write(row_text(channels, (at_s, found)) + "\n")
                    windows[step] = (start_s, at_s)
                    start_s = at_s + BETWEEN_S
        except OSError as error:
            raise _not_written(path, error) from error
        return windows


def cut_out(trace: Path, window: Window, channel: str, path: Path) -> None:
    """Write what a trace shows between two of its times into a recording that starts at 0.

    Raises:
        ConfigError: the trace cannot be used.
    """
    channels = trace_channels(trace) or (channel,)
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(header_text(channels) + "\n")
        for at_s, found in recorded_rows(trace):
            if window[0] <= at_s <= window[1]:
                named = {channel: found["value"]} if isinstance(found, Mapping) and "value" in found else found
                file.write(row_text(channels, (at_s - window[0], named)) + "\n")


def _not_written(path: Path, error: OSError) -> AgentError:
    return AgentError(_("{path} cannot be written: {error}").format(path=path, error=error), join_hint(path))
