"""Where instruments without thresholds get them from: the agent learns, and says so in a record."""

import logging
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from instrument_agent.buffer.books import save_configured
from instrument_agent.clock import Clock
from instrument_agent.config import InstrumentConfig
from instrument_agent.core.records import RulesOrigin, rules_data
from instrument_agent.poll.recorder import Recorder
from instrument_agent.standing_rules import Standing, announcement, learned_rules
from instrument_agent.worker import Worker

if TYPE_CHECKING:
    from instrument_agent.commission.verdict import Proposal

log = logging.getLogger(__name__)


def self_learning(instruments: Sequence[InstrumentConfig], recorder: Recorder, clock: Clock) -> list[Worker]:
    """Return the loop that learns how to judge what nobody has said how to judge, if there is such."""
    watched = recorder.watched()
    open_ones = [item for item in instruments if not watched[item.id].rules.calibrated]
    if not open_ones:
        return []
    # A box whose instruments are all commissioned never carries this.
    from instrument_agent.commission.unattended import Unattended

    log.warning("no thresholds for %s: observing, to learn them", ", ".join(item.id for item in open_ones))
    adopting = partial(adopt, recorder, clock)
    return [Unattended(clock, open_ones, lambda name: recorder.watched()[name].last, adopting)]


def adopt(recorder: Recorder, clock: Clock, instrument: InstrumentConfig, proposal: "Proposal") -> None:
    """Judge an instrument by what was learned, from now on: what is past stays unknown."""
    # By the very numbers that are written down: after a restart there are no others.
    rules = learned_rules(instrument.activity, rules_data(proposal.rules(instrument.activity)))
    data = announcement(instrument, Standing(rules, RulesOrigin.LEARNED))
    at_ns = clock.boottime_ns()
    written = partial(save_configured, instrument_id=instrument.id, boot_id=clock.boot_id, at_ns=at_ns, data=data)
    recorder.judge_by(instrument.id, rules, written)
    log.warning("%s: thresholds were learned; `calibrate` shows and `commission` confirms them", instrument.id)
