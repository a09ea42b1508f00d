"""Whom a box trusts, and how it shows who it is: certificates of a private authority, on real TLS."""

import shutil
from pathlib import Path

import pytest
from certificates import Authority, Certified, secured, serving
from scripted_platform import Platform
from sender import Sender, has_each_once

from instrument_agent.config import DestinationConfig
from instrument_agent.core.errors import PlatformUnavailable
from instrument_agent.uplink.enrolled import KeyFile
from instrument_agent.uplink.http import HttpTransport
from instrument_agent.uplink.transports import transport_to

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="makes its certificates with openssl")
HERE = "IP:127.0.0.1"


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("stranger"), "stranger")


@pytest.fixture(scope="module")
def good(authority: Authority) -> Certified:
    return authority.issue("good", HERE)


@pytest.fixture(scope="module")
def box(authority: Authority) -> Certified:
    return authority.issue("box-1", "DNS:box-1")


def refused(platform: Platform, authority: Authority | None, tmp_path: Path) -> str:
    """Return what is said when a box that trusts ``authority`` (None: those of the system) has a secret to tell."""
    credential = tmp_path / "credential"
    credential.write_text("s3cret")
    transport = HttpTransport(platform.url, "box-1", credential, authority and authority.own.certificate)
    with pytest.raises(PlatformUnavailable) as caught:
        transport.records({"epoch": "e", "records": []})
    transport.close()
    assert platform.requests == [], "it heard nothing of us"
    return str(caught.value)


def test_a_certificate_of_the_authority_in_the_ca_file_is_trusted(
    platform: Platform, authority: Authority, good: Certified
) -> None:
    secured(platform, serving(good))
    transport = HttpTransport(platform.url, "box-1", None, authority.own.certificate)
    assert transport.watermark().body["epochs"] == []
    transport.close()


def test_one_of_another_authority_is_not(
    platform: Platform, authority: Authority, stranger: Authority, tmp_path: Path
) -> None:
    secured(platform, serving(stranger.issue("other", HERE)))
    assert "its certificate is not accepted" in refused(platform, authority, tmp_path)


def test_one_that_nobody_vouches_for_is_not_without_a_ca_file(
    platform: Platform, authority: Authority, good: Certified, tmp_path: Path
) -> None:
    secured(platform, serving(good))
    assert "its certificate is not accepted" in refused(platform, None, tmp_path)


def test_a_ca_file_that_is_not_there_is_said(platform: Platform, good: Certified, tmp_path: Path) -> None:
    secured(platform, serving(good))
    transport = HttpTransport(platform.url, "box-1", None, tmp_path / "missing.pem")
    with pytest.raises(PlatformUnavailable, match=r"missing\.pem"):
        transport.watermark()
    transport.close()


def test_one_that_has_expired_is_not(platform: Platform, authority: Authority, tmp_path: Path) -> None:
    secured(platform, serving(authority.issue("old", HERE, days=-1)))
    assert "not accepted: certificate has expired" in refused(platform, authority, tmp_path)


@pytest.mark.parametrize("address", ["IP:127.0.0.2", "DNS:platform.example.org", "DNS:*.0.0.1"])
def test_one_for_another_host_is_not(platform: Platform, authority: Authority, tmp_path: Path, address: str) -> None:
    secured(platform, serving(authority.issue("elsewhere", address)))
    assert "its certificate is not accepted: IP address mismatch" in refused(platform, authority, tmp_path)


def destination(url: str, authority: Authority, certificate: Path | None, key: Path | None) -> DestinationConfig:
    files = {"ca_file": authority.own.certificate, "client_cert_file": certificate, "client_key_file": key}
    return DestinationConfig(name="province", url=url, **files)


def ask(platform: Platform, authority: Authority, certificate: Path | None, key: Path | None, tmp_path: Path) -> bool:
    transport = transport_to(
        destination(platform.url, authority, certificate, key), "box-1", KeyFile(tmp_path, "province")
    )
    try:
        return transport.watermark().body["epochs"] == []
    finally:
        transport.close()


def test_a_box_shows_its_certificate_to_a_platform_that_asks_for_one(
    platform: Platform, authority: Authority, good: Certified, box: Certified, tmp_path: Path
) -> None:
    secured(platform, serving(good, clients=authority.own))
    assert ask(platform, authority, box.certificate, box.key, tmp_path)
    both = tmp_path / "both.pem"
    both.write_text(box.certificate.read_text() + box.key.read_text())
    assert ask(platform, authority, both, None, tmp_path)


def test_without_a_certificate_or_with_a_strangers_there_is_no_answer(
    platform: Platform, authority: Authority, stranger: Authority, good: Certified, tmp_path: Path
) -> None:
    secured(platform, serving(good, clients=authority.own))
    other = stranger.issue("box-1", "DNS:box-1")
    for certificate, key in ((None, None), (other.certificate, other.key)):
        with pytest.raises(PlatformUnavailable):
            ask(platform, authority, certificate, key, tmp_path)
    with pytest.raises(PlatformUnavailable, match=r"missing\.pem"):
        ask(platform, authority, tmp_path / "missing.pem", None, tmp_path)
    assert platform.requests == []


def test_a_platform_that_renews_its_certificate_gets_everything_that_waited(
    platform: Platform, authority: Authority, good: Certified, sender: Sender
) -> None:
    context = serving(authority.issue("worn", HERE, days=-1))
    secured(platform, context)
    sender.ca_file = authority.own.certificate
    sender.write(9)
    delivery = sender.start(platform.url)
    sender.clock.await_waiting()
    assert "expired" in delivery.contact.error
    context.load_cert_chain(good.certificate, good.key)
    sender.until_settled()
    assert has_each_once(platform, sender.store)
