"""Each judgement of the machine by its facts: its time, room, card, power, service and database."""

import pytest
from judged import FAIL, HOUR_NS, NA, OK, UTC_NS, WARN, judged

from instrument_agent.core.anchors import DAY_NS, Utc
from instrument_agent.core.readings import NS_PER_S
from instrument_agent.doctor.clocks import TimeFacts, judge_time, judge_wall_clock, judge_zone
from instrument_agent.doctor.database import DatabaseFacts, judge_database
from instrument_agent.doctor.power import judge_power
from instrument_agent.doctor.service import judge_unit
from instrument_agent.doctor.storage import (
    CardFacts,
    RoomFacts,
    days_left,
    judge_filesystem,
    judge_room,
    judge_wear,
)
from instrument_agent.doctor.verdict import Grade

GIGABYTE = 10**9


def at(boottime_h: float, error_s: float | None, age_h: float | None, wall_s: float = 0.0) -> TimeFacts:
    utc = None if error_s is None else Utc(UTC_NS, round(error_s * NS_PER_S))
    age_ns = None if age_h is None else round(age_h * HOUR_NS)
    return TimeFacts(round(boottime_h * HOUR_NS), utc, "ntp", age_ns, UTC_NS + round(wall_s * NS_PER_S))


@pytest.mark.parametrize(
    ("facts", "grade", "said"),
    [
        (at(48, 1, 5), OK, "known to ± 1.0 s, from ntp, 5.0 h ago"),
        (at(48, 1, None), OK, "known to ± 1.0 s, from ntp"),
        (at(48, 20, 25), WARN, "25.0 h ago"),
        (at(48, 61, 5), WARN, "± 61.0 s"),
        (at(0.1, None, None), WARN, "not known"),
        (at(0.3, None, None), FAIL, "not known"),
    ],
)
def test_time_is_well_while_somebody_tells_it(facts: TimeFacts, grade: Grade, said: str) -> None:
    judged(judge_time(facts), grade, said)


@pytest.mark.parametrize(
    ("facts", "grade", "said"),
    [
        (at(1, 1, 1, 60.5), OK, "+60.5 s"),
        (at(1, 1, 1, -62), WARN, "-62.0 s"),
        (at(1, 1, 1, -86400), WARN, "-86400.0 s"),
        (at(1, 30, 1, 80), OK, "+80.0 s"),
        (at(1, None, None, 5), NA, "nothing to compare"),
    ],
)
def test_a_wall_clock_that_is_off_by_more_than_is_known_is_doubtful(facts: TimeFacts, grade: Grade, said: str) -> None:
    judged(judge_wall_clock(facts), grade, said)


@pytest.mark.parametrize(
    ("system", "grade"), [("Asia/Shanghai", OK), ("PRC", OK), ("Europe/London", WARN), ("Etc/UTC", WARN), ("", NA)]
)
def test_days_and_system_log_should_be_of_the_same_zone(system: str, grade: Grade) -> None:
    judged(judge_zone("Asia/Shanghai", system, UTC_NS), grade, "Asia/Shanghai")


