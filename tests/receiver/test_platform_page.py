"""The page for people: what it shows, to whom, in which language, and that nothing foreign runs in it."""

import re
import sqlite3
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import requests
from told_facts import BOOT_NOW_MS, NOW_NS, H, power, run, tell
from wire_box import Box

from instrument_agent.receiver import Ledger, create_app
from instrument_agent.receiver.enrolment import Enrolment
from instrument_agent.receiver.page import Page
from instrument_agent.receiver.tongue import speaking_to

CHINESE = {"Accept-Language": "zh-CN,zh;q=0.9,en;q=0.8"}


def get(box: Box, path: str = "/", **headers: str) -> requests.Response:
    return requests.get(f"{box.url}{path}", headers=headers, timeout=30)


def test_a_platform_nobody_has_spoken_to_says_so(shown: Box) -> None:
    reply = get(shown)
    assert (reply.status_code, "No box has been heard of yet" in reply.text) == (200, True)


def test_a_box_is_shown_with_its_life_coverage_and_instruments(shown: Box) -> None:
    day = {"day": "2026-11-21", "zone": "Asia/Shanghai", "length_ms": 24 * H, "off_ms": 20 * H, "standby_ms": 2 * H}
    rest = {"running_ms": H, "unknown_ms": H, "powered_ms": 3 * H, "clock_residual_ms": 0}
    identity = {"name_zh": "马弗炉", "name_en": "muffle furnace"}
    tell(shown, ("lifecycle_event", {"event": "configured", "identity": identity}), ("daily_summary", {**day, **rest}))
    shown.beat(boottime_ms=BOOT_NOW_MS, instruments=[{"instrument_id": "炉-1", "activity": "running", "since_ms": H}])
    text = get(shown).text
    for said in (
        "box-1",
        "online, last heartbeat 0:00:00 ago",
        "waiting on the box: 3",
        "coverage 95.8 %",
        "muffle furnace",
    ):
        assert said in text
    assert "马弗炉" in get(shown, **CHINESE).text


def test_a_name_in_the_other_language_is_better_than_none(shown: Box) -> None:
    tell(shown, ("lifecycle_event", {"event": "configured", "identity": {"name_zh": "马弗炉"}}))
    assert "马弗炉" in get(shown).text


def test_a_box_that_is_silent_is_offline_and_its_instruments_unknown(shown: Box, ledger: Ledger) -> None:
    live = [{"instrument_id": "炉-1", "activity": "running", "since_ms": H}]
    ledger.heartbeat("box-1", shown.pulse(instruments=live), NOW_NS - 301 * 10**9)
    text = get(shown).text
    assert "offline, last heartbeat 0:05:01 ago" in text
    assert "aria-label='炉-1: unknown'" in text


def test_who_is_offline_stands_first_whatever_page_it_is_on_the_latest_lost_before_all(
    shown: Box, ledger: Ledger
) -> None:
    assert "offline" not in get(shown).text
    for number in range(60):
        silent_s = {58: 400, 59: 301}.get(number, 0)
        ledger.heartbeat(f"box-{number}", shown.pulse(box_id=f"box-{number}"), NOW_NS - silent_s * 10**9)
    text = get(shown).text
    assert "boxes that are offline: 2</span> <a href='/boxes/box-59?hours=24'>box-59</a> <a href='/boxes/box-58" in text
    enrolment = Enrolment(str(ledger.engine.url))
    enrolment.enrol("box-59", enrolment.new_code(None, NOW_NS, 1), "A" * 43 + "=", NOW_NS)
    enrolment.revoke_box("box-59")
    enrolment.close()
    assert "boxes that are offline: 1</span> <a href='/boxes/box-58" in get(shown).text, "the other was sent away"


def test_oddities_and_doubled_hours_are_shown(shown: Box) -> None:
    tell(shown, run(10, 12), run(11, 12))
    shown.send([shown.chain(9)[8]])
    text = get(shown, "/boxes/box-1").text
    assert "a record is missing" in text
    assert re.search(r"box-1 / 炉-1</td><td class=n>0:00</td><td class=n>2:00</td><td class=n>1:00</td>", text)
    assert "what does not fit: 1" in get(shown).text


