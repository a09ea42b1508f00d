"""How the demands of the contract are tried from outside; each raises Wrong if the platform does something else."""

import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from datetime import UTC, datetime
from ipaddress import ip_address

from instrument_agent.i18n import _
from instrument_agent.receiver.contract import ContractViolation, check_reply
from instrument_agent.receiver.trial import LARGEST_REPLY, OK, Answer, Item, Trial

CLOCK_S = 60.0
"""How far the platform's clock may be from the one here, which may be wrong itself."""
AT_ONCE = 6
BIG_BATCH = 500
"""What a box sends at most unless its config says otherwise."""
_BUSY = (429, 503)
_REFUSED = (400, 422)
UNAUTHORIZED = (401, 403)
_TOO_LARGE = 413


class Wrong(Exception):
    """The platform does not do this; the message says what it did instead."""


class NotTried(Exception):
    """This cannot be tried here; the message says why."""


def expect(holds: bool, sentence: str, answer: Answer | None = None) -> None:
    """Raise Wrong unless it holds, with what was answered."""
    if holds:
        return
    if answer is None:
        raise Wrong(sentence)
    body = answer.body
    if isinstance(body, dict) and "credential" in body:  # what was found is read by more people than may bear it
        body = {**body, "credential": "***"}
    raise Wrong(f"{sentence} [{answer.status} {str(body)[:200]}]")


def settled(answer: Answer, through: int, rejected: set[int], sentence: str) -> None:
    """Expect a batch to be settled ``through`` a seq, and just these to be rejected."""
    good = answer.status == OK and answer.acked == through and set(answer.rejected) == rejected
    expect(good, sentence, answer)


def new_epoch() -> str:
    """Return an epoch that nobody has heard of."""
    return str(uuid.uuid4())


def _damaged(item: Item) -> Item:
    return {**item, "record": {**item["record"], "at_ms": item["record"]["at_ms"] + 1}}


def sent_again(trial: Trial) -> None:
    """Send records, send them again, send one of them again."""
    items = trial.chain(3, new_epoch())
    settled(trial.send(items), 3, set(), _("three new records were not acknowledged"))
    settled(trial.send(items), 3, set(), _("the same three records were not acknowledged a second time"))
    settled(trial.send(items[1:2]), 3, set(), _("one of them alone was not acknowledged as before"))


def conflict(trial: Trial) -> None:
    """Send another content under a stored key."""
    epoch = new_epoch()
    stored, rival = trial.chain(1, epoch), trial.chain(1, epoch, at_ms=77)
    trial.send(stored)
    answer = trial.send(rival)
    settled(answer, 1, {1}, _("another content under a stored key was not rejected"))
    expect(answer.rejected[1] == "conflict", _("the reason is not conflict"), answer)
    settled(trial.send(stored), 1, set(), _("the first content did not stay"))


def gap(trial: Trial) -> None:
    """Leave a record out, and send it later."""
    items = trial.chain(5, new_epoch())
    settled(trial.send(items[:2]), 2, set(), _("two records were not acknowledged"))
    settled(trial.send(items[3:]), 2, set(), _("something was acknowledged beyond a record that is missing"))
    settled(trial.send(items[2:3]), 5, set(), _("when the missing record came, the rest was not acknowledged"))


def poison(trial: Trial) -> None:
    """Send a record that is none between two good ones, and another one later."""
    epoch = new_epoch()
    items = trial.chain(1, epoch)
    trial.lengthen(items, epoch, at_ms="soon")
    trial.lengthen(items, epoch)
    trial.lengthen(items, epoch)
    answer = trial.send(items[:3])
    settled(answer, 3, {2}, _("one record that is none did not count as settled, or took others with it"))
    settled(trial.send(items[3:]), 4, set(), _("with the next batch the rejected record counted as settled no more"))


def damaged_record(trial: Trial) -> None:
    """Send a record that was changed after it was hashed."""
    items = trial.chain(2, new_epoch())
    answer = trial.send([items[0], _damaged(items[1])], head_hash=items[1]["hash"])
    expect(2 in answer.rejected, _("a record that does not have its hash was not rejected"), answer)  # noqa: PLR2004  # its seq
    settled(trial.send(items), 2, set(), _("the whole record was not taken afterwards"))


