"""Every way a reply can be no answer, over real connections: what the caller is told to do about it."""

import gzip
import json
import socket
import time
import tracemalloc
from collections.abc import Iterator

import pytest
from scripted_platform import SERVER_TIME, Answer, Platform, Raw

from instrument_agent.core.errors import (
    AgentError,
    PayloadTooLarge,
    PlatformRejected,
    PlatformUnauthorized,
    PlatformUnavailable,
)
from instrument_agent.uplink import deadline
from instrument_agent.uplink.http import LARGEST_REPLY, HttpTransport

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


@pytest.fixture
def transport(platform: Platform) -> Iterator[HttpTransport]:
    transport = HttpTransport(platform.url, "box-1", None, None)
    yield transport
    transport.close()


def test_a_good_reply_is_its_body_its_time_and_how_long_it_took(platform: Platform, transport: HttpTransport) -> None:
    before_s = time.monotonic()
    reply = transport.watermark()
    assert reply.body == {"epochs": [], "server_time": SERVER_TIME}
    assert reply.server_utc_ns == 1_795_334_400_000_000_000
    assert 0 < reply.round_trip_s <= time.monotonic() - before_s


def test_what_is_sent_is_gzipped_json_at_the_address_of_the_box(platform: Platform) -> None:
    transport = HttpTransport(platform.url + "/", "box 1/炉", None, None)
    transport.heartbeat({"note": "炉"})
    transport.close()
    [request] = platform.requests
    assert request.path == "/v1/boxes/box%201%2F%E7%82%89/heartbeat"
    assert request.body == {"note": "炉"}
    assert (request.headers["Content-Type"], request.headers["Content-Encoding"]) == ("application/json", "gzip")


@pytest.mark.parametrize(
    ("status", "error"),
    [
        *[(status, PlatformUnavailable) for status in (201, 204, 404, 408, 409, 418, 425, 429)],
        *[(status, PlatformUnavailable) for status in (500, 501, 502, 503, 504, 511, 599)],
        *[(status, PlatformRejected) for status in (400, 422)],
        *[(status, PlatformUnauthorized) for status in (401, 403)],
        (413, PayloadTooLarge),
    ],
)
def test_each_status_says_what_to_do(
    platform: Platform, transport: HttpTransport, status: int, error: type[AgentError]
) -> None:
    platform.script.append(Answer(status, b"" if status == 204 else b'{"epoch": "e", "acked_through": 9}'))
    with pytest.raises(error) as caught:
        transport.records({"records": []})
    assert type(caught.value) is error
    assert str(status) in str(caught.value)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(platform: Platform, transport: HttpTransport, status: int) -> None:
    with Platform() as elsewhere:
        platform.script.append(Answer(status, headers={"Location": f"{elsewhere.url}/v1/boxes/box-1/records"}))
        with pytest.raises(PlatformUnavailable, match=str(status)):
            transport.records({"epoch": "e", "records": []})
        assert elsewhere.requests == []
    assert len(platform.requests) == 1


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html><body>Please log in</body></html>",
        b"[]",
        b"null",
        b"7",
        b'"ok"',
        b'{"acked_through": 5',
        b"\xff\xfe{}",
        b"[" * 100_000,
        b'{"acked_through": ' + b"9" * 5000 + b"}",
    ],
    ids=lambda body: body[:20],
)
def test_a_200_that_is_no_answer_of_a_platform_is_none(
    platform: Platform, transport: HttpTransport, body: bytes
) -> None:
    platform.script.append(Answer(200, body))
    with pytest.raises(PlatformUnavailable) as caught:
        transport.records({"records": []})
    assert "login page" in caught.value.hint
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("retry_after", "date", "expected_s"),
    [
        ("0", None, 0.0),
        ("120", None, 120.0),
        (" 7 ", None, 7.0),
        ("999999999999999999999", None, 999_999_999.0),
        ("-5", None, None),
        ("1.5", None, None),
        ("soon", None, None),
        ("", None, None),
        ("٣", None, None),
        ("Sun, 22 Nov 2026 08:02:00 GMT", "Sun, 22 Nov 2026 08:00:00 GMT", 120.0),
        ("Sun, 22 Nov 2026 07:00:00 GMT", "Sun, 22 Nov 2026 08:00:00 GMT", 0.0),
        ("Sun, 22 Nov 2026 08:02:00 GMT", None, None),
        ("Sun, 22 Nov 2026 08:02:00 -0000", "Sun, 22 Nov 2026 08:00:00 GMT", None),
        ("Sun, 99 Nov 2026 08:02:00 GMT", "Sun, 22 Nov 2026 08:00:00 GMT", None),
        ("Sun, 22 Nov 99999999999999999999 08:02:00 GMT", "Sun, 22 Nov 2026 08:00:00 GMT", None),
        ("Sun, 22 Nov 2026 08:02:00 +99999999999999999999", "Sun, 22 Nov 2026 08:00:00 GMT", None),
        ("Fri, 31 Dec 9999 23:59:59 GMT", "Sun, 22 Nov 2026 08:00:00 GMT", 251_606_966_399.0),
    ],
)
def test_retry_after_is_understood_as_seconds_or_as_a_date_or_not_at_all(
    platform: Platform, transport: HttpTransport, retry_after: str, date: str | None, expected_s: float | None
) -> None:
    sent = {"Retry-After": retry_after.encode().decode("latin-1")} | ({} if date is None else {"Date": date})
    platform.script.append(Answer(503, headers=sent))
    with pytest.raises(PlatformUnavailable) as caught:
        transport.watermark()
    assert caught.value.retry_after_s == expected_s


