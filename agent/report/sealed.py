"""The sealed file, one JSON object a line: what it is, a row for each instrument, the records, and the seal.

The seal is the SHA-256 of all lines before it. An enrolled box signs it, together with its name and the month, so that
nobody else can make another that fits. Without a signature it shows accidents, not intent.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from instrument_agent.buffer.chain import Chain, in_log_order, judged, roots
from instrument_agent.buffer.reader import Readable, damaged
from instrument_agent.core.canonical import canonical
from instrument_agent.i18n import _
from instrument_agent.report.figures import Month, Span

VERSION = 1
Sign = Callable[[Mapping[str, Any]], str]


@dataclass(frozen=True, slots=True)
class Contents:
    """What a report is made of; ``rows`` as ``figures`` returns them."""

    box_id: str
    zone: str
    month: Month
    span: Span
    rows: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Seal:
    """What a report is known by; ``signature`` and ``public_key`` are empty if the box signs nothing."""

    sha256: str
    signature: str = ""
    public_key: str = ""


def seal_statement(box_id: str, month: str, sha256: str) -> dict[str, Any]:
    """Return what a box signs for a report."""
    return {"box_id": box_id, "month": month, "report_sha256": sha256}


def lines(source: Readable, contents: Contents) -> Iterator[bytes]:
    """Yield what is sealed, line by line, so that a year of records needs no memory.

    Raises:
        StoreDamaged: a record is not what was written; it is not to be handed over as if it were.
    """
    head = {
        "report": VERSION,
        "box_id": contents.box_id,
        "month": str(contents.month),
        "zone": contents.zone,
        "complete": contents.span.complete,
    }
    yield canonical(head) + b"\n"
    for figures in contents.rows:
        yield canonical({"row": dict(figures)}) + b"\n"
    chain, rooted = Chain(), roots(source)
    for row in in_log_order(source, contents.span.after_id, contents.span.through_id):
        epoch, seq, body, digest = row[1], row[2], row[5], row[6]
        if any(judged(chain, rooted, row)):
            raise damaged(_("record {seq} of epoch {epoch} is not what was written").format(seq=seq, epoch=epoch))
        yield f'{{"hash":"{digest}","record":{body}}}\n'.encode()


def sealed(source: Readable, contents: Contents, write: Callable[[bytes], object], sign: Sign | None, key: str) -> Seal:
    """Write the file, its seal last, and return the seal; ``sign`` signs a statement with the half of ``key``."""
    digest = hashlib.sha256()
    for line in lines(source, contents):
        digest.update(line)
        write(line)
    sha256 = digest.hexdigest()
    seal = Seal(sha256)
    if sign is not None:
        seal = Seal(sha256, sign(seal_statement(contents.box_id, str(contents.month), sha256)), key)
    write(seal_line(seal))
    return seal


def seal_line(seal: Seal) -> bytes:
    """Return the last line of a file, the only way it is written."""
    said = {"sha256": seal.sha256, "signature": seal.signature, "public_key": seal.public_key}
    return canonical({"seal": {name: value for name, value in said.items() if value}}) + b"\n"
