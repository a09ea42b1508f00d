"""Signs the head of each batch, once the box is enrolled."""

from instrument_agent.buffer.outbox import Batch
from instrument_agent.buffer.proofs import Proof
from instrument_agent.core.errors import PlatformUnauthorized
from instrument_agent.keys import KeysUnavailable, head_statement, sign_apart
from instrument_agent.uplink.enrolled import KeyFile


class Signer:
    """The signer of one destination, used by one thread."""

    def __init__(self, keys: KeyFile, box_id: str) -> None:
        self._keys = keys
        self._box_id = box_id
        self._last: Proof | None = None

    def sign(self, batch: Batch) -> Proof | None:
        """Return the signed head of a batch; None while the box is not enrolled there.

        Raises:
            PlatformUnauthorized: it is enrolled and cannot sign, so the platform would refuse it.
        """
        given = self._keys.read()
        if given is None:
            return None
        epoch, seq, head_hash = batch.epoch, batch.entries[-1].seq, batch.entries[-1].hash
        last = self._last
        if last is not None and (last.epoch, last.head_hash, last.public_key) == (epoch, head_hash, given.public_key):
            return last  # an attempt after a failure; signing starts a process
        try:
            signature = sign_apart(self._keys.path, head_statement(self._box_id, epoch, seq, head_hash))
        except KeysUnavailable as error:
            raise PlatformUnauthorized(str(error), error.hint) from error
        self._last = Proof(epoch, seq, head_hash, signature, given.public_key, given.platform_key)
        return self._last
