"""What a whole reply says to the caller, over real connections: its status, its body, its times."""

import time

import pytest
from scripted_platform import SERVER_TIME, Answer, Platform

from instrument_agent.core.errors import (
    AgentError,
    PayloadTooLarge,
    PlatformRejected,
    PlatformUnauthorized,
    PlatformUnavailable,
)
from instrument_agent.core.readings import NS_PER_S
from instrument_agent.uplink.http import HttpTransport


def test_a_good_reply_is_its_body_its_time_and_how_long_it_took(platform: Platform, over_http: HttpTransport) -> None:
    before_s = time.monotonic()
    reply = over_http.watermark()
    assert reply.body == {"epochs": [], "server_time": SERVER_TIME}
    assert reply.server_utc_ns == 1_795_334_400_000_000_000
    assert 0 < reply.round_trip_s <= time.monotonic() - before_s


def test_a_round_trip_is_told_by_the_boot_clock_which_counts_on_while_the_box_sleeps(
    over_http: HttpTransport,
) -> None:
    slept = iter((10 * NS_PER_S, 3610 * NS_PER_S))
    over_http.now_ns = lambda: next(slept)
    assert over_http.watermark().round_trip_s == 3600.0


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
    platform: Platform, over_http: HttpTransport, status: int, error: type[AgentError]
) -> None:
    platform.script.append(Answer(status, b"" if status == 204 else b'{"epoch": "e", "acked_through": 9}'))
    with pytest.raises(error) as caught:
        over_http.records({"records": []})
    assert type(caught.value) is error
    assert str(status) in str(caught.value)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(platform: Platform, over_http: HttpTransport, status: int) -> None:
    with Platform() as elsewhere:
        platform.script.append(Answer(status, headers={"Location": f"{elsewhere.url}/v1/boxes/box-1/records"}))
        with pytest.raises(PlatformUnavailable, match=str(status)):
            over_http.records({"epoch": "e", "records": []})
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
    platform: Platform, over_http: HttpTransport, body: bytes
) -> None:
    platform.script.append(Answer(200, body))
    with pytest.raises(PlatformUnavailable) as caught:
        over_http.records({"records": []})
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
    platform: Platform, over_http: HttpTransport, retry_after: str, date: str | None, expected_s: float | None
) -> None:
    sent = {"Retry-After": retry_after.encode().decode("latin-1")} | ({} if date is None else {"Date": date})
    platform.script.append(Answer(503, headers=sent))
    with pytest.raises(PlatformUnavailable) as caught:
        over_http.watermark()
    assert caught.value.retry_after_s == expected_s


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
    platform: Platform, over_http: HttpTransport, server_time: object, utc_ns: int | None
) -> None:
    platform.script.append(Answer(200, {"server_time": server_time}))
    assert over_http.watermark().server_utc_ns == utc_ns
