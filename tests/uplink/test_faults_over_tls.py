"""Each fault of a platform once over real TLS: what was sent is kept, sent again when it is time, and arrives once."""

import gzip
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from certificates import Authority, Certified, secured, serving
from scripted_platform import Act, Answer, Platform, Raw, Request, acknowledged
from sender import Sender, has_each_once, records_only

from instrument_agent.uplink import deadline
from instrument_agent.uplink.retry import BASE_S, CAP_S, LONGEST_RETRY_AFTER_S

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="makes its certificates with openssl")
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
SECRET = "s3cret-of-box-1"
SOON = (0.0, BASE_S)
DATE = "Sun, 22 Nov 2026 08:00:00 GMT"


@pytest.fixture(scope="module")
def certified(authority: Authority) -> Certified:
    return authority.issue("platform", "IP:127.0.0.1")


@pytest.fixture
def secure(platform: Platform, certified: Certified) -> Platform:
    return secured(platform, serving(certified))


@pytest.fixture
def box(sender: Sender, authority: Authority, tmp_path: Path) -> Sender:
    sender.ca_file = authority.own.certificate
    sender.credential = tmp_path / "credential"
    sender.credential.write_text(SECRET)
    return sender


def busy(status: int, retry_after: str) -> Answer:
    return Answer(status, headers={"Retry-After": retry_after, "Date": DATE})


KEPT: dict[str, tuple[Act, tuple[float, float]]] = {
    **{str(status): (Answer(status), SOON) for status in (404, 408, 429, 500, 502, 503, 504)},
    **{str(status): (Answer(status), (CAP_S / 2, CAP_S)) for status in (401, 403)},
    "429 in seconds": (busy(429, "120"), (120.0, 120.0 + BASE_S)),
    "429 until a date": (busy(429, "Sun, 22 Nov 2026 08:02:00 GMT"), (120.0, 120.0 + BASE_S)),
    "429 garbage": (busy(429, "soon"), SOON),
    "429 negative": (busy(429, "-5"), SOON),
    "429 huge": (busy(429, "9" * 30), (LONGEST_RETRY_AFTER_S, LONGEST_RETRY_AFTER_S + BASE_S)),
    "429 year of twenty digits": (busy(429, f"Sun, 22 Nov {'9' * 20} 08:02:00 GMT"), SOON),
    "a captive portal": (Answer(200, b"<html>log in</html>", {"Content-Type": "text/html"}), SOON),
    "an empty 200": (Answer(200), SOON),
    "a malformed 200": (Answer(200, b'{"epoch": "'), SOON),
    "more than was sent": (lambda request: acknowledged(request.body["epoch"], 12), SOON),
    "2 GB": (Raw((HEAD + b"Content-Length: 2147483648\r\n\r\n", *([b" " * 65_536] * 32_768))), SOON),
    "a gzip bomb": (Answer(200, gzip.compress(b" " * 50_000_000), {"Content-Encoding": "gzip"}), SOON),
    "slow-loris": (Raw((HEAD + b"Content-Length: 99\r\n\r\n", *([b" "] * 99)), pause_s=0.05), SOON),
}


@pytest.mark.parametrize("fault", KEPT)
def test_nothing_is_freed_and_all_of_it_comes_again_in_time(
    secure: Platform, box: Sender, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    monkeypatch.setattr(deadline, "DEADLINE_S", 0.2 if fault == "slow-loris" else 10.0)
    act, (least_s, most_s) = KEPT[fault]
    records_only(secure, act)
    box.write(9)
    delivery = box.start(secure.url)
    box.clock.await_waiting()
    assert (box.watermark, bool(delivery.contact.error)) == (0, True)
    assert least_s <= box.until_settled() <= most_s
    assert has_each_once(secure, box.store)
    assert box.dead_letters() == {}


def test_what_was_stored_without_a_reply_arrives_once(secure: Platform, box: Sender) -> None:
    def silent(request: Request) -> Raw:
        secure.store(request)
        return Raw(())

    records_only(secure, silent)
    box.write(9)
    box.start(secure.url)
    box.until_settled()
    assert has_each_once(secure, box.store)
    assert {secure.received.count(key) for key in secure.received} == {2}


def test_another_host_hears_nothing_of_a_redirect(secure: Platform, box: Sender, certified: Certified) -> None:
    with Platform() as elsewhere:
        secured(elsewhere, serving(certified))
        records_only(secure, Answer(307, headers={"Location": f"{elsewhere.url}/v1/boxes/box-1/records"}))
        box.write(9)
        box.start(secure.url)
        box.until_settled()
        assert elsewhere.requests == []
    assert has_each_once(secure, box.store)


def refusing(platform: Platform, status: int, poison: int) -> Callable[[Request], Answer]:
    def act(request: Request) -> Answer:
        return Answer(status) if poison in request.seqs else platform.well_behaved(request)

    return act


@pytest.mark.parametrize("status", [400, 422, 413])
def test_the_poison_among_500_is_found_and_the_others_arrive(secure: Platform, box: Sender, status: int) -> None:
    box.limit = 500
    secure.scripted, secure.refuses = ("records",), {321}
    secure.always = refusing(secure, status, 321)
    box.write(498)  # and two of its own: that the epoch began, and what time it is
    box.start(secure.url)
    assert box.until_settled() == 0
    assert list(box.dead_letters()) == [321]
    assert set(secure.stored[box.store.epoch]) == set(range(1, 501)) - {321}


def test_what_is_refused_in_part_is_set_aside_with_its_reason(secure: Platform, box: Sender) -> None:
    secure.refuses = {3, 7}
    box.write(9)
    box.start(secure.url)
    assert box.until_settled() == 0
    assert box.dead_letters() == {3: "schema: odd", 7: "schema: odd"}
