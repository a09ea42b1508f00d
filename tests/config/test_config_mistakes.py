"""Each mistake is told with its line, its key and what is wrong with it."""

import sys
from pathlib import Path

import pytest
from written import loaded, mistakes_in

from instrument_agent.config import InvalidConfig, Mistake, load_config

GOOD = """\
[box]
id = "box-1"

[[destination]]
name = "province"
url = "https://platform.example"

[[instrument]]
id = "xrd-1"
driver = { name = "modbus", port = "/dev/ttyUSB0" }
activity = { off_below = 20, run_above = 800 }

[[instrument]]
id = "sem-1"
poll_s = 1

[instrument.driver]
name = "modbus"
port = "/dev/ttyUSB0"
unit_id = 2
baud = 2400

[instrument.activity]
off_below = 20
run_above = 800
"""

TWICE = '[[destination]]\nname = "twice"\nurl = "https://x.example"\n'

# what is replaced in GOOD, by what, then the one mistake: line, key, a part of the problem, a part of the hint
ONE_MISTAKE = [
    ('id = "box-1"', "", 1, "box.id", "required", ""),
    ('id = "box-1"', 'id = "盒子"', 2, "box.id", "1 to 64 letters", "begins with a letter"),
    ('id = "box-1"', f'id = "{"x" * 65}"', 2, "box.id", "1 to 64 letters", ""),
    ('id = "box-1"', 'id = "-x"', 2, "box.id", "1 to 64 letters", ""),
    ('id = "box-1"', "id = 7", 2, "box.id", "must be text in quotes, not 7", ""),
    ('id = "box-1"', "id = 2026-01-01", 2, "box.id", "not a date or time", ""),
    ('[box]\nid = "box-1"', "", None, "box", "missing", "[box]"),
    ('[box]\nid = "box-1"', "box = 1", 1, "box", "must be a table", "[box]"),
    ('[box]\nid = "box-1"', '[[box]]\nid = "box-1"', 1, "box", "must be a table", "[box]"),
    ("[box]", "[boxes]\n[box]", 1, "boxes", "no such key", "did you mean box?"),
    ("[box]", "poll_s = 2\n[box]", 1, "poll_s", "no such key", "valid keys: box, destination, instrument"),
    ("[box]", '[box]\nstate_dir = ""', 2, "box.state_dir", "must not be empty", "leave the key out"),
    ("[box]", '[box]\nstate_dir = "a\\u0000b"', 2, "box.state_dir", "control characters", ""),
    ("[box]", '[box]\ntimezone = "Asia/Shangai"', 2, "box.timezone", "no time zone", "Asia/Shanghai"),
    ("[box]", '[box]\ntimezone = "Asia"', 2, "box.timezone", "no time zone", ""),
    ("[box]", '[box]\ntimezone = "../../etc/passwd"', 2, "box.timezone", "no time zone", "for example"),
    ("[box]", "[box]\ncheckpoint_s = 0.5", 2, "box.checkpoint_s", "between 1 and 3600, not 0.5", ""),
    ("[box]", "[box]\ncheckpoint_s = nan", 2, "box.checkpoint_s", "finite", ""),
    ("[box]", f"[box]\ncheckpoint_s = {'9' * 400}", 2, "box.checkpoint_s", "finite", ""),
    ("[box]", '[box]\ncheckpoint_s = "60"', 2, "box.checkpoint_s", "a number, not text", "without quotes"),
    ("[box]", "[box]\ncheckpoint_s = [60]", 2, "box.checkpoint_s", "a number, not a list", ""),
    ("[box]", '[box]\nlog_level = "warn"', 2, "box.log_level", "must be one of", "did you mean warning?"),
    ('name = "province"', "", 4, "destination[1].name", "required", ""),
    ('url = "https://platform.example"', 'adress = "x"\nurl = "https://p.example"', 6, "destination[1].adress",
     "no such key", "valid keys: name, url, credential_file"),
    ("https://platform", "http://platform", 6, "destination[1].url", "plain http", "https"),
    ("https://platform", "http://127.0.0.1.platform", 6, "destination[1].url", "plain http", "https"),
    ("https://platform.example", "http://192.168.1.5", 6, "destination[1].url", "plain http", "https"),
    ("https://platform", "ftp://platform", 6, "destination[1].url", "must be a URL", ""),
    ("https://platform.example", "https://", 6, "destination[1].url", "must be a URL", ""),
    ("https://platform.example", "https://platform.example:0", 6, "destination[1].url", "must be a URL", ""),
    ("https://platform.example", "https://[::1", 6, "destination[1].url", "not a valid URL", ""),
    ("https://platform.example", "https://p.example:99999", 6, "destination[1].url", "not a valid URL", ""),
    ("https://platform", "https://me:pw@platform", 6, "destination[1].url", "password", "credential_file"),
    ("platform.example", "platform.example/?a", 6, "destination[1].url", "no ? and no #", ""),
    ('url = "https', 'batch_records = 0.5\nurl = "https', 6, "destination[1].batch_records",
     "a whole number, not 0.5", ""),
    ('url = "https', 'batch_records = true\nurl = "https', 6, "destination[1].batch_records",
     "a whole number, not true", ""),
    ('url = "https', 'batch_records = 5001\nurl = "https', 6, "destination[1].batch_records", "between 1 and 5000", ""),
    ('url = "https', 'heartbeat_s = 14\nurl = "https', 6, "destination[1].heartbeat_s", "between 15 and 3600", ""),
    ("[[destination]]", "[destination]", 4, "destination", "list of tables", "[[destination]] with two brackets"),
    ("[[destination]]", f"{TWICE}{TWICE}[[destination]]", 8, "destination[2].name",
     "already taken by destination[1]", ""),
    ('id = "sem-1"', 'id = "xrd-1"', 14, "instrument[2].id", "already taken by instrument[1]", ""),
    ("poll_s = 1", "poll_s = 0.01", 15, "instrument[2].poll_s", "between 0.05 and 3600", ""),
    ("poll_s = 1", "poll_s = true", 15, "instrument[2].poll_s", "a number, not true", ""),
    ("poll_s = 1", "poll_s = 60", 23, "instrument[2].activity.gap_s", "longer than poll_s (60.0 s)", ""),
    ("poll_s = 1", 'name_zh = "a\\nb"', 15, "instrument[2].name_zh", "control characters", ""),
    ("poll_s = 1", 'org_uscc = "91350100M000100Y4Z"', 15, "instrument[2].org_uscc", "without I, O, S, V and Z", ""),
    ("poll_s = 1", 'org_uscc = "91350100M000100Y44"', 15, "instrument[2].org_uscc", "check character", "copy it"),
    ("poll_s = 1", 'org_uscc = "91350100M001000Y43"', 15, "instrument[2].org_uscc", "check character", "copy it"),
    ("poll_s = 1", '"\\u001b[2J" = 1', 15, "instrument[2].'\\x1b[2J'", "no such key", ""),
    ('name = "modbus", ', "", 10, "instrument[1].driver.name", "required", "mock, modbus"),
    ('name = "modbus", ', "name = 3, ", 10, "instrument[1].driver.name", "text in quotes", "mock, modbus"),
    ('name = "modbus", ', 'name = "a\\nb", ', 10, "instrument[1].driver.name", "no driver a\\nb", ""),
    ('name = "modbus", ', 'name = "modbuss", ', 10, "instrument[1].driver.name", "no driver", "did you mean modbus?"),
    (', port = "/dev/ttyUSB0"', "", 10, "instrument[1].driver", "either a port or a host", "by-id"),
    ("baud = 2400", "baudrate = 2400", 21, "instrument[2].driver.baudrate", "no such key", "did you mean baud?"),
    ("baud = 2400", 'baud = "2400"', 21, "instrument[2].driver.baud", "whole number, not text", "without quotes"),
    ("baud = 2400", "baud = 9600", 21, "instrument[2].driver.baud", "9600 here, but 2400 in instrument[1].driver", ""),
    ("baud = 2400", 'parity = "E"', 21, "instrument[2].driver.parity", "'E' here, but 'N'", "same settings"),
    ("baud = 2400", 'parity = "even"', 21, "instrument[2].driver.parity", "must be one of 'N', 'E', 'O'", ""),
    ("baud = 2400", "stop_bits = 2", 21, "instrument[2].driver.stop_bits", "2 here, but 1", "same settings"),
    ("unit_id = 2", "unit_id = 248", 20, "instrument[2].driver.unit_id", "between 1 and 247, not 248", ""),
    ("unit_id = 2", "unit_id = 1", 20, "instrument[2].driver.unit_id", "already asked by instrument[1].driver", ""),
    ("unit_id = 2", "", 17, "instrument[2].driver.unit_id", "unit 1 on the bus", ""),
    ("{ off_below = 20, run_above = 800 }", "800", 11, "instrument[1].activity", "must be a table", ""),
    ("{ off_below = 20,", "{", 11, "instrument[1].activity.off_below", "required", ""),
    ("{ off_below = 20", "{ off_below = 0", 11, "instrument[1].activity.off_below", "greater than 0", ""),
    ("{ off_below = 20", "{ off_below = 900", 11, "instrument[1].activity.off_below",
     "not be greater than run_above (800.0), but is 900.0", ""),
    ("run_above = 800\n", "run_above = 800\nrun_below = 801\n", 26, "instrument[2].activity.run_below",
     "not be greater than run_above", ""),
    ("run_above = 800\n", "run_above = 800\nrun_below = 19\n", 24, "instrument[2].activity.off_below",
     "not be greater than run_below", ""),
    ("run_above = 800\n", "run_above = 800\ngap_s = 301\n", 26, "instrument[2].activity.gap_s",
     "not be greater than bridge_s", ""),
    ("run_above = 800\n", "run_above = 800\nmin_on_s = -1\n", 26, "instrument[2].activity.min_on_s",
     "between 0 and 86400", ""),
    ("run_above = 800\n", 'run_above = 800\nchannel = "power"\n', 26, "instrument[2].activity.channel",
     "does not read this channel", "did you mean power_w?"),
]  # fmt: skip


