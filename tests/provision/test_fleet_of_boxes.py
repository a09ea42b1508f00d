"""Cards for many boxes: all of them from one template and one table, or none and every mistake told."""

import stat
import textwrap
from pathlib import Path

import pytest
from in_process import run

from instrument_agent.config import load_config
from instrument_agent.provision.fleet import IDENTITY

TEMPLATE = """# 全省共用
[box]
id = "template"
[[destination]]
name = "province"
url = "https://platform.example.org"
ca_file = "ca.pem"
[[instrument]]
id = "xrd"
[instrument.driver]
name = "mock"
script = [1.0]
[instrument.activity]
off_below = 5
run_above = 500
[[instrument]]
id = "pump"
name_en = "Pump"
driver = { name = "mock", script = [1.0] }
activity = { off_below = 5, run_above = 500 }
"""
TABLE = """box_id,code,asset_code,name_zh,asset_code_2
lab-1,AAAA-1111,20210345,"衍射仪, 一号",20210346
lab-2,BBBB-2222,20210347,衍射仪,
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("config.toml").write_text(TEMPLATE, encoding="utf-8")
    Path("ca.pem").write_text("an authority")
    Path("fleet.csv").write_text(TABLE, encoding="utf-8-sig")
    return tmp_path


def test_each_box_gets_a_folder_with_its_own_file_code_and_what_the_template_names(here: Path) -> None:
    done = run("provision", "fleet.csv", "--template", "config.toml", "--out", "sticks")
    assert done.returncode == 0, done.stderr
    assert "2 boxes in sticks" in done.stdout
    assert sorted(path.name for path in here.iterdir()) == ["ca.pem", "config.toml", "fleet.csv", "sticks"]
    first, second = (load_config(here / "sticks" / name / "instrument-agent.toml") for name in ("lab-1", "lab-2"))
    assert [first.box.id, second.box.id] == ["lab-1", "lab-2"]
    assert [item.asset_code for item in first.instruments] == ["20210345", "20210346"]
    assert [item.asset_code for item in second.instruments] == ["20210347", ""]
    assert (first.instruments[0].name_zh, first.instruments[1].name_en) == ("衍射仪, 一号", "Pump")
    code = here / "sticks" / "lab-1" / "enrol-code.txt"
    assert (code.read_text(), stat.S_IMODE(code.stat().st_mode)) == ("AAAA-1111\n", 0o600)
    assert (here / "sticks" / "lab-2" / "ca.pem").read_text() == "an authority"
    assert (here / "sticks" / "lab-1" / "instrument-agent.toml").read_text(encoding="utf-8").startswith("# 全省共用\n")
    again = run("provision", "fleet.csv", "--template", "config.toml", "--out", "sticks")
    assert (again.returncode, "sticks is already there" in again.stderr) == (1, True)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("lab-2", "lab 2", "fleet.csv:3: column 1 (box_id): must be 1 to 64 letters"),
        ("lab-2", "LAB-1", "fleet.csv:3: column 1 (box_id): the same stands in line 2"),
        ("lab-2", "", "fleet.csv:3: box_id: this cell is empty"),
        ("BBBB-2222", "AAAA-1111", "fleet.csv:3: column 2 (code): the same stands in line 2"),
        ("20210347", "20210345", "fleet.csv:3: column 3 (asset_code): the same stands in line 2"),
        ("name_zh", "nam_zh", "fleet.csv:1: column 4 (nam_zh): there is no such column (did you mean name_zh?)"),
        ("asset_code_2", "asset_code_3", "fleet.csv:1: column 5 (asset_code_3): the template has only 2 instruments"),
        ("name_zh", "org_uscc", "fleet.csv:3: column 4 (org_uscc): must be 18 digits and capital letters"),
        ("box_id,", "", "fleet.csv:1: the column box_id is missing"),
        ("衍射仪,", "衍射仪", "fleet.csv:3: 4 cells, but there are 5 columns"),
        ('"衍射仪, 一号"', '"衍射仪', "fleet.csv:3: not valid CSV"),
        (TABLE[TABLE.index("\n") :], "\n", "fleet.csv: there is no box in it"),
    ],
)
def test_a_mistake_in_the_table_is_told_with_its_line_and_column_and_nothing_is_made(
    here: Path, old: str, new: str, said: str
) -> None:
    assert old in TABLE
    Path("fleet.csv").write_text(TABLE.replace(old, new), encoding="utf-8")
    done = run("provision", "fleet.csv", "--template", "config.toml", "--out", "sticks")
    assert done.returncode == 78
    assert said in done.stderr
    assert not (here / "sticks").exists()


def test_every_mistake_is_told_at_once(here: Path) -> None:
    Path("fleet.csv").write_text(TABLE.replace("lab-1", "lab 1").replace("BBBB-2222", "B" * 65), encoding="utf-8")
    done = run("provision", "fleet.csv", "--template", "config.toml", "--out", "sticks")
    assert "fleet.csv:2: column 1 (box_id)" in done.stderr
    assert "fleet.csv:3: column 2 (code)" in done.stderr


def test_a_table_of_a_chinese_excel_is_told_how_to_save_it(here: Path) -> None:
    Path("fleet.csv").write_text(TABLE, encoding="gbk")
    done = run("provision", "fleet.csv", "--template", "config.toml", "--out", "sticks")
    assert (done.returncode, "this looks like GBK text, not UTF-8" in done.stderr) == (78, True)


def test_a_code_of_the_template_is_no_code_for_several_boxes(here: Path) -> None:
    Path("config.toml").write_text(TEMPLATE.replace('name_en = "Pump"', 'asset_code = "7"'), encoding="utf-8")
    command = ("provision", "fleet.csv", "--template", "config.toml", "--out", "sticks")
    assert run(*command).returncode == 0, "only lab-2 takes it from there"
    Path("fleet.csv").write_text(TABLE + "lab-3,CCCC-3333,20210348,衍射仪,\n", encoding="utf-8")
    done = run(*command[:-1], "more")
    assert done.returncode == 78
    assert "config.toml: instrument[2].asset_code: 2 boxes would have the same asset_code (leave it out" in done.stderr
    assert not (here / "more").exists()


def test_codes_need_a_platform_they_are_for(here: Path) -> None:
    Path("config.toml").write_text(
        TEMPLATE.replace("[[destination]]", '[[destination]]\ncredential_file = "t"')
        + '[[destination]]\nname = "city"\nurl = "https://city.example.org"\ncredential_file = "u"\n',
        encoding="utf-8",
    )
    done = run("provision", "fleet.csv", "--template", "config.toml", "--out", "sticks")
    assert "it is not clear which platform the codes are for" in done.stderr


def test_the_command_does_one_thing_at_a_time(here: Path) -> None:
    assert run("provision").returncode == 2
    assert run("provision", "fleet.csv").returncode == 2
    assert run("provision", "fleet.csv", "--from", ".").returncode == 2
    done = run("provision", "--from", str(here), "--config", str(here / "config.toml"))
    assert (done.returncode, done.stdout) == (0, "there is nothing to do\n")


def test_the_table_in_the_documentation_is_a_good_one_and_names_every_column(here: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "provisioning.md").read_text(encoding="utf-8")
    lines = page[page.index("    box_id,") :].split("\n\n")[0]
    Path("fleet.csv").write_text(textwrap.dedent(lines), encoding="utf-8")
    done = run("provision", "fleet.csv", "--template", "config.toml", "--out", "sticks")
    assert "2 boxes in sticks" in done.stdout, done.stderr
    assert [name for name in IDENTITY if f"`{name}`" not in page] == []
