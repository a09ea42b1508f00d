"""One connection to an MQTT 3.1.1 broker, the only place that knows paho-mqtt (extra ``[mqtt]``).

It never connects again by itself: paho would do so within two seconds, and so would every other box of the province.
Whoever uses it opens a new one when the retry policy says so. 3.1.1 is what every broker speaks, NATS included.
"""

import queue
import re
import socket
import ssl
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from instrument_agent.core.errors import AgentError, PlatformUnauthorized, PlatformUnavailable
from instrument_agent.i18n import _
from instrument_agent.rights import UnsafeFile, read_ordinary
from instrument_agent.uplink.answers import network_reason

if TYPE_CHECKING:
    from paho.mqtt.client import Client, MQTTMessage

CONNECT_S = 10.0
"""What the TCP connection, TLS, and then the broker's acceptance get each."""
KEEPALIVE_S = 60
"""After one and a half times this long without a word the broker tells the last will (MQTT 3.1.1, 3.1.2.10)."""
CLOSE_S = 2.0
PORT, SECURE_PORT = 1883, 8883
_REFUSED = (134, 135)
"""What paho makes of the return codes 4 and 5: bad user name or password, not authorized (MQTT 3.1.1, 3.2.2.3)."""


class _Socket(ssl.SSLSocket):
    """Closes itself when its handshake fails, which paho forgets."""

    def do_handshake(self, block: bool = False) -> None:  # noqa: FBT002  # as the standard library has it
        try:
            super().do_handshake(block)
        except BaseException:
            self.close()
            raise


@dataclass(frozen=True, slots=True)
class Message:
    """Something the broker is to tell."""

    topic: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Broker:
    """Where a broker is, whom it is trusted by, and what all topics begin with (empty, or ending with a slash)."""

    host: str
    port: int
    prefix: str
    secure: bool
    ca_file: Path | None = None
    client_cert: tuple[Path, Path | None] | None = None

    def context(self) -> ssl.SSLContext | None:
        """Return what TLS is spoken with, its files read now; None for a plain connection.

        Raises:
            OSError: a file cannot be read, or is not what it should be.
        """
        if not self.secure:
            return None
        context = ssl.create_default_context(cafile=self.ca_file)
        context.sslsocket_class = _Socket
        if self.client_cert is not None:
            context.load_cert_chain(*self.client_cert)
        return context


def broker_at(url: str, ca_file: Path | None = None, client_cert: tuple[Path, Path | None] | None = None) -> Broker:
    """Return the broker at a URL that was checked: ``mqtts://HOST[:PORT][/PREFIX]``."""
    parts = urlsplit(url)
    secure = parts.scheme == "mqtts"
    prefix = parts.path.strip("/")
    port = parts.port or (SECURE_PORT if secure else PORT)
    return Broker(parts.hostname or "", port, f"{prefix}/" if prefix else "", secure, ca_file, client_cert)


def login(path: Path | None, user: str) -> tuple[str, str] | None:
    """Return user and password from a file that holds ``USER:PASSWORD``, or a password alone, which is for ``user``.

    Raises:
        PlatformUnauthorized: it cannot be read or holds something else.
    """
    if path is None:
        return None
    try:
        word = read_ordinary(path).strip()
    except UnsafeFile as error:
        raise PlatformUnauthorized(str(error), error.hint) from error
    except (OSError, UnicodeDecodeError) as error:
        raise PlatformUnauthorized(
            _("the credential file {path} cannot be read").format(path=path),
            _("put the credential there, readable only by the agent's user"),
        ) from error
    if not re.fullmatch("[!-~]+", word):
        raise PlatformUnauthorized(
            _("the credential file {path} does not hold one word of ASCII").format(path=path),
            _("put the credential there as the platform gave it, and nothing else"),
        )
    name, colon, password = word.partition(":")
    return (name, password) if colon else (user, word)


