"""Which way leads to a destination of the config: HTTPS, or MQTT through a broker."""

from collections.abc import Callable

from instrument_agent.clock import boottime_ns
from instrument_agent.config import DestinationConfig
from instrument_agent.uplink.answers import Transport
from instrument_agent.uplink.enrolled import KeyFile


def transport_to(
    destination: DestinationConfig, box_id: str, keys: KeyFile, now_ns: Callable[[], int] = boottime_ns
) -> Transport:
    """Return a transport to a destination of the config; ``now_ns`` is the boot clock."""
    certificate = destination.client_cert_file
    client_cert = None if certificate is None else (certificate, destination.client_key_file)
    files = (destination.credential_file, destination.ca_file)
    # Imported where they are used: a box carries in its memory what it speaks, and one without a network neither.
    transport: Transport
    if destination.url.startswith("mqtt"):
        from instrument_agent.uplink.mqtt import MqttTransport

        transport = MqttTransport(destination.url, box_id, *files, client_cert)
    else:
        from instrument_agent.uplink.http import HttpTransport

        transport = HttpTransport(destination.url, box_id, *files, keys, client_cert)
    transport.now_ns = now_ns
    return transport
