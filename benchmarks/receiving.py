"""What boxes put on the wire, and what one reference platform takes: docs/scale.md is computed from these figures.

Bytes are exact. Requests per second depend on the machine, on which the clients run as well, so CPU time of the
platform per request is given beside them; the floor is the same server's answer to ``/healthz``. Each request has a
connection of its own, as from boxes that speak once a minute. With Mosquitto installed heartbeats go through it too.

    python benchmarks/receiving.py [SECONDS]
"""

import gzip
import http.client
import json
import shutil
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil

from instrument_agent.core.canonical import NO_HASH, record_hash
from instrument_agent.uplink.mqtt import MqttTransport

EXAMPLES = Path(__file__).parent.parent / "docs/contract/examples"
CLIENTS = 8
BATCH = 50


def example(name: str) -> dict[str, Any]:
    """Return a body that a real agent sent (docs/contract/examples)."""
    found: dict[str, Any] = json.loads((EXAMPLES / f"{name}.json").read_text(encoding="utf-8"))
    return found


def heartbeat(box_id: str) -> dict[str, Any]:
    """Return a heartbeat of a box."""
    return {**example("heartbeat"), "box_id": box_id}


def envelope(box_id: str, count: int) -> dict[str, Any]:
    """Return a batch of run sessions, in an epoch of its own."""
    epoch, boot, items = str(uuid.uuid4()), str(uuid.uuid4()), []
    before = NO_HASH
    for seq in range(1, count + 1):
        at_ms = seq * 1_800_000
        session = {**example("run_session"), "box_id": box_id, "epoch": epoch, "seq": seq, "boot_id": boot}
        data = {**session["data"], "start_ms": at_ms, "end_ms": at_ms + 900_000, "running_ms": 900_000, "unseen_ms": 0}
        record = {**session, "at_ms": at_ms + 900_000, "prev_hash": before, "data": data}
        before = record_hash(record)
        utc = {"at_ms": 1_795_334_400_000 + at_ms, "error_ms": 1003, "quality": "good"}
        items.append({"hash": before, "record": record, "utc": utc})
    return {"epoch": epoch, "boot_id": boot, "boottime_ms": 1000, "records": items, "head_hash": before}


def packed(body: dict[str, Any]) -> bytes:
    """Return a body as it goes over the wire."""
    return gzip.compress(json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode(), 6)


