"""What a platform must do, as numbered in docs/contract/README.md."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from instrument_agent.i18n import _
from instrument_agent.receiver import attempts, key_attempts
from instrument_agent.receiver.attempts import NotTried, Wrong
from instrument_agent.receiver.trial import NoAnswer, Trial


@dataclass(frozen=True, slots=True)
class Must:
    """One numbered demand: ``todo`` tells the platform's developer what to do if it fails.

    ``unseen`` says what of it nobody can tell from outside, though the rest was tried.
    """

    number: str
    title: str
    todo: str
    attempt: Callable[[Trial], None]
    unseen: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How one demand was met: pass, fail, or not_tried; ``found`` says what was seen, or cannot be."""

    number: str
    title: str
    result: str
    found: str
    todo: str


def judge(trial: Trial) -> Iterable[Verdict]:
    """Try one demand after the other."""
    for must in MUSTS:
        try:
            must.attempt(trial)
        except NotTried as reason:
            yield Verdict(must.number, must.title, "not_tried", str(reason), "")
        except (Wrong, NoAnswer) as reason:
            yield Verdict(must.number, must.title, "fail", str(reason), must.todo)
        else:
            yield Verdict(must.number, must.title, "pass", must.unseen, "")


MUSTS = (
    Must(
        "M1",
        _("A record sent again is stored once and answered as before."),
        _("look up (box, epoch, seq) before you insert; the same hash is a repetition, no fault"),
        attempts.sent_again,
        _("cannot be seen from outside: how often it is stored"),
    ),
    Must(
        "M2",
        _("Another content under a stored key is rejected as conflict; the first stays."),
        _("make (box, epoch, seq) unique, never update it, answer with reason conflict"),
        attempts.conflict,
    ),
    Must(
        "M3",
        _("acked_through stays below the first record that is missing."),
        _("take the highest seq up to which every seq is stored or rejected, not the highest seq"),
        attempts.gap,
    ),
    Must(
        "M4",
        _("A rejected record counts as settled and holds up no other."),
        _("judge records one by one; let acked_through pass over rejected ones"),
        attempts.poison,
    ),
    Must(
        "M5",
        _("A record that does not have its hash is rejected."),
        _("work out SHA-256 over the canonical JSON of the record and compare"),
        attempts.damaged_record,
    ),
    Must(
        "M6",
        _("The hash is taken over RFC 8785 JSON, whatever characters are in it."),
        _("use a library for RFC 8785, in UTF-8, and no other JSON writer"),
        attempts.odd_characters,
    ),
    Must(
        "M7",
        _("Types and members that are not known today are stored."),
        _("allow further members everywhere; keep the record as it came"),
        attempts.unknown_members,
    ),
    Must(
        "M8",
        _("A request that breaks the contract as a whole is refused with 400 and stores nothing."),
        _("check the envelope against records_request.json, and head_hash, before anything is stored"),
        attempts.broken_envelope,
    ),
    Must("M9", _("Bodies in gzip are taken."), _("undo Content-Encoding: gzip"), attempts.zipped_body),
    Must(
        "M10",
        _("Replies keep to their schemas and are no longer than 1 MB."),
        _("check your replies against records_reply.json, heartbeat_reply.json, watermark_reply.json"),
        attempts.shape_of_replies,
    ),
    Must(
        "M11",
        _("Every reply says what time it is: UTC, with zone, right to a second."),
        _("write server_time in RFC 3339 with Z when the reply is written; keep the clock with NTP"),
        attempts.server_time,
    ),
    Must(
        "M12",
        _("The watermark lists every epoch of the box."),
        _("answer acked_through of every epoch from what is stored now, also after a restore"),
        attempts.watermark,
    ),
    Must(
        "M13",
        _("Heartbeats are taken, and refused for another box."),
        _("check against heartbeat.json; box_id must be that of the address"),
        attempts.heartbeat,
    ),
    Must(
        "M14",
        _("Nobody speaks for a box without its credential."),
        _("answer 401 to a request without the bearer token of this box, before you read the body"),
        attempts.credential,
    ),
    Must(
        "M15",
        _("Batches that come at the same time lose nothing and reject nothing."),
        _("hold the box locked while you store, or retry; 429 and 503 are allowed"),
        attempts.at_once,
    ),
    Must(
        "M16",
        _("A record that does not link to the one before it is stored and flagged."),
        _("store it and show it to a person; a fact is never lost over a gap"),
        attempts.broken_link,
        _("cannot be seen from outside: whether it is flagged"),
    ),
    Must(
        "M17",
        _("A large batch is taken, or answered with 413."),
        _("answer 413, not 400 or 500, to what is too large: the box sends half as much"),
        attempts.large_batch,
    ),
    Must(
        "M18",
        _("Outside one machine only HTTPS is spoken."),
        _("put the platform behind TLS"),
        attempts.encrypted,
        _("cannot be seen from outside: whether plain http is spoken at another address"),
    ),
    Must("M19", _("A reply is sent only after the records are stored durably."), "", attempts.unseen),
    Must("M20", _("A stored record is never changed or deleted."), "", attempts.unseen),
    Must("M21", _("Each second of an instrument is counted once."), "", attempts.unseen),
    Must("M22", _("An overloaded platform answers 429 or 503 with Retry-After."), "", attempts.unseen),
    Must(
        "M23",
        _("An enrolment code is good once, and credentials are kept as hashes only."),
        _("note which key used a code: answer that key until the credential is borne, all else with 403"),
        key_attempts.one_code,
        _("cannot be seen from outside: what is kept of credentials"),
    ),
    Must(
        "M24",
        _("What an enrolled box sends is signed with its key, or refused with 403."),
        _("before anything is stored, check the signature and that each record names the hash before it; never 400"),
        key_attempts.signature,
    ),
    Must(
        "M25",
        _("A receipt names what is settled, and is signed with the key given at enrolment."),
        _("sign the RFC 8785 JSON of the receipt with the private half of platform_key (Ed25519)"),
        key_attempts.receipts,
    ),
    Must(
        "M26",
        _("A new key takes the place of the one that signed it."),
        _("take POST .../key if the newest key signed it; let the one before count until the new one was used"),
        key_attempts.new_key,
    ),
)
