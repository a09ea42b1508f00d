"""A box that speaks Chinese to people says the same as any other to machines."""

import gzip
import json
import socket
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue
from threading import Thread
from typing import Any

import pytest
from rich.cells import cell_len
from speaking import CHINESE, COMMAND, ENGLISH, environment, is_chinese, keys, run

NAME = "X射线衍射仪[b1]"  # to the terminal library, [b1] could be the name of a colour
CONFIG = """
[box]
id = "box-1"
state_dir = "state"
runtime_dir = "run"
[[destination]]
name = "province"
url = "{url}"
first_contact_spread_s = 0
[[instrument]]
id = "xrd-1"
name_zh = "{name}"
[instrument.driver]
name = "mock"
script = ["unavailable"]
[instrument.activity]
off_below = 5
run_above = 500
"""


class Platform(ThreadingHTTPServer):
    """Tells the time, acknowledges nothing, and keeps what it is sent as it came over the wire."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.received: dict[str, Queue[bytes]] = {"records": Queue(), "heartbeat": Queue(), "watermark": Queue()}
        self.url = f"http://127.0.0.1:{self.server_port}"


class _Answer(BaseHTTPRequestHandler):
    server: Platform

    def do_GET(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        self.server.received[self.path.rsplit("/", 1)[1]].put(self.rfile.read(length))
        answer = json.dumps({"server_time": datetime.now(UTC).isoformat()}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_POST = do_GET  # noqa: N815  # the name is http.server's

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture(scope="module")
def platform() -> Iterator[Platform]:
    with Platform() as server:
        thread = Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def box(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The config of a running box whose agent speaks Chinese, and whose instrument does not answer."""
    path = tmp_path_factory.mktemp("box") / "box.toml"
    path.write_text(CONFIG.format(url=platform.url, name=NAME), encoding="utf-8")
    command = [*COMMAND, "run", "--config", str(path)]
    with subprocess.Popen(command, env=environment(CHINESE), stderr=subprocess.PIPE) as agent:
        platform.received["watermark"].get(timeout=30)
        yield path
        agent.terminate()
        log = agent.communicate(timeout=30)[1].decode("utf-8")
    assert agent.returncode == 0, log


def status(box: Path, settings: dict[str, str]) -> dict[str, Any]:
    done = run(settings, "status", "--json", "--config", box)
    assert (done.returncode, done.stderr) == (0, b"")
    return json.loads(done.stdout)


def test_nothing_sent_to_a_platform_depends_on_the_language(box: Path, platform: Platform):
    beat = gzip.decompress(platform.received["heartbeat"].get(timeout=30)).decode("utf-8")
    records = gzip.decompress(platform.received["records"].get(timeout=30)).decode("utf-8")
    assert not is_chinese(beat)
    assert not is_chinese(records.replace(NAME, ""))
    assert json.loads(records)["records"]


def test_status_as_json_has_the_same_keys_in_both_languages(box: Path):
    chinese, english = status(box, CHINESE), status(box, ENGLISH)
    assert keys(chinese) == keys(english)
    assert [item["activity"] for item in chinese["instruments"]] == ["unknown"]
    assert [item["activity"] for item in english["instruments"]] == ["unknown"]


@pytest.mark.parametrize(("settings", "chinese"), [(CHINESE, True), (ENGLISH, False)])
def test_what_went_wrong_is_told_in_the_language_of_whoever_asks(
    box: Path, settings: dict[str, str], chinese: bool
) -> None:
    driver = status(box, settings)["instruments"][0]["driver"]
    assert driver["error"]
    assert is_chinese(driver["error"]) is chinese
    shown = run(settings, "status", "--config", box).stdout.decode("utf-8")
    assert NAME in shown
    assert driver["error"] in shown
    assert is_chinese(shown.replace(NAME, "")) is chinese


def test_an_agent_that_is_asked_in_no_language_answers_in_its_own(box: Path) -> None:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(box.parent / "run/control.sock"))
        connection.sendall(b'{"do": "status"}\n')
        answer = json.loads(connection.makefile().readline())
    assert is_chinese(answer["answer"]["instruments"][0]["driver"]["error"])


@pytest.mark.parametrize("columns", ["60", "80", "120"])
def test_columns_line_up_and_nothing_is_cut_off(box: Path, columns: str):
    shown = run(CHINESE | {"COLUMNS": columns}, "status", "--config", box).stdout.decode("utf-8")
    _headline, *tables = (part.splitlines() for part in shown.split("\n\n")[:3])
    assert [{cell_len(line) for line in table} for table in tables] == [
        {next(len(line) for line in table if line.startswith("──"))} for table in tables
    ]
    assert "…" not in shown


def test_titles_and_words_are_whole_at_80_columns(box: Path):
    shown = run(ENGLISH | {"COLUMNS": "80"}, "status", "--config", box).stdout.decode("utf-8")
    titles = {
        "instrument",
        "activity",
        "reading",
        "running",
        "time",
        "coverage",
        "driver",
        "acknowledged",
        "heartbeats",
    }
    assert titles <= {*shown.split()}
    assert max(cell_len(line) for line in shown.splitlines()) <= 80


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"LANG": "C"},
        {"LC_ALL": "C"},
        {"LC_ALL": "POSIX", "LANGUAGE": "zh_CN"},
        {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0"},
        {"LANG": "en_US.ISO-8859-1"},
    ],
)
def test_chinese_names_go_through_a_pipe_under_any_locale(box: Path, settings: dict[str, str]):
    done = run(settings, "status", "--config", box)
    assert (done.returncode, done.stderr) == (0, b"")
    assert NAME in done.stdout.decode("utf-8")


def test_a_terminal_that_cannot_show_a_character_does_not_end_the_command(box: Path):
    settings = {"LANG": "C", "PYTHONIOENCODING": "latin-1"}
    assert run(settings, "status", "--config", box).returncode == 0
    done = run(settings, "status", "--json", "--config", box)
    assert done.returncode == 0
    assert json.loads(done.stdout.decode("latin-1"))["instruments"][0]["name_zh"] == NAME
