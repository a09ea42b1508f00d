"""Any order of actions on the real outbox, beside a model of lists and sets."""

import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule
from stored import BOOT, append, start, verified_chain

from instrument_agent.buffer.outbox import Outbox
from instrument_agent.buffer.store import Store

NAMES = ("province", "university")
DESTINATIONS = st.sampled_from(NAMES)


class OutboxAndModel(RuleBasedStateMachine):
    """The model: all (epoch, seq) ever made in order, and for each destination what it was told about each."""

    epochs = Bundle("epochs")

    @initialize(target=epochs)
    def begin(self) -> str:
        self.state_dir = Path(tempfile.mkdtemp())
        self.made: list[tuple[str, int]] = []
        self.fate: dict[str, list[str]] = {name: [] for name in NAMES}  # of the first records: "stored" or "refused"
        self.numbers = 0
        self._open()
        return self._begin_epoch()

    @rule(count=st.integers(1, 4))
    def make(self, count: int) -> None:
        append(self.store, *range(count))
        self._note(count)

    @rule(target=epochs)
    def restart(self) -> str:
        self.store.close()
        self._open()
        return self._begin_epoch()

    @rule(name=DESTINATIONS, limit=st.integers(1, 5), data=st.data())
    def deliver(self, name: str, limit: int, data: st.DataObject) -> None:
        settled = len(self.fate[name])
        waiting = self.made[settled : settled + limit]
        expected = [item for item in waiting if item[0] == waiting[0][0]]
        batch = self.outboxes[name].next_batch(limit)
        found = [] if batch is None else [(batch.epoch, entry.seq) for entry in batch.entries]
        assert found == expected
        if batch is None:
            return
        taken = data.draw(st.integers(1, len(found)), label="taken")
        refused = data.draw(st.sets(st.integers(0, taken - 1)), label="refused")
        reasons = {batch.entries[index].id: "no" for index in refused}
        self.outboxes[name].settle(batch.entries[taken - 1].id, reasons, BOOT, 1)
        self.fate[name] += ["refused" if index in refused else "stored" for index in range(taken)]

    @rule(name=DESTINATIONS, epoch=epochs, acked_through=st.integers(0, 12))
    def lose(self, name: str, epoch: str, acked_through: int) -> None:
        """The platform says it has this epoch only up to ``acked_through``."""
        self.outboxes[name].rewind(epoch, acked_through)
        lost = [index for index, (of, seq) in enumerate(self.made) if of == epoch and seq > acked_through]
        if lost:
            del self.fate[name][lost[0] :]

    @invariant()
    def the_figures_add_up(self) -> None:
        for name, outbox in self.outboxes.items():
            queue, fate = outbox.queue(), self.fate[name]
            assert queue.made == len(self.made)
            assert queue.acknowledged == fate.count("stored")
            assert queue.dead_lettered == fate.count("refused")
            assert queue.waiting == len(self.made) - len(fate)
            assert queue.made == queue.acknowledged + queue.waiting + queue.dead_lettered

    def teardown(self) -> None:
        self.store.close()
        chain = verified_chain(self.state_dir)
        assert [(epoch, record["seq"]) for epoch, records in chain.items() for record in records] == self.made
        shutil.rmtree(self.state_dir)

    def _open(self) -> None:
        self.store = Store(self.state_dir, "box-1")
        self.outboxes = {name: Outbox(self.store, name) for name in NAMES}

    def _begin_epoch(self) -> str:
        epoch = self.store.begin_epoch(start())
        self._note(1)
        return epoch

    def _note(self, count: int) -> None:
        known = sum(1 for epoch, _seq in self.made if epoch == self.store.epoch)
        self.made += [(self.store.epoch, known + number) for number in range(1, count + 1)]


OutboxAndModel.TestCase.settings = settings(max_examples=30, stateful_step_count=25, deadline=None, derandomize=True)
TestOutboxAndModel = OutboxAndModel.TestCase