def told(folder: Path, text: str) -> list[Mistake]:
    found = mistakes_in(folder, text)
    assert all(mistake.path == folder / "config.toml" for mistake in found)
    return found


def test_the_config_all_these_are_made_from_is_good(tmp_path: Path):
    assert len(loaded(tmp_path, GOOD).instruments) == 2


@pytest.mark.parametrize("case", ONE_MISTAKE, ids=lambda case: f"{case[3]} {case[4]}")
def test_a_mistake_is_told_where_it_stands(tmp_path: Path, case: tuple[str, str, int | None, str, str, str]):
    old, new, line, key, problem, hint = case
    assert old in GOOD
    # The instruments that only the last two lines tell apart are changed from the end.
    text = new.join(GOOD.rsplit(old, 1)) if old.startswith("run_above = 800\n") else GOOD.replace(old, new, 1)
    [mistake] = told(tmp_path, text)
    assert (mistake.line, mistake.key) == (line, key)
    assert problem in mistake.problem
    assert hint in mistake.hint


def test_all_mistakes_are_told_in_one_run_in_the_order_of_their_lines(tmp_path: Path):
    text = GOOD.replace('"box-1"', '""').replace("https", "http").replace('"sem-1"', '"xrd-1"')
    text = text.replace("poll_s = 1", "pol_s = 1").replace("2400", "300").replace("{ off_below", "{ of_below")
    assert [(mistake.line, mistake.key) for mistake in told(tmp_path, text)] == [
        (2, "box.id"),
        (6, "destination[1].url"),
        (11, "instrument[1].activity.of_below"),
        (11, "instrument[1].activity.off_below"),
        (14, "instrument[2].id"),
        (15, "instrument[2].pol_s"),
        (21, "instrument[2].driver.baud"),
    ]


