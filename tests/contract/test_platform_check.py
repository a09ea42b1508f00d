"""The conformance kit passes a platform that keeps the contract, and says by number what another one breaks."""

import json
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import wrong_about_keys as keys
import wrong_platforms as wrong
from click.testing import CliRunner, Result
from starlette.types import ASGIApp, Receive, Scope, Send
from wrong_platforms import Carrier, Twisted

from instrument_agent.cli.platform_check import platform_check
from instrument_agent.receiver import Ledger, PlatformServer, attempts, create_app
from instrument_agent.receiver.enrolment import CodeRefused, Enrolment
from instrument_agent.receiver.trial import Trial

# What cannot be seen from outside, and on one machine not either.
UNSEEN = {"M18", "M19", "M20", "M21", "M22"}


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of the time of a run goes into its largest batch."""
    monkeypatch.setattr(attempts, "BIG_BATCH", 120)


def check(*arguments: str) -> tuple[int, dict[str, dict[str, Any]]]:
    done = CliRunner().invoke(platform_check, [*arguments, "--json"])
    assert done.exit_code in (0, 1), done.output
    verdicts = json.loads(done.stdout)["musts"]
    return done.exit_code, {verdict["number"]: verdict for verdict in verdicts}


def numbers(verdicts: dict[str, dict[str, Any]], result: str) -> set[str]:
    return {number for number, verdict in verdicts.items() if verdict["result"] == result}


def test_the_reference_platform_keeps_every_demand(carrier: Carrier, books: Ledger, tmp_path: Path):
    enrolment = Enrolment(f"sqlite:///{tmp_path / 'platform.db'}")
    carrier.app = create_app(books, time.time_ns, enrolment=enrolment)
    code = tmp_path / "code"
    code.write_text(enrolment.new_code(None, time.time_ns(), 1))
    status, verdicts = check(carrier.url, "--box", "c-1", "--code-file", str(code))
    enrolment.close()
    assert (status, numbers(verdicts, "fail"), numbers(verdicts, "not_tried")) == (0, set(), UNSEEN)
    assert list(verdicts) == [f"M{number}" for number in range(1, 27)]
    partly = {number for number, verdict in verdicts.items() if verdict["result"] == "pass" and verdict["found"]}
    assert partly == {"M1", "M16", "M23"}, "what their titles claim beyond what can be seen"


WRONG: dict[str, tuple[Any, dict[str, Any], set[str]]] = {
    # Repetitions are part of how other demands are tried.
    "M1": ("after", wrong.refuses_repetitions, {"M1", "M2", "M5", "M15"}),
    "M2": ("after", lambda: wrong.forgets_conflicts, {"M2"}),
    "M3": ("after", lambda: wrong.acknowledges_the_highest, {"M1", "M3"}),
    "M4": ("after", lambda: wrong.stops_at_a_rejected_record, {"M2", "M4"}),
    "M4 later": ("after", wrong.forgets_what_it_rejected, {"M4"}),
    "M5": ("before", lambda: wrong.believes_every_hash, {"M5"}),
    "M6": ("after", lambda: wrong.hashes_json_of_its_own, {"M6"}),
    "M8": ("after", lambda: wrong.takes_anything, {"M8"}),
    "M11": ("after", lambda: wrong.tells_the_time_without_a_zone, {"M11"}),
    "M12": ("after", lambda: wrong.tells_of_the_newest_epoch_only, {"M12"}),
}


@pytest.mark.parametrize("number", WRONG)
@pytest.mark.usefixtures("hurried")
def test_a_platform_that_breaks_one_demand_fails_by_its_number(carrier: Carrier, books: Ledger, number: str):
    side, twist, failing = WRONG[number]
    app: ASGIApp = create_app(books, time.time_ns)
    carrier.app = Twisted(app, **{side: twist()})
    status, verdicts = check(carrier.url)
    assert status == 1
    assert numbers(verdicts, "fail") == failing
    assert all(verdicts[broken]["todo"] and verdicts[broken]["found"] for broken in failing)


@pytest.mark.usefixtures("hurried")
def test_a_platform_that_lets_everybody_in_fails_by_its_number(carrier: Carrier, books: Ledger, tmp_path: Path):
    carrier.app = create_app(books, time.time_ns)
    (tmp_path / "token").write_text("anything")
    status, verdicts = check(carrier.url, "--token-file", str(tmp_path / "token"))
    assert (status, numbers(verdicts, "fail")) == (1, {"M14"})


@pytest.mark.parametrize("open_to_all", ["heartbeat", "watermark"])
@pytest.mark.usefixtures("hurried")
def test_a_platform_that_asks_for_the_credential_at_some_addresses_only_fails_by_its_number(
    carrier: Carrier, books: Ledger, tmp_path: Path, open_to_all: str
):
    strict, lax = create_app(books, time.time_ns, token="s3cret"), create_app(books, time.time_ns)

    async def some(scope: Scope, receive: Receive, send: Send) -> None:
        await (lax if scope["path"].endswith(open_to_all) else strict)(scope, receive, send)

    carrier.app = some
    (tmp_path / "token").write_text("s3cret")
    status, verdicts = check(carrier.url, "--token-file", str(tmp_path / "token"))
    assert (status, numbers(verdicts, "fail")) == (1, {"M14"})
    assert verdicts["M14"]["found"].startswith(f"{open_to_all}: ")


@pytest.mark.usefixtures("hurried")
def test_a_platform_that_takes_the_credential_of_any_box_fails_by_its_number(
    carrier: Carrier, books: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    enrolment = Enrolment(f"sqlite:///{tmp_path / 'platform.db'}")
    bears = enrolment.bears
    monkeypatch.setattr(enrolment, "bears", lambda _box_id, token: bears("platform-check", token))
    carrier.app = create_app(books, time.time_ns, enrolment=enrolment)
    (tmp_path / "code").write_text(enrolment.new_code(None, time.time_ns(), 1))
    status, verdicts = check(carrier.url, "--code-file", str(tmp_path / "code"))
    enrolment.close()
    assert (status, numbers(verdicts, "fail")) == (1, {"M14"})


@pytest.mark.usefixtures("hurried")
def test_a_platform_that_signs_for_what_was_sent_fails_by_its_number(carrier: Carrier, books: Ledger, tmp_path: Path):
    enrolment = Enrolment(f"sqlite:///{tmp_path / 'platform.db'}")
    app = create_app(books, time.time_ns, enrolment=enrolment)
    carrier.app = Twisted(app, after=keys.signs_for_what_was_sent(enrolment))
    (tmp_path / "code").write_text(enrolment.new_code(None, time.time_ns(), 1))
    status, verdicts = check(carrier.url, "--code-file", str(tmp_path / "code"))
    enrolment.close()
    assert (status, numbers(verdicts, "fail")) == (1, {"M25"})


WRONG_WITH_KEYS: dict[str, tuple[dict[str, Any], set[str]]] = {
    "M15 loses": (wrong.loses_what_comes_meanwhile(200), {"M15"}),
    "M15 refuses": (wrong.loses_what_comes_meanwhile(409), {"M15"}),
    "M23 same key": ({"after": keys.enrols_who(lambda first, now: now == first)}, {"M23"}),
    "M23 any code": ({"after": keys.enrols_who(lambda first, now: now["code"] != first["code"])}, {"M23"}),
    "M23 never again": ({"before": keys.answers_a_code_once()}, {"M23"}),
    "M23 as printed": ({"before": keys.takes_codes_as_they_were_printed}, {"M23"}),
    "M24": ({"after": keys.answers_400_to_a_wrong_signature}, {"M24", "M26"}),
    "M24 again": ({"after": keys.looks_at_the_last_record_only}, {"M24"}),
    "M25": ({"after": keys.signs_receipts_with_another_key}, {"M25"}),
    "M26": ({"before": keys.forgets_new_keys}, {"M26"}),
    "M26 once": ({"after": keys.refuses_the_key_request_that_comes_again()}, {"M26"}),
    "M26 at once": ({"after": keys.drops_the_old_key_at_once()}, {"M26"}),
}


@pytest.mark.parametrize("number", WRONG_WITH_KEYS)
@pytest.mark.usefixtures("hurried")
def test_a_platform_that_is_wrong_about_keys_fails_by_its_number(
    carrier: Carrier, books: Ledger, tmp_path: Path, number: str
):
    twist, failing = WRONG_WITH_KEYS[number]
    enrolment = Enrolment(f"sqlite:///{tmp_path / 'platform.db'}")
    carrier.app = Twisted(create_app(books, time.time_ns, enrolment=enrolment), **twist)
    (tmp_path / "code").write_text(enrolment.new_code(None, time.time_ns(), 1))
    status, verdicts = check(carrier.url, "--code-file", str(tmp_path / "code"))
    done = CliRunner().invoke(platform_check, [carrier.url, "--code-file", str(tmp_path / "code")])
    enrolment.close()
    assert (status, numbers(verdicts, "fail")) == (1, failing)
    assert "was not enrolled: 403" in str(done.exception), "its code was good once"


@pytest.mark.usefixtures("hurried")
def test_a_platform_whose_code_enrols_any_key_until_it_is_used_fails_by_its_number(
    carrier: Carrier, books: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def refuse(row: Any, _box_id: str, known: Any, _public_key: str, _now_ns: int) -> None:
        if row is None or (known is not None and known.borne):
            raise CodeRefused("too late")

    monkeypatch.setattr("instrument_agent.receiver.enrolment._check", refuse)
    enrolment = Enrolment(f"sqlite:///{tmp_path / 'platform.db'}")
    carrier.app = create_app(books, time.time_ns, enrolment=enrolment)
    (tmp_path / "code").write_text(enrolment.new_code(None, time.time_ns(), 1))
    status, verdicts = check(carrier.url, "--code-file", str(tmp_path / "code"))
    enrolment.close()
    assert (status, numbers(verdicts, "fail")) == (1, {"M23"})
    assert "enrolled another key as well [200 {'credential': '***'" in verdicts["M23"]["found"]


@pytest.mark.skipif(shutil.which("openssl") is None, reason="makes its certificate with openssl")
@pytest.mark.usefixtures("hurried")
def test_a_certificate_that_boxes_would_not_take_ends_it_and_one_they_take_passes(books: Ledger, tmp_path: Path):
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    make = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=platform"
    made = [*make.split(), "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(made, check=True, capture_output=True)
    with PlatformServer(create_app(books, time.time_ns), certfile=certificate, keyfile=key) as server:
        done = CliRunner().invoke(platform_check, [server.url])
        status, verdicts = check(server.url, "--ca-file", str(certificate))
    assert "certificate verify failed" in str(done.exception)
    assert getattr(done.exception, "hint", "").startswith("M18: ")
    assert (status, verdicts["M18"]["result"]) == (0, "pass")
    assert "another address" in verdicts["M18"]["found"]


def test_plain_http_to_another_machine_is_wrong():
    with pytest.raises(attempts.Wrong, match="https"):
        attempts.encrypted(Trial("http://192.0.2.1", "c-1", None))


@pytest.mark.usefixtures("hurried")
def test_a_clock_that_is_wrong_fails_by_its_number(carrier: Carrier, books: Ledger):
    carrier.app = create_app(books, lambda: time.time_ns() - 8 * 3600 * 10**9)
    status, verdicts = check(carrier.url)
    assert (status, numbers(verdicts, "fail")) == (1, {"M11"})
    assert "28800 s away" in verdicts["M11"]["found"]


@pytest.mark.usefixtures("hurried")
def test_people_read_what_is_wrong_and_what_to_do(carrier: Carrier, books: Ledger):
    after = wrong.all_of(
        wrong.knows_no_new_types,
        wrong.refuses_what_does_not_link,
        wrong.leaves_out_what_was_rejected,
        wrong.fails_on_large_batches,
        wrong.refuses_gzip,
    )
    carrier.app = Twisted(create_app(books, time.time_ns), wrong.listens_to_any_box, after)
    done = CliRunner().invoke(platform_check, [carrier.url])
    assert done.exit_code == 1
    lines = done.stdout.splitlines()
    failed = {line.split()[0] for line in lines if " FAIL " in line}
    assert failed == {"M7", "M9", "M10", "M13", "M16", "M17"}
    at = lines.index("M9   FAIL  Bodies in gzip are taken.")
    assert lines[at + 1].strip() == "a body in gzip was not taken [415 {'error': 'no gzip'}]"
    assert lines[at + 2].strip() == "What to do: undo Content-Encoding: gzip"
    assert "M14  not tried  Nobody speaks for a box without its credential." in lines
    assert lines[-1] == "10 passed, 6 failed, 10 not tried"


@pytest.mark.parametrize("option", ["--token-file", "--code-file"])
def test_no_secret_goes_over_plain_http_to_another_machine(option: str, tmp_path: Path):
    (tmp_path / "secret").write_text("s3cret")
    done: Result = CliRunner().invoke(platform_check, ["http://192.0.2.1", option, str(tmp_path / "secret")])
    assert "could read the credential" in str(done.exception)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["ftp://x"], "not the address of a platform"),
        (["http://127.0.0.1:1"], "Connection refused"),
        (["http://127.0.0.1:1", "--token-file", "missing"], "missing cannot be read"),
        (["http://127.0.0.1:1", "--ca-file", "missing"], "missing cannot be read"),
    ],
)
def test_what_cannot_be_begun_is_said(arguments: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    done: Result = CliRunner().invoke(platform_check, arguments)
    assert said in str(done.exception)
    assert getattr(done.exception, "hint", "")


def test_a_platform_that_does_not_let_the_box_in_is_not_judged(carrier: Carrier, books: Ledger):
    carrier.app = create_app(books, time.time_ns, token="s3cret")
    done: Result = CliRunner().invoke(platform_check, [carrier.url])
    assert "does not let this box in: 401" in str(done.exception)
    assert "--code-file" in getattr(done.exception, "hint", "")