def odd_characters(trial: Trial) -> None:
    """Send what JSON writers write in different ways."""
    odd = {
        "kind": 'x"\\\u0000\u2028\u007f',
        "炉": "样品 😀",
        "big": 2**53 - 1,
        "deep": [{"b": -1, "a": []}],
        "\ue000": 1,
    }
    answer = trial.send(trial.chain(1, new_epoch(), data=odd))
    settled(answer, 1, set(), _("a record with unusual characters and numbers was not taken"))


def unknown_members(trial: Trial) -> None:
    """Send a type and members that nobody knows yet."""
    items = trial.chain(1, new_epoch(), type="platform_check", colour={"rgb": [1, 2, 3]})
    answer = trial.ask("POST", "records", trial.envelope(items, tomorrow=True))
    settled(answer, 1, set(), _("a type or a member that is not known today was not taken"))


def broken_envelope(trial: Trial) -> None:
    """Send requests that are wrong as a whole."""
    epoch = new_epoch()
    items = trial.chain(1, epoch)
    whole = trial.envelope(items)
    for broken, told in (
        (
            trial.envelope(items, head_hash="0" * 64),
            _("a batch whose head_hash is not the hash of its last record was not refused with 400"),
        ),
        ({**whole, "records": []}, _("a batch without records was not refused with 400")),
        (
            {name: value for name, value in whole.items() if name != "epoch"},
            _("a batch without an epoch was not refused with 400"),
        ),
    ):
        answer = trial.ask("POST", "records", broken)
        expect(answer.status in _REFUSED, told, answer)
    expect(not trial.watermark().marks.get(epoch), _("something of a refused request was stored"))


def zipped_body(trial: Trial) -> None:
    """Send a body in gzip."""
    items = trial.chain(2, new_epoch())
    answer = trial.ask("POST", "records", trial.envelope(items), zipped=True)
    settled(answer, 2, set(), _("a body in gzip was not taken"))


def shape_of_replies(trial: Trial) -> None:
    """Hold replies against their schemas; what the time says is judged elsewhere."""
    items = trial.chain(1, new_epoch())
    for name, answer in (
        ("records_reply", trial.send(items)),
        ("heartbeat_reply", trial.ask("POST", "heartbeat", trial.pulse())),
        ("watermark_reply", trial.watermark()),
    ):
        expect(answer.size <= LARGEST_REPLY, _("a reply is longer than {count} bytes").format(count=LARGEST_REPLY))
        body = {**answer.body, "server_time": ""} if isinstance(answer.body, dict) else answer.body
        try:
            check_reply(name, body)
        except ContractViolation as error:
            raise Wrong(_("{name} breaks its schema: {error}").format(name=name, error=error)) from error
    answer = trial.send(items)
    expect(answer.body["epoch"] == items[0]["record"]["epoch"], _("the reply names another epoch"), answer)


def server_time(trial: Trial) -> None:
    """Look at the time in replies."""
    for answer in (trial.watermark(), trial.ask("POST", "heartbeat", trial.pulse())):
        text = answer.body.get("server_time") if isinstance(answer.body, dict) else None
        try:
            moment = datetime.fromisoformat(str(text))
        except ValueError:
            raise Wrong(_("server_time is not a time: {text}").format(text=text)) from None
        expect(moment.tzinfo is not None, _("server_time has no zone: {text}").format(text=text))
        apart_s = abs((moment - datetime.now(UTC)).total_seconds())
        told = _("server_time is {seconds:.0f} s away from the clock here").format(seconds=apart_s)
        expect(apart_s <= CLOCK_S, told)


def watermark(trial: Trial) -> None:
    """Send two epochs and ask for both."""
    first, second = new_epoch(), new_epoch()
    trial.send(trial.chain(2, first))
    trial.send(trial.chain(3, second))
    answer = trial.watermark()
    expect(answer.status == OK, _("the watermark is not answered"), answer)
    found = answer.marks.get(first), answer.marks.get(second)
    told = _("of two epochs with 2 and 3 records the watermark says {found}").format(found=found)
    expect(found == (2, 3), told)