def test_an_empty_file_lacks_a_box_and_an_instrument(tmp_path: Path):
    assert [mistake.key for mistake in told(tmp_path, "")] == ["box", "instrument"]


def test_meters_at_one_network_address_must_have_different_units(tmp_path: Path):
    text = GOOD.replace('port = "/dev/ttyUSB0"', 'host = "192.0.2.1"').replace("unit_id = 2", "unit_id = 1")
    [mistake] = told(tmp_path, text)
    assert (mistake.line, mistake.key) == (20, "instrument[2].driver.unit_id")


def test_the_text_of_the_error_has_one_mistake_a_line(tmp_path: Path):
    path = tmp_path / "config.toml"
    path.write_text(GOOD.replace('id = "box-1"', "log_level = 1"), encoding="utf-8")
    with pytest.raises(InvalidConfig) as caught:
        load_config(path)
    assert str(caught.value).splitlines() == [
        f"{path}:1: box.id: this key is required",
        f"{path}:2: box.log_level: must be text in quotes, not 1",
    ]


def test_a_hint_stands_in_parentheses():
    mistake = Mistake(Path("c.toml"), 3, "box.id", "is wrong", "do this")
    assert str(mistake) == "c.toml:3: box.id: is wrong (do this)"


def test_a_text_in_the_wrong_place_is_not_repeated_as_it_may_be_a_password(tmp_path: Path):
    text = GOOD.replace('url = "https', 'heartbeat_s = "s3cret"\ntoken = "s3cret"\nurl = "https://s3cret@x')
    assert all("s3cret" not in str(mistake) for mistake in told(tmp_path, text))