def bomb(layers: int) -> bytes:
    data = b"{" + b" " * 50_000_000
    for _layer in range(layers):
        data = gzip.compress(data, 1)
    return data


@pytest.mark.parametrize("layers", [1, 2])
def test_a_reply_that_would_grow_many_times_is_not_unpacked(
    platform: Platform, transport: HttpTransport, layers: int
) -> None:
    packed = bomb(layers)
    assert len(packed) < LARGEST_REPLY / 2
    platform.script.append(Answer(200, packed, {"Content-Encoding": ", ".join(["gzip"] * layers)}))
    tracemalloc.start()
    try:
        with pytest.raises(PlatformUnavailable, match="compressed"):
            transport.watermark()
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()
    assert platform.requests[0].headers["Accept-Encoding"] == "identity"
    assert transport.watermark().body["epochs"] == []


@pytest.mark.parametrize("length", [b"Content-Length: 2147483648\r\n", b"", b"Transfer-Encoding: chunked\r\n"])
def test_of_a_reply_of_two_gigabytes_a_megabyte_is_read(
    platform: Platform, transport: HttpTransport, length: bytes
) -> None:
    piece = b" " * 65_536
    pieces = [chunk(piece) if b"chunked" in length else piece] * 32_768
    platform.script.append(Raw((HEAD + length + b"\r\n", *pieces)))
    start_s = time.monotonic()
    with pytest.raises(PlatformUnavailable, match="longer than 1000000 bytes"):
        transport.watermark()
    assert time.monotonic() - start_s < 5
    assert transport.watermark().body["epochs"] == []


@pytest.mark.parametrize("size", [LARGEST_REPLY + 1, 20 * LARGEST_REPLY])
def test_a_reply_longer_than_a_megabyte_is_not_read(platform: Platform, transport: HttpTransport, size: int) -> None:
    platform.script.append(Answer(200, b'{"x": "' + b"x" * size + b'"}'))
    with pytest.raises(PlatformUnavailable, match="longer than 1000000 bytes"):
        transport.watermark()
    assert transport.watermark().body["epochs"] == []


def test_a_reply_of_a_megabyte_is_read(platform: Platform, transport: HttpTransport) -> None:
    text = '{"x": "' + "x" * (LARGEST_REPLY - 9) + '"}'
    platform.script.append(Answer(200, text.encode()))
    assert transport.watermark().body == json.loads(text)


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


DRIBBLES = {
    "its head": tuple(bytes([byte]) for byte in HEAD + b"X: " + b"x" * 200),
    "many headers": (HEAD, *(b"X-%d: x\r\n" % number for number in range(90))),
    "interim replies": (b"HTTP/1.1 100 Continue\r\n\r\n",) * 200,
    "its body": (HEAD + b"Content-Length: 200\r\n\r\n", *([b" "] * 200)),
    "its body until it closes": (HEAD + b"\r\n", *([b" "] * 200)),
    "chunks": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", *([chunk(b" ")] * 200)),
    "one chunk": (HEAD + b"Transfer-Encoding: chunked\r\n\r\nff\r\n", *([b" "] * 200)),
    "nothing": (b"", b""),
}