def heartbeat(trial: Trial) -> None:
    """Send a heartbeat, and one that names another box."""
    answer = trial.ask("POST", "heartbeat", trial.pulse(tomorrow={"x": 1.5}))
    expect(answer.status == OK, _("a heartbeat was not taken"), answer)
    answer = trial.ask("POST", "heartbeat", trial.pulse(box_id=f"{trial.box_id[:60]}-x"))
    expect(answer.status in _REFUSED, _("a heartbeat that names another box was not refused with 400"), answer)


def credential(trial: Trial) -> None:
    """Speak without a credential, with a wrong one, and with this one for another box."""
    if not trial.token:
        raise NotTried(_("give the box's credential with --token-file"))
    epoch = new_epoch()
    wrong = trial.token[:-1] + ("x" if trial.token[-1] != "x" else "y")
    for what, body in (
        ("records", trial.envelope(trial.chain(1, epoch))),
        ("heartbeat", trial.pulse()),
        ("watermark", None),
    ):
        for token, told in (
            ("", _("{what}: a request without a credential was let in")),
            (wrong, _("{what}: a wrong credential was let in")),
        ):
            answer = trial.ask("POST" if body else "GET", what, body, token)
            expect(answer.status in UNAUTHORIZED, told.format(what=what), answer)
    expect(not trial.watermark().marks.get(epoch), _("something was stored without a credential"))
    if trial.private_key:
        other = copy(trial)
        other.box_id = f"{trial.box_id[:60]}-x"
        answer = other.watermark()
        expect(answer.status in UNAUTHORIZED, _("the credential of one box was let in for another"), answer)


def at_once(trial: Trial) -> None:
    """Send batches at the same time: each once, so that no repetition brings back what was lost; then overlapping."""
    items = trial.chain(60, new_epoch())
    once = [items[start : start + 5] for start in range(0, 60, 5)]
    answers = _together(trial, once)
    taken = {
        item["record"]["seq"]
        for batch, answer in zip(once, answers, strict=True)
        if answer.status == OK
        for item in batch
    }
    through = next(seq for seq in range(len(items) + 1) if seq + 1 not in taken)
    acked = max([through, *(answer.acked or 0 for answer in answers)])
    found = trial.watermark().marks.get(items[0]["record"]["epoch"], 0)
    told = _("of batches sent at the same time {acked} records were acknowledged, and the watermark says {found}")
    expect(found >= acked, told.format(acked=acked, found=found))
    items = trial.chain(30, new_epoch())
    _together(trial, [items[start : start + 10] for start in range(0, 25, 5)] * 3)
    settled(trial.send(items), len(items), set(), _("after batches sent at the same time something is missing"))


def _together(trial: Trial, batches: Sequence[Sequence[Item]]) -> list[Answer]:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = list(pool.map(trial.send, batches))
    odd = [answer for answer in answers if answer.status not in (OK, *_BUSY) or answer.rejected]
    expect(not odd, _("batches sent at the same time were refused"), odd[0] if odd else None)
    return answers


def broken_link(trial: Trial) -> None:
    """Send a record whose prev_hash is that of no record."""
    epoch = new_epoch()
    items = trial.chain(1, epoch)
    settled(trial.send(items), 1, set(), _("a record was not taken"))
    trial.lengthen(items, epoch, prev_hash="a" * 64)
    answer = trial.send(items[1:])
    settled(answer, 2, set(), _("a record that does not link to the one before it was not stored"))


def large_batch(trial: Trial) -> None:
    """Send many records at once."""
    items = trial.chain(BIG_BATCH, new_epoch())
    answer = trial.send(items)
    taken = answer.status == OK and answer.acked == BIG_BATCH
    told = _("a batch of {count} records was neither taken nor answered with 413").format(count=BIG_BATCH)
    expect(taken or answer.status == _TOO_LARGE, told, answer)


def encrypted(trial: Trial) -> None:
    """Look at the address."""
    try:
        here = trial.host == "localhost" or ip_address(trial.host).is_loopback
    except ValueError:
        here = False
    expect(trial.secure or here, _("the address does not begin with https"))
    if not trial.secure:
        raise NotTried(_("on one machine plain http is allowed; give the address that boxes will use"))


def unseen(_trial: Trial) -> None:
    """Say that this cannot be tried from outside."""
    raise NotTried(_("this cannot be seen from outside"))
