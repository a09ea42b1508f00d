"""How the demands on codes, keys, signatures and receipts are tried from outside, by a box that enrolled for it."""

from instrument_agent.i18n import _
from instrument_agent.keys import head_statement, is_signed, key_statement, new_private_key, public_key_of, sign
from instrument_agent.receiver.attempts import UNAUTHORIZED, NotTried, expect, new_epoch, settled
from instrument_agent.receiver.trial import OK, Item, Trial

FORBIDDEN = 403


def one_code(trial: Trial) -> None:
    """Show the code again: before its credential was borne, when the trial enrolled, and now; and one that is none."""
    _enrolled(trial)
    told = {
        "again": _("before its credential was borne, the same code with the same key was not answered again"),
        "retyped": _("the same code in small letters and with blanks, as a person may type it, was not answered again"),
        "other": _("before its credential was borne, the code enrolled another key as well"),
    }
    for how, answer in trial.enrolled_again:
        good = answer.status in UNAUTHORIZED if how == "other" else answer.status == OK
        expect(good, told[how], answer)
    key, other = (public_key_of(private) for private in (trial.private_key, new_private_key()))
    for code, public_key, sentence in (
        (trial.code, key, _("a code whose credential was borne enrolled its key once more")),
        (trial.code, other, _("a code that was used enrolled another key")),
        ("0000-0000-0000-0000-0000", other, _("a code that nobody made enrolled a key")),
    ):
        answer = trial.ask("POST", "enrol", {"code": code, "public_key": public_key})
        expect(answer.status in UNAUTHORIZED, sentence, answer)


def signature(trial: Trial) -> None:
    """Send what is not signed, is signed with another key, and is signed for something else."""
    _enrolled(trial)
    epoch = new_epoch()
    items = trial.chain(2, epoch)
    other = sign(new_private_key(), head_statement(trial.box_id, epoch, 2, items[-1]["hash"]))
    elsewhere = sign(trial.private_key, head_statement(trial.box_id, epoch, 1, items[0]["hash"]))
    for forged, told in (
        ("", _("a batch without a signature was not refused with 403")),
        (other, _("a batch signed with another key was not refused with 403")),
        (elsewhere, _("a batch with the signature of another one was not refused with 403")),
    ):
        body = {name: value for name, value in trial.envelope(items, signature=forged).items() if value != ""}
        answer = trial.ask("POST", "records", body)
        expect(answer.status == FORBIDDEN, told, answer)
    [forged_item] = trial.chain(1, epoch, at_ms=77)
    answer = trial.send([forged_item, items[1]])
    told = _("a batch was not refused with 403 though its last record does not lead back to the others in it")
    expect(answer.status == FORBIDDEN, told, answer)
    expect(not trial.watermark().marks.get(epoch), _("something was stored without a signature"))
    settled(trial.send(items), 2, set(), _("a signed batch was not taken"))


def receipts(trial: Trial) -> None:
    """Look at the receipts of a batch, and of one beyond a record that is missing."""
    _enrolled(trial)
    items = trial.chain(4, new_epoch())
    _receipt(trial, items[:2], items[1])
    _receipt(trial, items[3:], items[1])


def _receipt(trial: Trial, batch: list[Item], head: Item) -> None:
    answer = trial.send(batch)
    found = answer.body.get("receipt") if isinstance(answer.body, dict) else None
    receipt = found if isinstance(found, dict) else {}
    names = {"box_id": trial.box_id, "epoch": head["record"]["epoch"]}
    wanted = {**names, "acked_through": head["record"]["seq"], "head_hash": head["hash"]}
    told = _("the receipt does not name what is settled")
    expect({name: receipt.get(name) for name in wanted} == wanted, told, answer)
    said = {name: value for name, value in receipt.items() if name != "signature"}
    good = is_signed(trial.platform_key, str(receipt.get("signature")), said)
    expect(good, _("the receipt is not signed with the key given at enrolment"), answer)


def new_key(trial: Trial) -> None:
    """Take a new key, after somebody without the old one tried."""
    _enrolled(trial)
    old = trial.private_key
    new = new_private_key()
    names = {"replaces": public_key_of(old), "public_key": public_key_of(new)}
    statement = key_statement(trial.box_id, **names)
    answer = trial.ask("POST", "key", {**names, "signature": sign(new, statement)})
    expect(answer.status in UNAUTHORIZED, _("a key that the old one did not sign was taken"), answer)
    signed = {**names, "signature": sign(old, statement)}
    answer = trial.ask("POST", "key", signed)
    expect(answer.status == OK, _("a key signed with the old one was not taken"), answer)
    told = _("before the new key was used, a batch signed with the old one was not taken")
    settled(trial.send(trial.chain(1, new_epoch())), 1, set(), told)
    answer = trial.ask("POST", "key", signed)
    expect(answer.status == OK, _("before the new key was used, the same request was not answered again"), answer)
    items = trial.chain(2, new_epoch())
    trial.private_key = new
    settled(trial.send(items), 2, set(), _("a batch signed with the new key was not taken"))
    head = head_statement(trial.box_id, items[0]["record"]["epoch"], 2, items[-1]["hash"])
    answer = trial.send(items, signature=sign(old, head))
    expect(answer.status == FORBIDDEN, _("the old key still counts after the new one was used"), answer)


def _enrolled(trial: Trial) -> None:
    if not trial.private_key:
        raise NotTried(_("give a one-time code with --code-file"))