@pytest.mark.parametrize(
    ("facts", "grade", "said"),
    [
        (RoomFacts(12_000_000, 1_000_000, 400 * DAY_NS), FAIL, "12 MB free"),
        (RoomFacts(20 * GIGABYTE, 1_000_000, None), OK, "after a day"),
        (RoomFacts(20 * GIGABYTE, 1_000_000, DAY_NS // 2), OK, "after a day"),
        (RoomFacts(20 * GIGABYTE, 50_000_000, 10 * DAY_NS), OK, "4000 days"),
        (RoomFacts(GIGABYTE, GIGABYTE, 60 * DAY_NS), WARN, "60 days"),
        (RoomFacts(GIGABYTE, GIGABYTE, 13 * DAY_NS), FAIL, "13 days"),
        (RoomFacts(20 * GIGABYTE, 0, 10 * DAY_NS), OK, "after a day"),
    ],
)
def test_room_is_counted_in_days_at_the_rate_so_far(facts: RoomFacts, grade: Grade, said: str) -> None:
    judged(judge_room(facts), grade, said)


def test_days_left_are_free_space_by_growth_a_day() -> None:
    assert days_left(RoomFacts(5_000_000, 1_000_000, 2 * DAY_NS)) == 10
    assert days_left(RoomFacts(5_000_000, 1_000_000, DAY_NS - 1)) is None


@pytest.mark.parametrize(
    ("facts", "grade", "said"),
    [
        (CardFacts("mmcblk0p2", ("rw",), errors=0), OK, "counted no error"),
        (CardFacts("sda1", ("rw",)), OK, "can be written"),
        (CardFacts("mmcblk0p2", ("rw",), errors=3), FAIL, "3 errors"),
        (CardFacts("mmcblk0p2", ("relatime", "ro"), errors=0), FAIL, "read-only"),
        # After ext4 has given up, the mount table still says rw.
        (CardFacts("mmcblk0p2", ("rw",), "Read-only file system", 0), FAIL, "Read-only file system"),
    ],
)
def test_a_card_that_takes_nothing_or_has_erred_fails(facts: CardFacts, grade: Grade, said: str) -> None:
    judged(judge_filesystem(facts), grade, said)


@pytest.mark.parametrize(
    ("life_time", "pre_eol", "grade", "said"),
    [
        ((), None, NA, "does not tell"),
        ((0, 0), 0, NA, "does not tell"),
        ((1, 1), 1, OK, "up to 10 %"),
        ((8, 1), 1, OK, "up to 80 %"),
        ((1, 9), 1, WARN, "up to 90 %"),
        ((1, 1), 2, WARN, "up to 10 %"),
        ((11, 1), 1, FAIL, "all of its life"),
        ((1, 1), 3, FAIL, "up to 10 %"),
        ((), 1, OK, "reserve"),
    ],
)
def test_wear_is_judged_by_the_registers_of_the_card(
    life_time: tuple[int, ...], pre_eol: int | None, grade: Grade, said: str
) -> None:
    judged(judge_wear(CardFacts("mmcblk0", life_time=life_time, pre_eol=pre_eol)), grade, said)


@pytest.mark.parametrize(
    ("bits", "grade", "said"),
    [
        (None, NA, "does not tell"),
        (0, OK, "no low voltage"),
        (0x50005, FAIL, "too low now"),
        (0x50000, WARN, "has been too low"),
        (0x80008, WARN, "slowed down now"),
        (0xE0000, WARN, "was slowed down"),
    ],
)
def test_power_and_heat_are_judged_by_the_bits_of_the_board(bits: int | None, grade: Grade, said: str) -> None:
    judged(judge_power(bits), grade, said)


RUNS = {
    "LoadState": "loaded",
    "ActiveState": "active",
    "SubState": "running",
    "UnitFileState": "enabled",
    "NRestarts": "0",
    "ExecMainStatus": "0",
}


@pytest.mark.parametrize(
    ("changes", "grades", "said"),
    [
        ({}, [OK], "active (running)"),
        ({"ActiveState": "failed", "SubState": "failed", "ExecMainStatus": "78"}, [FAIL], "status 78"),
        ({"ActiveState": "inactive", "SubState": "dead"}, [FAIL], "inactive"),
        ({"UnitFileState": "disabled"}, [OK, WARN], "active"),
        ({"NRestarts": "3"}, [OK, WARN], "active"),
        ({"LoadState": "not-found"}, [NA], "no service"),
    ],
)
def test_the_service_runs_is_enabled_and_stays_up(changes: dict[str, str], grades: list[Grade], said: str) -> None:
    verdicts = judge_unit(RUNS | changes, answers=False)
    assert [item.grade for item in verdicts] == grades
    judged(verdicts[0], grades[0], said)
    assert all(item.advice for item in verdicts if item.grade in (WARN, FAIL))


def test_a_service_that_ended_for_a_mistake_in_the_config_is_told_so() -> None:
    (verdict,) = judge_unit(RUNS | {"ActiveState": "failed", "ExecMainStatus": "78"}, answers=False)
    assert "instrument-agent check" in verdict.advice


def test_without_systemd_the_unit_is_not_judged() -> None:
    assert [item.finding for item in judge_unit({}, answers=True)] == ["an agent runs, but not as a service"]


@pytest.mark.parametrize(
    ("facts", "grade", "said"),
    [
        (DatabaseFacts(7, head_there=True), OK, "the last of 7 records"),
        (DatabaseFacts(7, head_there=True, differences=0), OK, "all 7 records"),
        (DatabaseFacts(7, head_there=False), WARN, "no head file"),
        (DatabaseFacts(7, head_there=True, lost="the log ends too early"), FAIL, "too early"),
        (DatabaseFacts(7, head_there=True, differences=2, first="a sum"), FAIL, "2 differences, first: a sum"),
    ],
)
def test_a_database_is_what_was_written(facts: DatabaseFacts, grade: Grade, said: str) -> None:
    judged(judge_database(facts)[0], grade, said)


def test_databases_that_were_set_aside_are_named() -> None:
    verdicts = judge_database(DatabaseFacts(7, head_there=True, set_aside=("buffer.db.damaged-1",)))
    judged(verdicts[1], WARN, "buffer.db.damaged-1")
