"""A card's file, step by step, into force: on trial first, and back to the last good config if it fails.

After any step the power may fail: the agent then finds the old config or the new one, each with its own files, and
doing all of it once more comes to the same end.
"""

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from instrument_agent.config import Config, InvalidConfig, load_config
from instrument_agent.core.errors import AgentError
from instrument_agent.i18n import LANGUAGES, speaking
from instrument_agent.provision import trial as proving
from instrument_agent.provision.card import CODE_NAME, FILE_NAME, Card, Found
from instrument_agent.provision.checking import mistakes_in, mistakes_of
from instrument_agent.provision.home import STORE_NAME, USED_CODE_NAME, Done, Home, Trial
from instrument_agent.provision.named import moved, named_files, secret_names
from instrument_agent.provision.trial import Findings, Seen
from instrument_agent.provision.verdict import Facts, Outcome, missing
from instrument_agent.tables.file import decoded, parsed

PATIENCE_S = 120.0
"""Long enough for a network that comes up after the box, and for a clock that is set from it."""
GLANCE_S = 15.0
"""How long is waited for readings under the last good config, which only the verdict shows."""


@dataclass(slots=True)
class Provisioning:
    """One card brought to one box; ``restart`` has the agent started anew and says what was in the way, if anything.

    ``again`` tries a file once more that was rolled back. ``facts`` is what came of it, None if nothing was to be done.
    """

    card: Card
    home: Home
    restart: Callable[[], str]
    patience_s: float = PATIENCE_S
    again: bool = False
    facts: Facts | None = None
    _removed: Sequence[str] = ()
    _left: Sequence[str] = ()

    def steps(self) -> Iterator[str]:
        """Do everything, and yield after each step what it was.

        Raises:
            AgentError: what is in force cannot be read.
            OSError: the box cannot be written; whatever is in force stays so.
        """
        pending = self.home.trial()
        found = self._read() if self.card.has_file else None
        if self.facts is not None:
            return
        if found is not None and not self._is_known(found, pending):
            yield from self._take(found, pending)
        elif pending is not None:
            self._clean(found)
            yield from self._try(pending)
        elif found is not None or self._waiting_code() is not None:
            self._clean(found)
            self._refresh()
        self.home.clear()
        yield "cleared"

    def _read(self) -> Found | None:
        """Return what is on the card; what is wrong with it is told in each language."""
        said: dict[str, Sequence[str]] = {}
        for language in LANGUAGES:
            with speaking(language):
                try:
                    return self.card.read()
                except AgentError as error:
                    said[language] = mistakes_of(error)
        self.facts = Facts(Outcome.REFUSED, "", mistakes=said)
        return None

    def _is_known(self, found: Found, pending: Trial | None) -> bool:
        """Tell whether just this was brought before; a secret that was taken from the card may be missing there."""
        done, newest = self.home.done(), self.home.newest()
        kept = self.home.kept(newest)
        if kept is None or kept.config != found.config:
            return False
        there = dict(kept.beside)
        there.setdefault(CODE_NAME, there.get(USED_CODE_NAME, b""))
        if any(there.get(name) != content for name, content in found.beside.items()):
            return False
        if pending is not None:
            return True
        if done is None or done.number != newest:
            return False  # the power failed before it came into force
        return not (self.again and done.outcome == Outcome.ROLLED_BACK)

    def _take(self, found: Found, pending: Trial | None) -> Iterator[str]:
        """Take over what is new on the card."""
        number, whole = self.home.next(), self._completed(found)
        keys = parsed(Path(FILE_NAME), whole.config).keys
        self.home.keep(number, whole, secret_names(keys))
        yield "kept"
        places = {name: f"{STORE_NAME}/{number}/{name}" for name in whole.beside}
        text = moved(decoded(Path(FILE_NAME), whole.config), keys, places)
        staged = self.home.stage(text.encode())
        yield "staged"
        said = mistakes_in(staged, self.home.folder(number), found.beside.get(CODE_NAME))
        if any(said.values()):
            staged.unlink()
            self.facts = Facts(Outcome.REFUSED, _sha256(found.config), mistakes=said)
            return
        before = self._in_force()
        failing = () if before is None else tuple(sorted(proving.failing(before)))
        has_last_good = self._keep_last_good(before, pending)
        yield "last good kept"
        trial = Trial(number, _sha256(text.encode()), has_last_good, failing)
        self.home.begin_trial(trial)
        yield "on trial"
        self.home.switch(staged)
        yield "in force"
        self._clean(found)
        yield "cleaned"
        yield from self._try(trial)

    def _completed(self, found: Found) -> Found:
        """Return what was found, with the files it names that were taken from the card before."""
        earlier = self.home.kept(self.home.newest())
        keys = parsed(Path(FILE_NAME), found.config).keys
        wanted = {CODE_NAME, *(item.name for item in named_files(keys))}
        before = {} if earlier is None else earlier.beside
        return Found(found.config, {name: before[name] for name in wanted & before.keys()} | dict(found.beside))

    def _in_force(self) -> Config | None:
        """Return the config in force; None if there is none that could be used."""
        try:
            return load_config(self.home.config)
        except InvalidConfig:
            return None

    def _keep_last_good(self, config: Config | None, pending: Trial | None) -> bool:
        """Keep the config in force for the way back, if it is a good one; tell whether there is a way back."""
        if pending is not None:
            return pending.has_last_good
        if config is None:
            return False
        done = self.home.done()
        if done is not None and done.outcome == Outcome.INCOMPLETE and done.config_sha256 == self.home.sha256():
            seen = proving.look(config, 0)
            if not all(item.good for item in seen):
                return False
        self.home.keep_last_good()
        return True

    def _clean(self, found: Found | None) -> None:
        """Delete the secrets from the card that the box has by now."""
        if found is None:
            return
        secrets = {CODE_NAME, *secret_names(parsed(Path(FILE_NAME), found.config).keys)}
        there = [name for name in found.beside if name in secrets]
        self._left = self.card.remove(there)
        self._removed = [name for name in there if name not in self._left]

    def _try(self, trial: Trial) -> Iterator[str]:
        """Prove the config in force, or go back."""
        end_s = time.monotonic() + self.patience_s
        trouble = self.restart()
        yield "started"
        config = load_config(self.home.config)
        seen = proving.look(config, end_s - time.monotonic(), frozenset(trial.excused))
        read = all(item.good or item.id in trial.excused for item in seen)
        findings = self._with_platforms(config, seen, end_s, enrolling=read or not trial.has_last_good)
        lacking = missing(findings)
        if trouble:
            lacking = {language: [trouble, *lines] for language, lines in lacking.items()}
        outcome = Outcome.APPLIED if findings.good else Outcome.INCOMPLETE
        if trial.has_last_good and not (read and all(item.good for item in findings.platforms)):
            outcome = Outcome.ROLLED_BACK
            self.home.roll_back()
            yield "rolled back"
            self.restart()
            yield "started again"
            config = load_config(self.home.config)
            seen = proving.look(config, min(GLANCE_S, self.patience_s))
            findings = self._with_platforms(config, seen, 0.0, enrolling=False)
        self.home.end_trial(Done(trial.number, outcome, self.home.sha256(), lacking))
        self._tell(outcome, config, lacking, findings, before=False)
        yield "ended"

    def _with_platforms(self, config: Config, seen: tuple[Seen, ...], end_s: float, *, enrolling: bool) -> Findings:
        """Ask the platforms too; a one-time code is shown only where the config stays in force."""
        code = self._waiting_code() if enrolling else None
        left_s = max(0.0, end_s - time.monotonic()) if enrolling else 0.0
        return Findings(seen, proving.reach(config, left_s, code, lambda: self.home.code_is_used(self.home.newest())))

    def _refresh(self) -> None:
        """Look how a file does that was handled before."""
        done, config = self.home.done(), load_config(self.home.config)
        end_s = time.monotonic() + self.patience_s
        seen = proving.look(config, self.patience_s)
        rolled_back = done is not None and done.outcome == Outcome.ROLLED_BACK
        findings = self._with_platforms(config, seen, end_s, enrolling=not rolled_back)
        outcome = Outcome.APPLIED if findings.good else Outcome.INCOMPLETE
        lacking = missing(findings)
        if done is not None and rolled_back:
            outcome, lacking = Outcome.ROLLED_BACK, {key: list(lines) for key, lines in done.missing.items()}
        self._tell(outcome, config, lacking, findings, before=True)

    def _waiting_code(self) -> Path | None:
        """Return the one-time code that is still to be used, if there is one."""
        code, done = self.home.code(self.home.newest()), self.home.done()
        rolled_back = done is not None and done.number == self.home.newest() and done.outcome == Outcome.ROLLED_BACK
        return code if code.exists() and not rolled_back else None

    def _tell(
        self, outcome: Outcome, config: Config, lacking: dict[str, list[str]], findings: Findings, *, before: bool
    ) -> None:
        kept = self.home.kept(self.home.newest())
        self.facts = Facts(
            outcome,
            "" if kept is None else _sha256(kept.config),
            config.box.id,
            before,
            missing=lacking,
            now=findings,
            removed=self._removed,
            left=self._left,
            code_waits=self._waiting_code() is not None and proving.code_destination(config) is not None,
        )


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