class Link:
    """A connection from ``open`` to the first failure or ``close``.

    ``take`` gets topic and payload of each message, ``lost`` is called when the connection is gone; both come from a
    thread of the library, and must not block or raise. ``room`` is how many messages may be on their way to the broker.
    """

    def __init__(
        self,
        broker: Broker,
        client_id: str,
        credential: tuple[str, str] | None,
        take: Callable[[str, bytes], None],
        lost: Callable[[], None],
        room: int = 8,
    ) -> None:
        self._broker = broker
        self._take = take
        self._lost = lost
        self._client = _client(client_id, credential, room)
        self._topics: Sequence[str] = ()
        self._said: queue.SimpleQueue[AgentError | None] = queue.SimpleQueue()
        self._up = threading.Event()
        self._gone = threading.Event()

    @property
    def alive(self) -> bool:
        """Whether it was opened and is not lost yet."""
        return self._up.is_set() and not self._gone.is_set()

    def open(self, topics: Sequence[str], will: Message | None = None) -> None:
        """Connect, leave a last will, which is retained, and subscribe.

        Raises:
            PlatformUnavailable: the broker cannot be reached.
            PlatformUnauthorized: it refuses the credential, or the topics.
        """
        self._topics = topics
        client = self._client
        client.on_connect, client.on_subscribe = self._connected, self._subscribed
        client.on_disconnect, client.on_message = self._disconnected, self._received
        client.on_socket_open = _without_delay
        client.connect_timeout = CONNECT_S
        if will is not None:
            client.will_set(will.topic, will.payload, qos=1, retain=True)
        try:
            context = self._broker.context()
            if context is not None:
                client.tls_set_context(context)
            client.connect(self._broker.host, self._broker.port, KEEPALIVE_S)
        except (OSError, ValueError) as error:  # ValueError: a name that cannot be one in DNS
            reason = network_reason(error) if isinstance(error, OSError) else str(error)
            raise PlatformUnavailable(_("no answer from the broker: {error}").format(error=reason)) from error
        client.loop_start()
        try:
            refusal = self._said.get(timeout=CONNECT_S)
        except queue.Empty:
            refusal = PlatformUnavailable(_("no answer from the broker: {error}").format(error=_("it takes too long")))
        if refusal is not None:
            self.close()
            raise refusal

    def publish(self, message: Message, *, retain: bool = False) -> Any:
        """Give a message to the library, to be told at least once; return what knows whether the broker has it.

        Raises:
            PlatformUnavailable: the connection is gone, or too many are on their way.
        """
        told = self._client.publish(message.topic, message.payload, qos=1, retain=retain)
        if told.rc:
            raise broken_off()
        return told

    def close(self, last: Message | None = None) -> None:
        """Say goodbye, with a last retained message, and end the library's thread; the last will is not told."""
        with suppress(PlatformUnavailable, RuntimeError):  # RuntimeError: it went away while it was waited for
            if last is not None and self.alive:
                self.publish(last, retain=True).wait_for_publish(CLOSE_S)
        self._client.disconnect()
        if self._up.is_set() and not self._gone.wait(CLOSE_S):
            connection: Any = self._client.socket()
            with suppress(OSError, AttributeError):  # AttributeError: there is none any more
                connection.shutdown(socket.SHUT_RDWR)
        self._client.loop_stop()
        self._gone.set()
        # The library's object knows this one's methods: without the circle it is taken away at once.
        self._client.on_connect = self._client.on_subscribe = self._client.on_disconnect = None
        self._client.on_message = self._client.on_socket_open = None

    def _connected(self, client: "Client", _data: object, _flags: object, code: Any, _more: object) -> None:
        if not code.is_failure:
            client.subscribe([(topic, 1) for topic in self._topics])
            return
        message = _("the broker refuses the connection: {reason}").format(reason=code)
        if code.value in _REFUSED:
            self._said.put(PlatformUnauthorized(message, _("check the user and the password in the credential file")))
        else:
            self._said.put(PlatformUnavailable(message))

    def _subscribed(self, _client: object, _data: object, _mid: int, codes: Sequence[Any], _more: object) -> None:
        if any(code.is_failure for code in codes):
            self._said.put(
                PlatformUnauthorized(
                    _("the broker does not let us read {topics}").format(topics=", ".join(self._topics)),
                    _("the broker's operator must allow a box its own topics"),
                )
            )
            return
        self._up.set()
        self._said.put(None)

    def _disconnected(self, *_details: object) -> None:
        self._gone.set()
        self._said.put(broken_off())
        self._lost()

    def _received(self, _client: object, _data: object, message: "MQTTMessage") -> None:
        self._take(message.topic, bytes(message.payload))


def _without_delay(_client: object, _data: object, connection: Any) -> None:
    """Send small messages at once; otherwise one that follows another waits for its TCP acknowledgement, 40 ms."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def broken_off() -> PlatformUnavailable:
    """Return the error of a connection that is gone."""
    return PlatformUnavailable(_("no answer from the broker: {error}").format(error=_("the connection broke off")))


def _client(client_id: str, credential: tuple[str, str] | None, room: int) -> "Client":
    try:
        from paho.mqtt.client import Client
        from paho.mqtt.enums import CallbackAPIVersion
    except ModuleNotFoundError as error:  # recording goes on, and the other destinations
        raise PlatformUnavailable(
            _("MQTT is not installed: {error}").format(error=error),
            _("install the package with its extra: instrument-agent[mqtt]"),
        ) from error
    client = Client(CallbackAPIVersion.VERSION2, client_id, clean_session=True, reconnect_on_failure=False)
    # Without these its queue grows without a bound while the broker does not answer.
    client.max_queued_messages_set(room)
    client.max_inflight_messages_set(room)
    if credential is not None:
        client.username_pw_set(*credential)
    return client