def exchange(url: str, method: str, path: str, body: bytes | None = None) -> int:
    """Exchange one request on a connection of its own; return how many bytes the request has on the wire."""
    where = urlsplit(url)
    connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=30)
    sent = 0

    def counting(data: Any) -> None:
        nonlocal sent
        sent += len(data)
        plain_send(data)

    plain_send = connection.send
    connection.send = counting  # type: ignore[method-assign]
    headers = {"Accept": "application/json", "Accept-Encoding": "identity", "Authorization": f"Bearer {'x' * 43}"}
    if body is not None:
        headers |= {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    if answer.status != http.client.OK:
        raise RuntimeError(f"{path}: {answer.status}")
    return sent


def handshake_bytes(folder: Path) -> int:
    """Return the bytes of a TLS 1.3 handshake in both directions, with a certificate of one authority (P-256)."""
    made = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=localhost")
    names = ("-addext", "subjectAltName=DNS:localhost", "-keyout", folder / "key", "-out", folder / "cert")
    subprocess.run(["openssl", "req", "-x509", *made, *names], check=True, capture_output=True)
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(folder / "cert", folder / "key")
    asking = ssl.create_default_context(cafile=str(folder / "cert"))
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = asking.wrap_bio(back, there, server_hostname="localhost")
    server = serving.wrap_bio(there, back, server_side=True)
    moved, done = 0, False
    while not done:
        done = True
        for side, out in ((client, there), (server, back)):
            before = out.pending
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                done = False
            moved += out.pending - before
    return moved


@contextmanager
def platform(folder: Path, *options: str) -> Iterator[tuple[str, psutil.Process]]:
    """Run the reference platform on a SQLite file."""
    command = [sys.executable, "-m", "instrument_agent.cli.main", "platform", "serve", "--open", *options]
    process = subprocess.Popen(
        [*command, "--listen", "127.0.0.1:0", "--database", f"sqlite:///{folder / 'platform.db'}"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        url = next(word for word in process.stdout.readline().split() if word.startswith("http")).rstrip(";")
        yield url, psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait()


def load(server: psutil.Process, seconds: float, one: Callable[[int], None]) -> tuple[float, float]:
    """Let clients exchange one after the other; return exchanges per second and the server's CPU ms for each."""
    done, end_s = [0] * CLIENTS, time.monotonic() + seconds

    def client(number: int) -> None:
        while time.monotonic() < end_s:
            one(number)
            done[number] += 1

    threads = [threading.Thread(target=client, args=(number,)) for number in range(CLIENTS)]
    before, began_s = server.cpu_times(), time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took_s, after = time.monotonic() - began_s, server.cpu_times()
    busy_s = after.user + after.system - before.user - before.system
    return sum(done) / took_s, 1000 * busy_s / max(1, sum(done))


def shown(name: str, rate: float, cpu_ms: float, records: int = 1) -> None:
    """Print one figure."""
    each = f", {rate * records:7.0f} records/s" if records > 1 else ""
    print(f"{name:42} {rate:7.0f} /s {cpu_ms:6.2f} ms CPU each{each}")


def sizes(url: str, folder: Path) -> None:
    """Print what goes over the wire."""
    beat, batch = heartbeat("box-1"), envelope("box-1", BATCH)
    print(f"heartbeat: {len(packed(beat))} B of gzip, ", end="")
    print(f"{exchange(url, 'POST', '/v1/boxes/box-1/heartbeat', packed(beat))} B with HTTP headers")
    print(
        f"batch of {BATCH} runs: {len(packed(batch))} B of gzip, {len(packed(batch)) / BATCH:.0f} B a record; ", end=""
    )
    one = envelope("box-1", 1)
    print(f"alone: {exchange(url, 'POST', '/v1/boxes/box-1/records', packed(one))} B with HTTP headers")
    print(f"TLS 1.3 handshake, both ways: {handshake_bytes(folder)} B")
    rows = [len(json.dumps(item["record"], separators=(",", ":"))) for item in batch["records"]]
    print(f"a run session as canonical JSON: {statistics.median(rows):.0f} B")


def through_broker(folder: Path, seconds: float) -> None:
    """Print how many heartbeats a second come through a Mosquitto on this machine."""
    program = shutil.which("mosquitto", path="/usr/sbin:/usr/bin")
    if program is None:
        print("Mosquitto is not installed; heartbeats through a broker were not measured")
        return
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    config = folder / "mosquitto.conf"
    config.write_text(
        f"listener {port} 127.0.0.1\nallow_anonymous true\nuser root\nset_tcp_nodelay true\n", encoding="utf-8"
    )
    broker = subprocess.Popen([program, "-c", str(config)], stderr=subprocess.DEVNULL)
    url = f"mqtt://127.0.0.1:{port}/bench"
    try:
        end_s = time.monotonic() + 10
        while time.monotonic() < end_s:
            with suppress(OSError):
                socket.create_connection(("127.0.0.1", port)).close()
                break
        with platform(folder, "--mqtt", url) as (_address, server):
            boxes = [MqttTransport(url, f"box-{number}", None, None) for number in range(CLIENTS)]
            beats = [heartbeat(f"box-{number}") for number in range(CLIENTS)]
            for box, beat in zip(boxes, beats, strict=True):
                box.heartbeat(beat)
            rate, cpu_ms = load(server, seconds, lambda number: boxes[number].heartbeat(beats[number]) and None)
            shown("heartbeats through Mosquitto, connected", rate, cpu_ms)
            for box in boxes:
                box.close()
    finally:
        broker.terminate()
        broker.wait()


def main() -> None:
    """Measure and print."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 5.0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with platform(folder) as (url, server):
            sizes(url, folder)
            print()
            shown("floor: GET /healthz", *load(server, seconds, lambda _n: exchange(url, "GET", "/healthz") and None))
            beats = [packed(heartbeat(f"box-{number}")) for number in range(CLIENTS)]

            def beat(number: int) -> None:
                exchange(url, "POST", f"/v1/boxes/box-{number}/heartbeat", beats[number])

            shown("heartbeats", *load(server, seconds, beat))
            for count in (1, BATCH):

                def batch(number: int, count: int = count) -> None:
                    body = packed(envelope(f"box-{number}", count))
                    exchange(url, "POST", f"/v1/boxes/box-{number}/records", body)

                rate, cpu_ms = load(server, seconds, batch)
                shown(f"batches of {count}", rate, cpu_ms, count)
        through_broker(folder, seconds)


if __name__ == "__main__":
    main()