FOREIGN_DRIVERS = """
from dataclasses import dataclass, field

@dataclass
class Picky:
    level: int
    anything: list = ()
    loud: bool = False
    depth: int = field(default=1, metadata={"low": 1})
    height: float | None = field(default=None, metadata={"high": 2})
    channels = ()
    def __post_init__(self):
        if self.level > 3:
            raise ValueError("level and mood\\x1b do not agree\\nat all")

@dataclass
class Puzzling:
    level: "NoSuchType" = 0

class Plain:
    pass
"""


@pytest.fixture
def foreign_drivers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Install a package with drivers of its own, as pip would lay it down."""
    info = tmp_path / "site" / "foreign_drivers-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: foreign-drivers\nVersion: 1.0\n")
    points = ["picky = foreign_drivers:Picky", "puzzling = foreign_drivers:Puzzling", "plain = foreign_drivers:Plain"]
    points += ["missing = foreign_drivers_that_are_not_there:Driver"]
    (info / "entry_points.txt").write_text("\n".join(["[instrument_agent.drivers]", *points, ""]))
    (tmp_path / "site" / "foreign_drivers.py").write_text(FOREIGN_DRIVERS)
    monkeypatch.syspath_prepend(tmp_path / "site")
    yield
    sys.modules.pop("foreign_drivers", None)


@pytest.mark.usefixtures("foreign_drivers")
@pytest.mark.parametrize(
    ("options", "key", "problem"),
    [
        ('name = "picky", level = 4', "instrument[1].driver", "level and mood\\x1b do not agree\\nat all"),
        ('name = "picky"', "instrument[1].driver.level", "required"),
        ('name = "picky", level = 1, anything = [[1]]', "instrument[1].activity.channel", "does not read this channel"),
        ('name = "picky", level = 1, loud = 1', "instrument[1].driver.loud", "must be true or false, not 1"),
        ('name = "picky", level = 1, depth = 0', "instrument[1].driver.depth", "must be at least 1, not 0"),
        ('name = "picky", level = 1, height = 2.5', "instrument[1].driver.height", "must be at most 2, not 2.5"),
        ('name = "puzzling"', "instrument[1].driver", "NoSuchType"),
        ('name = "plain"', "instrument[1].driver", "dataclass"),
        ('name = "missing"', "instrument[1].driver.name", "cannot be loaded"),
    ],
)
def test_a_foreign_driver_that_refuses_is_a_mistake_and_not_a_crash(
    tmp_path: Path, options: str, key: str, problem: str
):
    text = GOOD.replace('name = "modbus", port = "/dev/ttyUSB0"', options)
    [mistake] = told(tmp_path, text)
    assert (mistake.line, mistake.key) == (11 if "activity" in key else 10, key)
    assert problem in mistake.problem
