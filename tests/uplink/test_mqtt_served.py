"""``platform serve --mqtt``: the reference platform behind a real broker, and what it refuses to begin with."""

import signal
from pathlib import Path

import pytest
from brokers import Mosquitto, free_ports
from click.testing import CliRunner
from served_platform import serving

from instrument_agent.cli.platform import platform
from instrument_agent.config.fields import check_url
from instrument_agent.core.errors import AgentError
from instrument_agent.tables.mistakes import Unfit
from instrument_agent.uplink.broker import broker_at
from instrument_agent.uplink.mqtt import MqttTransport


def test_the_platform_answers_boxes_through_a_broker_until_a_signal(tmp_path: Path, mosquitto: Mosquitto) -> None:
    with serving(tmp_path, "--open", "--mqtt", mosquitto.url) as (process, _url):
        transport = MqttTransport(mosquitto.url, "box-1", None, None)
        assert transport.watermark().body["epochs"] == []
        transport.close()
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        assert process.stdout is not None
        assert "Traceback" not in process.stdout.read()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--mqtt", "https://platform.example.org"], "--mqtt names no broker"),
        (["--mqtt", "mqtt://broker.example.org"], "plain mqtt is allowed only to this machine itself"),
        (["--open", "--mqtt", "mqtts://broker.example.org"], "--open lets everybody in"),
        (["--open", "--mqtt", f"mqtt://127.0.0.1:{free_ports(1)[0]}"], "no answer from the broker: connection refused"),
    ],
)
def test_it_does_not_begin_with_a_broker_that_will_not_do(tmp_path: Path, options: list[str], said: str) -> None:
    database = f"sqlite:///{tmp_path / 'p.db'}"
    result = CliRunner().invoke(platform, ["serve", "--listen", "127.0.0.1:0", "--database", database, *options])
    assert isinstance(result.exception, AgentError)
    assert said in str(result.exception)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("mqtt://broker.example.org", "plain mqtt is allowed only to this machine itself"),
        ("mqtts://broker.example.org/+/x", "its path is what the topics begin with"),
        ("mqtts://broker.example.org/$SYS", "its path is what the topics begin with"),
        ("mqtts://broker.example.org//x", "its path is what the topics begin with"),
        ("mqtts://box:word@broker.example.org", "must not contain a user name or password"),
    ],
)
def test_an_address_of_a_broker_that_will_not_do_is_told(url: str, said: str) -> None:
    with pytest.raises(Unfit) as caught:
        check_url(url)
    assert said in str(caught.value)


def test_the_address_says_where_the_broker_is_and_what_topics_begin_with() -> None:
    for url in ("mqtts://broker.example.org", "mqtts://broker.example.org:8884/a/b-1/", "mqtt://[::1]/x"):
        check_url(url)
    plain = broker_at("mqtts://broker.example.org")
    assert (plain.host, plain.port, plain.prefix, plain.secure) == ("broker.example.org", 8883, "", True)
    assert broker_at("mqtts://broker.example.org:8884/a/b-1/").prefix == "a/b-1/"
    assert (broker_at("mqtt://[::1]/x").host, broker_at("mqtt://[::1]/x").port) == ("::1", 1883)