@pytest.mark.parametrize(
    ("header", "code"),
    [
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh-CN"),
        ("zh", "zh-CN"),
        ("en-GB,en;q=0.9,zh;q=0.8", "en"),
        ("de", "en"),
        ("", "en"),
        ("en;q=x,zh;q=0.1", "zh-CN"),
        ("zh;q=0", "en"),
    ],
)
def test_the_reader_chooses_the_language(shown: Box, header: str, code: str) -> None:
    reply = get(shown, **{"Accept-Language": header})
    assert reply.headers["Content-Language"] == speaking_to(header).code == code
    assert f"<html lang='{code}'>" in reply.text
    assert ("运行" in reply.text) == (code == "zh-CN")


class Seen(HTMLParser):
    """What a browser would load or run."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.addresses += [value or "" for name, value in attrs if name in {"src", "href", "action", "data"}]
        assert not [name for name, _value in attrs if name.startswith("on")]


@pytest.mark.parametrize("path", ["/", "/boxes/box-1"])
def test_nothing_a_box_says_becomes_part_of_the_page(shown: Box, path: str) -> None:
    evil = "</title><script>alert(1)</script>'\"&<img src=x onerror=alert(1)>"
    tell(shown, run(10, 12), ("lifecycle_event", {"event": "x", "identity": {"name_en": evil}}), instrument_id=evil)
    live = [{"instrument_id": evil, "activity": "off", "since_ms": 1}]
    shown.beat(boottime_ms=BOOT_NOW_MS, instruments=live, queue={"waiting": evil})
    reply = get(shown, path)
    seen = Seen()
    seen.feed(reply.text)
    assert not {"script", "img", "link", "iframe", "object"} & seen.tags
    assert all(address.startswith(("/", "?")) for address in seen.addresses)
    assert "default-src 'none'" in reply.headers["Content-Security-Policy"]
    assert "@import" not in reply.text


def test_every_timeline_is_well_formed_svg_with_hatched_unknown(shown: Box) -> None:
    tell(shown, run(10, 12), power(9, 14))
    [line] = re.findall(r"<svg class='line'.*?</svg>", get(shown).text)
    picture = ET.fromstring(line)
    fills = {rect.get("fill") for rect in picture.iter("rect")}
    assert fills == {"url(#hatched)", "#0072B2", "#E69F00"}
    assert len({rect.get("height") for rect in picture.iter("rect")}) == 2, "heights tell apart what colours do"


@pytest.mark.parametrize("query", ["?hours=168", "?hours=5", "?hours=x", "?page=99999999999999999999", "?page=-1"])
def test_odd_addresses_show_something(shown: Box, query: str) -> None:
    tell(shown, run(10, 12))
    for path in ("/", "/boxes/box-1"):
        assert get(shown, path + query).status_code == 200


@pytest.mark.parametrize("name", ["nobody", "%00", "%3Cscript%3E"])
def test_a_box_nobody_heard_of_is_not_found(shown: Box, name: str) -> None:
    reply = get(shown, f"/boxes/{name}")
    assert (reply.status_code, "There is no such box" in reply.text) == (404, True)


def test_a_database_that_fails_is_said_and_tried_again(shown: Box, tmp_path: Path) -> None:
    tell(shown, run(10, 12))
    with sqlite3.connect(tmp_path / "platform.db") as other:
        other.execute("ALTER TABLE records RENAME TO lost")
    other.close()
    reply = get(shown)
    assert reply.status_code == 503
    assert "The database does not answer now" in reply.text
    assert "http-equiv='refresh'" in reply.text


def test_through_a_proxy_nothing_is_shown_without_a_password(shown: Box) -> None:
    for header in ("X-Forwarded-For", "Forwarded"):
        assert get(shown, **{header: "10.0.0.1"}).status_code == 403


def test_with_a_password_only_who_knows_it_looks(ledger: Ledger, stage: tuple[Any, str]) -> None:
    platform, url = stage
    platform.app = create_app(ledger, lambda: NOW_NS, page=Page(ledger, lambda: NOW_NS, "密码 x"))
    assert requests.get(url, timeout=30, auth=(b"any", "密码 x".encode())).status_code == 200
    refused = [
        requests.get(url, timeout=30),
        requests.get(url, timeout=30, auth=("any", "wrong")),
        requests.get(url, timeout=30, headers={"Authorization": "Basic !!!"}),
        requests.get(url, timeout=30, headers={"Authorization": "Bearer x"}),
        requests.get(f"{url}/boxes/box-1", timeout=30),
    ]
    assert {reply.status_code for reply in refused} == {401}
    assert refused[0].headers["WWW-Authenticate"].startswith("Basic ")
