"""The credential: where it goes, and where it never does."""

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from scripted_platform import Answer, Platform, Request

from instrument_agent.core.errors import (
    AgentError,
    PlatformUnauthorized,
)
from instrument_agent.uplink.http import HttpTransport

TOKEN = "s3cret-of-box-1"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "credential"
    file.write_text(f"{TOKEN}\n")
    return file


@pytest.fixture
def bearer(platform: Platform, file: Path) -> Iterator[HttpTransport]:
    transport = HttpTransport(platform.url, "box-1", file, None)
    yield transport
    transport.close()


def test_it_goes_into_the_authorization_header_and_nowhere_else(platform: Platform, bearer: HttpTransport) -> None:
    bearer.records({"epoch": "e", "records": []})
    [request] = platform.requests
    assert request.headers["Authorization"] == f"Bearer {TOKEN}"
    others = {name: value for name, value in request.headers.items() if name != "Authorization"}
    assert TOKEN not in f"{request.path} {others} {request.body}"


def test_a_renewed_file_is_used_at_once(platform: Platform, bearer: HttpTransport, file: Path) -> None:
    bearer.watermark()
    file.write_text("another")
    bearer.watermark()
    assert platform.requests[1].headers["Authorization"] == "Bearer another"


@pytest.mark.parametrize("content", [b"", b"\n", b"two words", "密码".encode(), b"a\nb", b"\xff\xfe", None])
def test_a_file_that_holds_none_is_as_good_as_a_refusal_and_nothing_is_sent(
    platform: Platform, bearer: HttpTransport, file: Path, content: bytes | None
) -> None:
    file.unlink()
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(PlatformUnauthorized, match="credential file") as caught:
        bearer.watermark()
    assert caught.value.hint
    assert platform.requests == []


@pytest.mark.parametrize("status", [200, 302, 400, 401, 413, 500])
def test_it_is_shown_nowhere_even_if_the_server_sends_it_back(
    platform: Platform, bearer: HttpTransport, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    def echo(request: Request) -> Answer:
        return Answer(status, (" " * 190 + str(dict(request.headers)) + "\r\n\x1b[31m").encode())

    platform.script.append(echo)
    with caplog.at_level(logging.DEBUG), pytest.raises(AgentError) as caught:
        bearer.watermark()
    shown = f"{caught.value} {caught.value.hint} {caplog.text}"
    assert TOKEN[:6] not in shown
    assert all(character.isprintable() for character in str(caught.value))


def test_none_is_taken_from_a_netrc_file(platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    os.chmod(netrc, 0o600)  # noqa: PTH101  # netrc itself looks at the mode
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(netrc))
    transport = HttpTransport(platform.url, "box-1", None, None)
    transport.watermark()
    transport.close()
    assert "Authorization" not in platform.requests[0].headers


def test_what_is_for_this_machine_goes_through_no_proxy(
    platform: Platform, bearer: HttpTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Platform() as proxy:
        for name in ("http_proxy", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        monkeypatch.delenv("no_proxy", raising=False)
        bearer.watermark()
        assert proxy.requests == []
    assert len(platform.requests) == 1
