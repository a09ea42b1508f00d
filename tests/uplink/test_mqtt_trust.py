"""Whom a box trusts at a broker, how it shows who it is, and that none speaks for another: real Mosquitto, real TLS."""

import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from brokers import MOSQUITTO, Mosquitto
from certificates import Authority
from fake_clock import BOOTED_UTC_NS
from sender import Sender

from instrument_agent.config import DestinationConfig
from instrument_agent.core.errors import AgentError, PlatformUnauthorized, PlatformUnavailable
from instrument_agent.receiver import Ledger, create_app
from instrument_agent.receiver.enrolment import Enrolment
from instrument_agent.receiver.mqtt_consumer import MqttConsumer
from instrument_agent.uplink import mqtt
from instrument_agent.uplink.enrolled import KeyFile
from instrument_agent.uplink.enrolling import enrol, rotate
from instrument_agent.uplink.mqtt import MqttTransport
from instrument_agent.uplink.signing import Signer
from instrument_agent.uplink.transports import transport_to

pytestmark = [
    pytest.mark.skipif(MOSQUITTO is None, reason="Mosquitto is not installed; on Debian: apt install mosquitto"),
    pytest.mark.skipif(shutil.which("openssl") is None, reason="makes its certificates with openssl"),
]
WORDS = {"platform": "over-all", "box-1": "s3cret", "box-2": "0ther"}


class Institute:
    """A platform that lets in enrolled boxes only, behind a broker with TLS, passwords and topics of one's own."""

    def __init__(self, folder: Path, broker: Mosquitto, authority: Authority) -> None:
        database = f"sqlite:///{folder / 'platform.db'}"
        self.ledger, self.enrolment = Ledger(database), Enrolment(database)
        self.url, self.ca_file = broker.url, authority.own.certificate
        self.folder = folder
        app = create_app(self.ledger, lambda: BOOTED_UTC_NS, enrolment=self.enrolment)
        self.consumer = MqttConsumer(self.url, app, self.credential("platform:over-all"), self.ca_file)

    def credential(self, word: str) -> Path:
        path = self.folder / f"credential-{uuid.uuid4()}"
        path.write_text(word + "\n")
        return path

    def transport(self, box_id: str, word: str) -> MqttTransport:
        return MqttTransport(self.url, box_id, self.credential(word), self.ca_file)


@pytest.fixture(scope="module")
def broker(authority: Authority) -> Iterator[Mosquitto]:
    broker = Mosquitto(WORDS, authority.issue("broker", "IP:127.0.0.1"))
    yield broker
    broker.stop()


@pytest.fixture
def institute(tmp_path: Path, broker: Mosquitto, authority: Authority) -> Iterator[Institute]:
    institute = Institute(tmp_path, broker, authority)
    with institute.ledger, institute.consumer:
        yield institute
    institute.enrolment.close()


def asked(transport: MqttTransport) -> AgentError | None:
    try:
        transport.watermark()
    except AgentError as error:
        return error
    finally:
        transport.close()
    return None


def test_an_enrolled_box_signs_what_it_sends_and_keeps_the_receipt(institute: Institute, sender: Sender) -> None:
    sender.credential, sender.ca_file = institute.credential("s3cret"), institute.ca_file
    sender.keys = KeyFile(institute.folder, "province")
    transport = institute.transport("box-1", "s3cret")
    enrol(sender.keys, transport, institute.enrolment.new_code("box-1", BOOTED_UTC_NS, 1))
    sender.write(9)
    sender.start(institute.url)
    sender.until_settled()
    ((seq, receipt),) = sender.store.rows("select seq, receipt from proofs")
    assert seq == sender.outbox.last_seq(sender.store.epoch)
    assert '"signature"' in receipt
    first = sender.keys.read()
    second = rotate(sender.keys, transport, "box-1")
    transport.close()
    assert first is not None
    assert first.public_key != second.public_key
    sender.write(3)
    sender.until_settled()
    assert institute.enrolment.keys("box-1")[0]["public_key"] == second.public_key


def test_a_code_is_spent_once_a_batch_was_signed_through_the_broker(institute: Institute, sender: Sender) -> None:
    code = institute.enrolment.new_code("box-1", BOOTED_UTC_NS, 1)
    sender.credential, sender.ca_file = institute.credential("s3cret"), institute.ca_file
    sender.keys = KeyFile(institute.folder, "province")
    transport = institute.transport("box-1", "s3cret")
    given = enrol(sender.keys, transport, code)
    again = transport.enrol({"code": code, "public_key": given.public_key}).body
    assert again["credential"] != given.credential, "its reply may have been lost"
    sender.write(1)
    sender.start(institute.url)
    sender.until_settled()
    with pytest.raises(PlatformUnauthorized, match="this code is used"):
        transport.enrol({"code": code, "public_key": given.public_key})
    transport.close()


