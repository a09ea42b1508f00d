"""A file on a card is taken up on trial: it proves itself, or the box goes back to what it had."""

import os
import stat
import time
from pathlib import Path

import pytest
from brought import DESTINATION, Brought

from instrument_agent.config import load_config
from instrument_agent.provision.verdict import Outcome
from instrument_agent.receiver import Ledger, PlatformServer, create_app
from instrument_agent.receiver.enrolment import Enrolment


def test_a_good_file_is_in_force_and_its_verdict_shows_the_reading_in_both_languages(box: Brought) -> None:
    box.bring(box.text())
    facts = box.provision()
    assert facts.outcome is Outcome.APPLIED
    assert box.home.config.read_text(encoding="utf-8") == box.text()
    chinese, english = box.verdict().split("-" * 60)
    assert "oven 炉子：power_w = 612.34 W" in chinese
    assert "oven 炉子: power_w = 612.34 W" in english
    assert "GOOD. The box works with this file." in english
    assert "Box: box-1" in english
    assert (box.agent.starts, box.home.trial()) == (1, None)


def test_an_instrument_that_is_not_read_takes_the_box_back_to_the_config_before(box: Brought) -> None:
    box.runs_with(box.text("chiller"))
    box.agent.unread = {"oven"}
    box.bring(box.text("oven"))
    facts = box.provision()
    assert facts.outcome is Outcome.ROLLED_BACK
    assert box.home.config.read_text(encoding="utf-8") == box.text("chiller")
    assert "oven 炉子: NOT READ. no proper answer" in box.verdict()
    assert "chiller 炉子: power_w = 612.34 W" in box.verdict()
    assert box.agent.starts == 3  # by hand, on trial, and back again


def test_without_a_config_to_go_back_to_the_new_one_stays_and_what_is_missing_is_told(box: Brought) -> None:
    box.agent.unread = {"oven"}
    box.bring(box.text("oven"))
    assert box.provision().outcome is Outcome.INCOMPLETE
    assert load_config(box.home.config).instruments[0].id == "oven"
    assert "NOT COMPLETE" in box.verdict()
    box.agent.unread = set()
    box.agent.start()
    facts = box.provision()  # once the cable is in, the same file is found good
    assert (facts.outcome, facts.before) == (Outcome.APPLIED, True)


def test_a_config_that_never_proved_itself_is_none_to_go_back_to(box: Brought) -> None:
    box.agent.unread = {"oven", "other"}
    box.bring(box.text("oven"))
    box.provision()
    box.bring(box.text("other"))
    assert box.provision().outcome is Outcome.INCOMPLETE
    assert load_config(box.home.config).instruments[0].id == "other"


def test_an_instrument_that_could_not_be_read_before_either_does_not_hold_up_a_new_file(box: Brought) -> None:
    box.agent.unread = {"oven"}
    box.runs_with(box.text("oven"))
    box.bring(box.text("oven", run_above=700))
    assert box.provision().outcome is Outcome.INCOMPLETE
    assert load_config(box.home.config).instruments[0].activity.run_above == 700


def test_nor_does_it_after_a_power_cut_in_the_trial(box: Brought) -> None:
    box.agent.unread = {"oven"}
    box.runs_with(box.text("oven"))
    box.bring(box.text("oven", run_above=700))
    assert "in force" in box.task().steps()  # and no step after it
    assert box.provision().outcome is Outcome.INCOMPLETE
    assert load_config(box.home.config).instruments[0].activity.run_above == 700


def test_a_file_with_mistakes_changes_nothing_and_each_mistake_is_told_with_its_line(box: Brought) -> None:
    box.runs_with(box.text("chiller"))
    box.bring(box.text("oven").replace("off_below = 5", "off_below = -5\nrun_abov = 3"), {"t": "s3cret"})
    facts = box.provision()
    assert facts.outcome is Outcome.REFUSED
    assert "instrument-agent.toml:13: instrument[1].activity.off_below" in box.verdict()
    assert "instrument-agent.toml:14: instrument[1].activity.run_abov" in box.verdict()
    assert box.home.config.read_text(encoding="utf-8") == box.text("chiller")
    assert (box.agent.starts, list(box.home.store.glob("*"))) == (1, [])
    assert {path.name for path in box.home.config.parent.iterdir()} == {"config.toml", "provisioned"}


