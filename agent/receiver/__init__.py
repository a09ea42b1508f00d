"""The reference platform: the other end of uplink contract v1.

For demos, tests, pilots and one institute. It stores every fact once, whatever is sent twice, and says how far it
has got. Sentences here are part of the wire contract, so they are English in every locale.
"""

from instrument_agent.receiver.app import create_app
from instrument_agent.receiver.ledger import Ledger, Rejection, StoreResult
from instrument_agent.receiver.live import Heartbeats
from instrument_agent.receiver.server import PlatformServer

__all__ = ["Heartbeats", "Ledger", "PlatformServer", "Rejection", "StoreResult", "create_app"]
