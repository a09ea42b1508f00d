"""The reference platform of an institute, which lets in enrolled boxes only."""

from pathlib import Path

from fake_clock import BOOTED_UTC_NS
from served_platform import Stage

from instrument_agent.receiver import Ledger, PlatformServer, create_app
from instrument_agent.receiver.enrolment import Enrolment


class Institute:
    """A ledger and an enrolment on one database, answering on a server that many have in turn."""

    def __init__(self, directory: Path, stage: Stage, server: PlatformServer) -> None:
        url = f"sqlite:///{directory / 'platform.db'}"
        self.ledger, self.enrolment, self.server = Ledger(url), Enrolment(url), server
        stage.app = create_app(self.ledger, lambda: BOOTED_UTC_NS, enrolment=self.enrolment)

    def code(self) -> str:
        return self.enrolment.new_code("box-1", BOOTED_UTC_NS, 1)
