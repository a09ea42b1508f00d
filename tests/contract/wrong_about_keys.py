"""Platforms that break the contract over codes, keys, signatures or receipts, each in one way."""

from collections.abc import Callable

from wrong_platforms import Body, Exchange, Twist

from instrument_agent.keys import head_statement, is_signed
from instrument_agent.receiver.enrolment import Enrolment


def signs_receipts_with_another_key(exchange: Exchange) -> None:
    if "receipt" in exchange.reply:
        exchange.reply["receipt"]["signature"] = "A" * 86 + "=="


def signs_for_what_was_sent(enrolment: Enrolment) -> Twist:
    def after(exchange: Exchange) -> None:
        if "receipt" in exchange.reply:
            said = {name: value for name, value in exchange.reply["receipt"].items() if name != "signature"}
            exchange.reply["receipt"] = enrolment.signed({**said, "head_hash": exchange.items[-1]["hash"]})

    return after


def answers_400_to_a_wrong_signature(exchange: Exchange) -> None:
    if exchange.what == "records" and exchange.status == 403:
        exchange.status = 400


def looks_at_the_last_record_only(exchange: Exchange) -> None:
    links = [item["record"].get("prev_hash") for item in exchange.items[1:]]
    if exchange.status == 403 and links != [item["hash"] for item in exchange.items[:-1]]:
        exchange.status = 200


def forgets_new_keys(exchange: Exchange) -> None:
    if exchange.what == "key":
        exchange.asked = {**(exchange.asked or {}), "public_key": "short"}


def refuses_the_key_request_that_comes_again() -> Twist:
    seen: list[Body | None] = []

    def after(exchange: Exchange) -> None:
        if exchange.what == "key" and exchange.status == 200:
            exchange.status = 403 if exchange.asked in seen else 200
            seen.append(exchange.asked)

    return after


def drops_the_old_key_at_once() -> Twist:
    announced: list[str] = []

    def after(exchange: Exchange) -> None:
        asked = exchange.asked or {}
        if exchange.what == "key" and exchange.status == 200:
            announced.append(asked["public_key"])
        if exchange.items and announced and exchange.status == 200:
            last = exchange.items[-1]["record"]
            head = head_statement(last["box_id"], last["epoch"], last["seq"], asked["head_hash"])
            exchange.status = 200 if is_signed(announced[0], asked["signature"], head) else 403

    return after


def answers_a_code_once() -> Twist:
    seen: list[str] = []

    def before(exchange: Exchange) -> None:
        if exchange.what == "enrol":
            exchange.asked = {**(exchange.asked or {}), **({"code": "unknown"} if seen else {})}
            seen.append(exchange.what)

    return before


def takes_codes_as_they_were_printed(exchange: Exchange) -> None:
    if exchange.what == "enrol" and exchange.asked["code"].islower():
        exchange.asked["code"] = "unknown"


def enrols_who(comes: Callable[[Body, Body], bool]) -> Twist:
    """One that answers a code after its time to whoever ``comes``, as told from the first request and this one."""
    first: list[Body] = []

    def after(exchange: Exchange) -> None:
        if exchange.what == "enrol":
            first.append(exchange.asked)
            if exchange.status == 403 and comes(first[0], exchange.asked):
                exchange.status, exchange.reply = 200, {"credential": "c" * 43, "server_time": "2026-11-21T15:20:17Z"}

    return after