def test_the_same_file_a_second_time_only_refreshes_the_verdict(box: Brought) -> None:
    box.bring(box.text())
    box.provision()
    box.home.config.write_text(box.text(run_above=900), encoding="utf-8")  # by hand, meanwhile
    box.agent.start()
    facts = box.provision()
    assert facts.before
    assert "This file was handled before" in box.verdict()
    assert load_config(box.home.config).instruments[0].activity.run_above == 900
    box.bring(box.text(run_above=800))
    assert not box.provision().before
    assert load_config(box.home.config).instruments[0].activity.run_above == 800


def test_a_file_that_was_rolled_back_is_tried_again_only_when_it_is_asked_for(box: Brought) -> None:
    box.runs_with(box.text("chiller"))
    box.agent.unread = {"oven"}
    box.bring(box.text("oven"))
    box.provision()
    box.agent.unread = set()
    facts = box.provision()
    assert (facts.outcome, facts.before) == (Outcome.ROLLED_BACK, True)
    assert "no proper answer" in box.verdict()
    assert box.provision(again=True).outcome is Outcome.APPLIED


def test_secrets_move_into_the_box_and_are_found_there_by_the_next_file(box: Brought) -> None:
    more = 'credential_file = "keys/platform.token"\nca_file = "ca.pem"\noffline_ok = true'
    text = box.text(url="http://127.0.0.1:1", more=more)
    box.bring(text, {"keys/platform.token": "s3cret", "ca.pem": "an authority"})
    facts = box.provision()
    assert facts.removed == ["keys/platform.token"]
    assert box.on_card() == {"instrument-agent.toml", "ca.pem", "instrument-agent-verdict.txt"}
    assert "Deleted, not erased" in box.verdict()
    assert "s3cret" not in box.verdict()
    token = load_config(box.home.config).destinations[0].credential_file
    assert token == box.home.folder(1) / "keys" / "platform.token"
    assert token.read_text() == "s3cret"
    assert stat.S_IMODE(token.stat().st_mode) == 0o600

    box.bring(text.replace("run_above = 500", "run_above = 800"))
    box.provision()
    token = load_config(box.home.config).destinations[0].credential_file
    assert token == box.home.folder(2) / "keys" / "platform.token"
    assert token.read_text() == "s3cret"


def test_going_back_goes_back_to_the_secrets_of_that_config_too(box: Brought) -> None:
    text = box.text("chiller", url="http://127.0.0.1:1", more='credential_file = "token"\noffline_ok = true')
    box.bring(text, {"token": "old"})
    box.provision()
    box.agent.unread = {"oven"}
    box.bring(text.replace("chiller", "oven"), {"token": "new"})
    assert box.provision().outcome is Outcome.ROLLED_BACK
    token = load_config(box.home.config).destinations[0].credential_file
    assert token is not None
    assert token.read_text() == "old"
    assert not (box.card.folder / "token").exists()
    box.agent.unread = set()
    box.bring(text.replace("chiller", "other"))
    assert box.provision().outcome is Outcome.APPLIED
    token = load_config(box.home.config).destinations[0].credential_file
    assert token is not None
    assert token.read_text() == "new"


def test_a_platform_that_does_not_answer_takes_the_box_back_unless_it_may_be_offline(box: Brought) -> None:
    box.runs_with(box.text("chiller"))
    box.bring(box.text("oven", url="http://127.0.0.1:1"))
    assert box.provision().outcome is Outcome.ROLLED_BACK
    assert "province: NO ANSWER. no answer from the platform: connection refused" in box.verdict()
    box.bring(box.text("oven", url="http://127.0.0.1:1", more="offline_ok = true"))
    assert box.provision().outcome is Outcome.APPLIED
    assert "no answer, which offline_ok allows" in box.verdict()


