"""Real brokers for tests: one Mosquitto, or a NATS cluster, on loopback with a config made here."""

import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from certificates import Certified
from far_sides import FarSide

MOSQUITTO = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
NATS = shutil.which("nats-server") or shutil.which("nats-server", path="/usr/sbin")
PATIENCE_S = 30.0


def free_ports(count: int) -> list[int]:
    """Return ports nobody listens on now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _number in range(count)]
    ports = [item.getsockname()[1] for item in sockets]
    for item in sockets:
        item.close()
    return ports


def listening(port: int) -> bool:
    with suppress(OSError):
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    return False


def until(claim: Callable[[], bool], told: Callable[[], str], within_s: float = PATIENCE_S) -> None:
    """Wait for something another process does, of which nobody tells us."""
    end_s = time.monotonic() + within_s
    while not claim():
        assert time.monotonic() < end_s, told()
        time.sleep(0.02)


class Process:
    """A broker's process, with its files in a folder of its own."""

    def __init__(self, command: Sequence[str], folder: Path) -> None:
        self.folder = folder
        self._command = list(command)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def kill(self) -> None:
        """End it as a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def log(self) -> str:
        return (self.folder / "log").read_text(encoding="utf-8", errors="replace")[-3000:]


class Mosquitto:
    """One Mosquitto at ``url``; ``users`` have passwords and speak as boxes of their name, ``platform`` to all."""

    def __init__(self, users: dict[str, str] | None = None, tls: Certified | None = None) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="ia-mosquitto-"))
        self.port = free_ports(1)[0]
        self.url = f"{'mqtt' if tls is None else 'mqtts'}://127.0.0.1:{self.port}/trial"
        lines = [
            f"listener {self.port} 127.0.0.1",
            "persistence false",
            f"allow_anonymous {'false' if users else 'true'}",
        ]
        # Run as root it becomes the user mosquitto, who may read nothing of ours.
        lines.append("user root")
        if tls is not None:
            lines += [f"certfile {tls.certificate}", f"keyfile {tls.key}"]
        if users:
            passwords = self.folder / "passwords"
            passwords.write_text("".join(f"{name}:{word}\n" for name, word in users.items()))
            subprocess.run(["mosquitto_passwd", "-U", str(passwords)], check=True, capture_output=True)
            acl = self.folder / "acl"
            acl.write_text(ACL)
            lines += [f"password_file {passwords}", f"acl_file {acl}"]
        (self.folder / "config").write_text("\n".join(lines) + "\n")
        self._process = Process([str(MOSQUITTO), "-c", str(self.folder / "config")], self.folder)
        self.start()

    def start(self) -> None:
        self._process.start()
        until(lambda: listening(self.port), self._process.log)

    def kill(self) -> None:
        self._process.kill()

    def stop(self) -> None:
        self.kill()
        shutil.rmtree(self.folder)


ACL = """user platform
topic read trial/v1/boxes/+/up/#
topic write trial/v1/boxes/+/down/#
topic read trial/v1/boxes/+/status

pattern write trial/v1/boxes/%u/up/#
pattern read trial/v1/boxes/%u/down/#
pattern readwrite trial/v1/boxes/%u/status
"""


class NatsCluster:
    """Three NATS nodes with JetStream and an MQTT listener each, everything kept three times."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="ia-nats-"))
        ports = free_ports(9)
        self.mqtt_ports = ports[:3]
        routes = ports[3:6]
        self.nodes: list[Process] = []
        for number, (mqtt, route, client) in enumerate(zip(ports[:3], routes, ports[6:], strict=True)):
            folder = self.folder / f"n{number}"
            folder.mkdir()
            others = ", ".join(f'"nats://127.0.0.1:{port}"' for port in routes)
            config = NODE.format(number=number, client=client, folder=folder, mqtt=mqtt, route=route, others=others)
            (folder / "config").write_text(config)
            self.nodes.append(Process([str(NATS), "-c", str(folder / "config")], folder))
        for node in self.nodes:
            node.start()

    def ready(self, connects: Callable[[int], bool]) -> None:
        """Wait until every node serves MQTT, which needs a quorum first."""
        for port in self.mqtt_ports:
            until(lambda port=port: listening(port) and connects(port), lambda: "\n".join(n.log() for n in self.nodes))

    def stop(self) -> None:
        for node in self.nodes:
            node.kill()
        shutil.rmtree(self.folder)


NODE = """server_name: n{number}
listen: "127.0.0.1:{client}"
jetstream {{ store_dir: "{folder}/store" }}
mqtt {{ listen: "127.0.0.1:{mqtt}", stream_replicas: 3, consumer_replicas: 3 }}
cluster {{ name: trial, listen: "127.0.0.1:{route}", routes: [{others}] }}
"""


class Balancer(FarSide):
    """One address before several nodes, as every cluster has: a connection goes to the first node that takes it."""

    def __init__(self, ports: Sequence[int]) -> None:
        super().__init__()
        self.ports = list(ports)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"mqtt://127.0.0.1:{self._listener.getsockname()[1]}/trial"
        self._open: list[socket.socket] = []

    def __enter__(self) -> Self:
        return super().__enter__()

    def _serve(self) -> None:
        while not self.stopping.is_set():
            try:
                near, _address = self._listener.accept()
            except OSError:
                return
            far = self._to_a_node()
            if far is None:
                near.close()
                continue
            self._open += [near, far]
            for pair in ((near, far), (far, near)):
                threading.Thread(target=_carry, args=pair, daemon=True).start()

    def _to_a_node(self) -> socket.socket | None:
        for port in self.ports:
            with suppress(OSError):
                return socket.create_connection(("127.0.0.1", port), timeout=1)
        return None

    def _stop(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        for item in self._open:
            _end(item)

    def close(self) -> None:
        self._listener.close()
        for item in self._open:
            item.close()


def _carry(source: socket.socket, to: socket.socket) -> None:
    source.settimeout(None)
    with suppress(OSError):
        while data := source.recv(65_536):
            to.sendall(data)
    _end(source)
    _end(to)


def _end(item: Any) -> None:
    with suppress(OSError):
        item.shutdown(socket.SHUT_RDWR)