def test_boxes_that_are_not_enrolled_or_are_revoked_are_turned_away(institute: Institute) -> None:
    error = asked(institute.transport("box-2", "0ther"))
    assert isinstance(error, PlatformUnauthorized)
    assert "401" in str(error)
    transport = institute.transport("box-2", "0ther")
    enrol(KeyFile(institute.folder, "second"), transport, institute.enrolment.new_code("box-2", BOOTED_UTC_NS, 1))
    assert transport.watermark().body["epochs"] == []
    institute.enrolment.revoke_box("box-2")
    with pytest.raises(PlatformUnauthorized):
        transport.heartbeat({})
    transport.close()


def test_what_is_not_signed_by_the_box_is_not_stored(institute: Institute, sender: Sender) -> None:
    keys = KeyFile(institute.folder, "province")
    transport = institute.transport("box-1", "s3cret")
    enrol(keys, transport, institute.enrolment.new_code("box-1", BOOTED_UTC_NS, 1))
    transport.close()
    sender.credential, sender.ca_file = institute.credential("s3cret"), institute.ca_file
    sender.write(3)
    delivery = sender.start(institute.url)  # without keys
    sender.clock.await_waiting()
    assert "403" in delivery.contact.error
    assert institute.ledger.records("box-1") == []


@pytest.mark.parametrize("word", ["wr0ng", "box-2:s3cret", "nobody:s3cret"])
def test_a_wrong_password_is_unauthorized(institute: Institute, word: str) -> None:
    error = asked(institute.transport("box-1", word))
    assert isinstance(error, PlatformUnauthorized)
    assert "the broker refuses the connection" in str(error)


def test_user_and_password_may_both_stand_in_the_file(institute: Institute) -> None:
    enrol(
        KeyFile(institute.folder, "second"),
        institute.transport("box-1", "box-1:s3cret"),
        institute.enrolment.new_code("box-1", BOOTED_UTC_NS, 1),
    )
    assert asked(institute.transport("box-1", "box-1:s3cret")) is None


def test_a_box_cannot_speak_for_another(institute: Institute, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mqtt, "DEADLINE_S", 0.5)
    enrolling = institute.transport("box-1", "s3cret")
    enrol(KeyFile(institute.folder, "f"), enrolling, institute.enrolment.new_code("box-1", BOOTED_UTC_NS, 1))
    enrolling.close()
    assert isinstance(asked(institute.transport("box-1", "box-2:0ther")), PlatformUnavailable | PlatformUnauthorized)


@pytest.mark.parametrize("content", [None, b"", b"two words", "密码".encode()])
def test_a_credential_file_that_holds_none_is_named(institute: Institute, content: bytes | None) -> None:
    path = institute.folder / "odd"
    if content is not None:
        path.write_bytes(content)
    error = asked(MqttTransport(institute.url, "box-1", path, institute.ca_file))
    assert isinstance(error, PlatformUnauthorized)
    assert str(path) in str(error)


def test_a_broker_of_another_authority_hears_nothing(broker: Mosquitto, institute: Institute, tmp_path: Path) -> None:
    stranger = Authority(tmp_path / "stranger", "stranger").own.certificate
    for ca_file in (stranger, None):
        error = asked(MqttTransport(broker.url, "box-1", institute.credential("s3cret"), ca_file))
        assert isinstance(error, PlatformUnavailable)
        assert "its certificate is not accepted" in str(error)
    missing = asked(MqttTransport(broker.url, "box-1", None, tmp_path / "missing.pem"))
    assert isinstance(missing, PlatformUnavailable)


def test_a_broker_with_a_certificate_for_another_host_hears_nothing(authority: Authority, tmp_path: Path) -> None:
    elsewhere = Mosquitto(WORDS, authority.issue("elsewhere", "DNS:broker.example.org"))
    (tmp_path / "word").write_text("s3cret")
    try:
        error = asked(MqttTransport(elsewhere.url, "box-1", tmp_path / "word", authority.own.certificate))
    finally:
        elsewhere.stop()
    assert "its certificate is not accepted: IP address mismatch" in str(error)


def test_a_destination_of_the_config_with_an_mqtts_address_goes_through_the_broker(institute: Institute) -> None:
    destination = DestinationConfig(
        name="province", url=institute.url, ca_file=institute.ca_file, credential_file=institute.credential("s3cret")
    )
    keys = KeyFile(institute.folder, "province")
    transport = transport_to(destination, "box-1", keys)
    enrol(keys, transport, institute.enrolment.new_code("box-1", BOOTED_UTC_NS, 1))
    assert transport.watermark().server_utc_ns == BOOTED_UTC_NS
    transport.close()
    assert Signer(keys, "box-1") is not None