@pytest.mark.parametrize("kind", ["link", "pipe", "link to a folder", "elsewhere"])
def test_what_is_no_ordinary_file_on_the_card_is_refused(box: Brought, tmp_path: Path, kind: str) -> None:
    box.runs_with(box.text("chiller"))
    secret = tmp_path / "shadow"
    secret.write_text("root's")
    name = {"link to a folder": "inner/shadow", "elsewhere": "../shadow"}.get(kind, "token")
    box.bring(box.text(url="http://127.0.0.1:1", more=f'credential_file = "{name}"'))
    if kind == "link":
        (box.card.folder / "token").symlink_to(secret)
    elif kind == "pipe":
        os.mkfifo(box.card.folder / "token")
    elif kind == "link to a folder":
        (box.card.folder / "inner").symlink_to(tmp_path)
    facts = box.provision()
    assert facts.outcome is Outcome.REFUSED
    assert name in facts.mistakes["en"][0]
    assert load_config(box.home.config).instruments[0].id == "chiller"
    assert not any("root's" in path.read_text() for path in box.home.config.parent.rglob("*") if path.is_file())


def test_a_code_that_the_platform_does_not_know_takes_the_box_back_and_is_not_tried_again(
    box: Brought, tmp_path: Path
) -> None:
    database = f"sqlite:///{tmp_path / 'platform.db'}"
    enrolment = Enrolment(database)
    box.runs_with(box.text("chiller"))
    with Ledger(database) as ledger, PlatformServer(create_app(ledger, time.time_ns, enrolment=enrolment)) as server:
        box.bring(box.text("oven", url=server.url), {"enrol-code.txt": "0000-0000"})
        facts = box.provision(patience_s=20)  # a code that is refused is not shown again until then
        assert facts.outcome is Outcome.ROLLED_BACK
        assert "ask for a new code" in facts.missing["en"][0]
        assert "0000-0000" not in box.verdict()
        assert (box.on_card() & {"enrol-code.txt"}, facts.code_waits) == (set(), False)
        box.bring(box.text("oven", url=server.url), {"enrol-code.txt": enrolment.new_code("box-1", time.time_ns(), 1)})
        assert box.provision(patience_s=20).outcome is Outcome.APPLIED
        assert box.provision().before
    enrolment.close()


def test_a_code_waits_for_a_platform_that_may_be_offline_and_is_used_at_a_later_start(
    box: Brought, tmp_path: Path
) -> None:
    database = f"sqlite:///{tmp_path / 'platform.db'}"
    enrolment = Enrolment(database)
    with Ledger(database) as ledger, PlatformServer(create_app(ledger, time.time_ns, enrolment=enrolment)) as server:
        text, port = box.text(url=server.url, more="offline_ok = true"), int(server.url.rpartition(":")[2])
    box.bring(text, {"enrol-code.txt": enrolment.new_code("box-1", time.time_ns(), 1)})
    assert box.provision().code_waits
    assert "the code from enrol-code.txt is kept" in box.verdict()
    app = create_app(Ledger(database), time.time_ns, enrolment=enrolment)
    with PlatformServer(app, port=port):
        assert box.provision().now.platforms[0].enrolled
        assert not box.home.code(1).exists()
    enrolment.close()


@pytest.mark.parametrize(
    ("code", "more", "said"),
    [("two\nlines", "", "there is no code in it"), ("A-1", 'credential_file = "t"', "not clear which platform")],
)
def test_a_code_that_is_none_or_is_for_nobody_is_refused(box: Brought, code: str, more: str, said: str) -> None:
    second = more and DESTINATION.format(url="https://b.example.org", more=more).replace("province", "city")
    text = box.text(url="https://a.example.org", more=more).replace("[[instrument]]", f"{second}[[instrument]]")
    box.bring(text, {"enrol-code.txt": code})
    facts = box.provision()
    assert facts.outcome is Outcome.REFUSED
    assert said in facts.mistakes["en"][0]
    assert "enrol-code.txt" in box.on_card()


def test_a_box_without_a_card_has_nothing_to_do(box: Brought) -> None:
    task = box.task()
    assert list(task.steps()) == ["cleared"]
    assert task.facts is None
