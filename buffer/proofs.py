"""What proves to others how far the log stood: the box's own signature, and the platform's receipt.

Only the newest of each epoch is kept: the chain ties everything before it to it.
"""

from dataclasses import dataclass

from instrument_agent.buffer.store import Transaction

PROOF_COLUMNS = "destination, epoch, seq, head_hash, signature, public_key, platform_key, receipt"


@dataclass(frozen=True, slots=True)
class Proof:
    """A signed head of the chain, and what the platform answered to it.

    ``receipt`` is the JSON of a receipt as it came; ``platform_key`` is the key it was to be signed with, empty if the
    platform signs none.
    """

    epoch: str
    seq: int
    head_hash: str
    signature: str
    public_key: str
    platform_key: str
    receipt: str | None = None


def keep_proof(change: Transaction, destination: str, proof: Proof) -> None:
    """Keep a proof in place of an older one of its epoch; those of pruned epochs go with their records."""
    known = change.execute("select 1 from proofs where destination = ? and epoch = ?", (destination, proof.epoch))
    if known.fetchone() is None:
        change.execute("delete from proofs where epoch in (select epoch from roots)")
    change.execute(
        f"insert into proofs ({PROOF_COLUMNS})"  # noqa: S608  # a constant
        " values (?, ?, ?, ?, ?, ?, ?, ?) on conflict (destination, epoch) do update set seq = excluded.seq,"
        " head_hash = excluded.head_hash, signature = excluded.signature, public_key = excluded.public_key,"
        " platform_key = excluded.platform_key, receipt = coalesce(excluded.receipt, receipt)"
        " where excluded.seq >= seq",
        (
            *(destination, proof.epoch, proof.seq, proof.head_hash, proof.signature),
            *(proof.public_key, proof.platform_key, proof.receipt),
        ),
    )
