"""A reply that is too long, too slow, broken off or missing is no answer, and costs neither memory nor time."""

import gzip
import json
import socket
import time
import tracemalloc

import pytest
from scripted_platform import Answer, Platform, Raw

from instrument_agent.core.errors import (
    PlatformUnavailable,
)
from instrument_agent.uplink import deadline
from instrument_agent.uplink.http import LARGEST_REPLY, HttpTransport

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


def bomb(layers: int) -> bytes:
    data = b"{" + b" " * 50_000_000
    for _layer in range(layers):
        data = gzip.compress(data, 1)
    return data


@pytest.mark.parametrize("layers", [1, 2])
def test_a_reply_that_would_grow_many_times_is_not_unpacked(
    platform: Platform, over_http: HttpTransport, layers: int
) -> None:
    packed = bomb(layers)
    assert len(packed) < LARGEST_REPLY / 2
    platform.script.append(Answer(200, packed, {"Content-Encoding": ", ".join(["gzip"] * layers)}))
    tracemalloc.start()
    try:
        with pytest.raises(PlatformUnavailable, match="compressed"):
            over_http.watermark()
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()
    assert platform.requests[0].headers["Accept-Encoding"] == "identity"
    assert over_http.watermark().body["epochs"] == []


@pytest.mark.parametrize("length", [b"Content-Length: 2147483648\r\n", b"", b"Transfer-Encoding: chunked\r\n"])
def test_of_a_reply_of_two_gigabytes_a_megabyte_is_read(
    platform: Platform, over_http: HttpTransport, length: bytes
) -> None:
    piece = b" " * 65_536
    pieces = [chunk(piece) if b"chunked" in length else piece] * 32_768
    platform.script.append(Raw((HEAD + length + b"\r\n", *pieces)))
    start_s = time.monotonic()
    with pytest.raises(PlatformUnavailable, match="longer than 1000000 bytes"):
        over_http.watermark()
    assert time.monotonic() - start_s < 5
    assert over_http.watermark().body["epochs"] == []


@pytest.mark.parametrize("size", [LARGEST_REPLY + 1, 20 * LARGEST_REPLY])
def test_a_reply_longer_than_a_megabyte_is_not_read(platform: Platform, over_http: HttpTransport, size: int) -> None:
    platform.script.append(Answer(200, b'{"x": "' + b"x" * size + b'"}'))
    with pytest.raises(PlatformUnavailable, match="longer than 1000000 bytes"):
        over_http.watermark()
    assert over_http.watermark().body["epochs"] == []


def test_a_reply_of_a_megabyte_is_read(platform: Platform, over_http: HttpTransport) -> None:
    text = '{"x": "' + "x" * (LARGEST_REPLY - 9) + '"}'
    platform.script.append(Answer(200, text.encode()))
    assert over_http.watermark().body == json.loads(text)


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
    platform: Platform, over_http: HttpTransport, monkeypatch: pytest.MonkeyPatch, pieces: tuple[bytes, ...]
) -> None:
    monkeypatch.setattr(deadline, "DEADLINE_S", 0.4)
    platform.script.append(Raw(pieces, pause_s=20.0 if pieces == DRIBBLES["nothing"] else 0.05))
    start_s = time.monotonic()
    with pytest.raises(PlatformUnavailable):
        over_http.watermark()
    assert 0.3 < time.monotonic() - start_s < 5
    assert over_http.watermark().body["epochs"] == []


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
    platform: Platform, over_http: HttpTransport, raw: tuple[bytes, ...]
) -> None:
    platform.script.append(Raw(raw))
    with pytest.raises(PlatformUnavailable):
        over_http.watermark()
    assert over_http.watermark().body["epochs"] == []


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
    over_http: HttpTransport,
    monkeypatch: pytest.MonkeyPatch,
    reason: str,
    raw: tuple[bytes, ...],
) -> None:
    monkeypatch.setattr(deadline, "DEADLINE_S", 0.4)
    platform.script.append(Raw(raw, pause_s=0.05))
    with pytest.raises(PlatformUnavailable) as caught:
        over_http.watermark()
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


def test_a_platform_that_came_back_is_reached_on_a_new_connection(platform: Platform, over_http: HttpTransport) -> None:
    platform.script.extend([Answer(200, {"a": 1}, {"Connection": "close"}), Answer(200, {"a": 2})])
    assert [over_http.watermark().body["a"] for _ in range(2)] == [1, 2]