@pytest.mark.parametrize("pieces", DRIBBLES.values(), ids=DRIBBLES.keys())
def test_a_reply_that_dribbles_in_is_given_up_at_the_deadline(
    platform: Platform, transport: HttpTransport, monkeypatch: pytest.MonkeyPatch, pieces: tuple[bytes, ...]
) -> None:
    monkeypatch.setattr(deadline, "DEADLINE_S", 0.4)
    platform.script.append(Raw(pieces, pause_s=20.0 if pieces == DRIBBLES["nothing"] else 0.05))
    start_s = time.monotonic()
    with pytest.raises(PlatformUnavailable):
        transport.watermark()
    assert 0.3 < time.monotonic() - start_s < 0.8
    assert transport.watermark().body["epochs"] == []


@pytest.mark.parametrize(
    "raw",
    [
        (),
        (b"HTTP/1.1 200",),
        (HEAD,),
        (HEAD + b'Content-Length: 100\r\n\r\n{"epoch": ',),
        (HEAD + b'Transfer-Encoding: chunked\r\n\r\n5\r\n{"a":',),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}",),
        (HEAD + b"Connection: close\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}",),
        (HEAD + b"Content-Length: lots\r\n\r\n",),
        (HEAD + b"X: x\r\n" * 200 + b"\r\n",),
        (HEAD + b"X: " + b"x" * 100_000 + b"\r\n\r\n",),
        (b"SSH-2.0-OpenSSH_9.2\r\n",),
        (b"\x15\x03\x01\x00\x02\x02\x46",),
        (b"HTTP/1.1 999999 OK\r\n\r\n",),
    ],
    ids=lambda raw: b"".join(raw)[-30:],
)
def test_a_connection_that_breaks_or_speaks_something_else_is_no_answer(
    platform: Platform, transport: HttpTransport, raw: tuple[bytes, ...]
) -> None:
    platform.script.append(Raw(raw))
    with pytest.raises(PlatformUnavailable):
        transport.watermark()
    assert transport.watermark().body["epochs"] == []


def test_nobody_listening_is_no_answer(platform: Platform) -> None:
    with Platform() as gone:
        url = gone.url
    transport = HttpTransport(url, "box-1", None, None)
    with pytest.raises(PlatformUnavailable, match="no answer"):
        transport.watermark()


REASONS = {
    "the connection broke off": (),
    "the reply is broken off or is not HTTP": (b"SSH-2.0-OpenSSH_9.2\r\n",),
    "it takes too long": DRIBBLES["its body"],
}


@pytest.mark.parametrize(("reason", "raw"), REASONS.items(), ids=REASONS.keys())
def test_why_there_is_no_answer_is_told_in_a_few_words(
    platform: Platform,
    transport: HttpTransport,
    monkeypatch: pytest.MonkeyPatch,
    reason: str,
    raw: tuple[bytes, ...],
) -> None:
    monkeypatch.setattr(deadline, "DEADLINE_S", 0.4)
    platform.script.append(Raw(raw, pause_s=0.05))
    with pytest.raises(PlatformUnavailable) as caught:
        transport.watermark()
    assert str(caught.value) == f"no answer from the platform: {reason}"


def test_nobody_listening_is_a_refused_connection_and_no_more_words() -> None:
    with Platform() as gone:
        url = gone.url
    with pytest.raises(PlatformUnavailable) as caught:
        HttpTransport(url, "box-1", None, None).watermark()
    assert str(caught.value) == "no answer from the platform: connection refused"


def test_a_name_nobody_knows_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_asked: object) -> None:  # no test asks a name server
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(PlatformUnavailable) as caught:
        HttpTransport("https://platform.invalid", "box-1", None, None).watermark()
    assert str(caught.value) == "no answer from the platform: its name is not known here (DNS)"


def test_a_platform_that_came_back_is_reached_on_a_new_connection(platform: Platform, transport: HttpTransport) -> None:
    platform.script.extend([Answer(200, {"a": 1}, {"Connection": "close"}), Answer(200, {"a": 2})])
    assert [transport.watermark().body["a"] for _ in range(2)] == [1, 2]


@pytest.mark.parametrize(
    ("server_time", "utc_ns"),
    [
        ("2026-11-22T08:00:00Z", 1_795_334_400_000_000_000),
        ("2026-11-22T16:00:00.250+08:00", 1_795_334_400_250_000_000),
        ("2026-11-22T08:00:00", None),
        ("yesterday", None),
        (1_795_334_400, None),
        (None, None),
        ({"t": 1}, None),
    ],
)
def test_a_time_without_a_zone_is_no_time(
    platform: Platform, transport: HttpTransport, server_time: object, utc_ns: int | None
) -> None:
    platform.script.append(Answer(200, {"server_time": server_time}))
    assert transport.watermark().server_utc_ns == utc_ns
