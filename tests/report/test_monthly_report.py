"""The report of a month: the figures people read, and the file that is sealed."""

import csv
import io
import json
import sys
import zipfile
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from reported_box import DAY_MS, H, ReportedBox, summary_of

from instrument_agent.core.errors import AgentError
from instrument_agent.core.records import RecordType
from instrument_agent.report.opened import opened
from instrument_agent.tables.mistakes import InvalidConfig


@pytest.fixture
def cunning(tmp_path: Path) -> Iterator[ReportedBox]:
    """A box whose instrument is called like a formula."""
    box = ReportedBox(tmp_path / "cunning", name='=HYPERLINK("http://x","y")')
    box.live(31)
    yield box
    box.store.close()


def seal_of(file: Path) -> str:
    return json.loads(file.read_bytes().splitlines()[-1])["seal"]["sha256"]


def rows_of_csv(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_bytes().decode("utf-8-sig"))))


def test_the_table_has_the_hours_of_the_month_and_leaves_empty_what_no_sensor_knows(box, tmp_path):
    done = box.report("--format", "csv", "--out", str(tmp_path / "t.csv"))
    assert done.exit_code == 0, done.output
    [row] = rows_of_csv(tmp_path / "t.csv")
    assert (row["资产编号"], row["仪器名称"], row["管理单位"]) == ("0020210345", "X射线衍射仪", "某某大学")
    assert (row["开机机时（小时）"], row["运行机时（小时）"], row["未知（小时）"]) == ("372.0", "124.0", "62.0")
    assert (row["数据完整率（%）"], row["统计天数"], row["当月天数"]) == ("91.667", "31", "31")
    assert [
        row[title] for title in ("有效机时（小时）", "对外服务机时（小时）", "共享机时（小时）", "使用率（%）")
    ] == [""] * 4
    assert row["封签（SHA-256）"] == seal_of(box.file())


def test_an_instrument_nobody_watched_that_month_has_no_figures_and_no_zeros(box, tmp_path):
    done = box.report("--format", "csv", "--out", str(tmp_path / "t.csv"), month="2026-12")
    assert "not all days of the month are closed yet" in done.output
    [row] = rows_of_csv(tmp_path / "t.csv")
    assert (row["统计天数"], row["开机机时（小时）"], row["未知（小时）"], row["数据完整率（%）"]) == ("0", "", "", "")


def test_a_workbook_opens_with_the_same_figures_and_runs_no_name_as_a_formula(cunning, tmp_path):
    openpyxl = pytest.importorskip("openpyxl", reason="the extra report is not installed")
    path = tmp_path / "t.xlsx"
    assert cunning.report("--format", "xlsx", "--out", str(path)).exit_code == 0
    book = openpyxl.load_workbook(path)
    titles, cells = list(book["月报"].iter_rows())
    found = dict(zip([cell.value for cell in titles], cells, strict=True))
    assert (found["运行机时（小时）"].value, found["有效机时（小时）"].value) == (124, None)
    assert (found["仪器名称"].value, found["仪器名称"].data_type) == (cunning.name, "s")
    assert found["仪器名称"].quotePrefix
    assert b"<f>" not in b"".join(zipfile.ZipFile(path).read(f"xl/worksheets/sheet{number}.xml") for number in (1, 2))
    about = dict(book["说明"].iter_rows(values_only=True))
    assert about["封签（SHA-256）"] == seal_of(cunning.file())


def test_a_workbook_without_its_library_says_what_to_install(box, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    done = box.report("--format", "xlsx", "--out", str(tmp_path / "t.xlsx"))
    assert isinstance(done.exception, AgentError)
    assert "instrument-agent[report]" in done.exception.hint
    assert not list(tmp_path.glob("t.xlsx*"))


def test_a_csv_has_no_cell_that_a_spreadsheet_would_run(cunning, tmp_path):
    cunning.report("--format", "csv", "--out", str(tmp_path / "t.csv"))
    [row] = rows_of_csv(tmp_path / "t.csv")
    assert row["仪器名称"] == "'" + cunning.name


def test_a_mapping_file_gives_another_template(box, tmp_path):
    mapping = tmp_path / "template.toml"
    mapping.write_text(
        '[[column]]\ntitle = "编号"\nfield = "asset_code"\n[[column]]\ntitle = "运行秒"\nfield = "running_s"\n'
        '[[column]]\ntitle = "备注"\n[[column]]\ntitle = "来源"\ntext = "传感器"\n',
        encoding="utf-8",
    )
    box.report("--format", "csv", "--out", str(tmp_path / "t.csv"), "--mapping", str(mapping))
    [row] = rows_of_csv(tmp_path / "t.csv")
    assert row == {"编号": "0020210345", "运行秒": "446400.0", "备注": "", "来源": "传感器"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[[column]]\ntitle = "a"\nfield = "runing_h"\n', "running_h"),
        ('[[column]]\nfield = "running_h"\n', "title"),
        ("", "required"),
        ("column = []\n", "no [[column]]"),
    ],
)
def test_a_mapping_file_with_a_mistake_is_refused_with_its_place(box, tmp_path, text, said):
    mapping = tmp_path / "template.toml"
    mapping.write_text(text, encoding="utf-8")
    done = box.report("--format", "csv", "--mapping", str(mapping))
    assert isinstance(done.exception, InvalidConfig)
    assert said in str(done.exception)


def test_the_same_month_makes_the_same_file_whatever_comes_after_it(box):
    first = box.file().read_bytes()
    box.begin()
    box.live(5, first=31)
    assert box.file().read_bytes() == first
    with opened(box.file()) as report:
        assert (report.complete, report.count) == (True, 96)


def test_a_month_that_is_not_over_says_so_and_hands_over_all_there_is(tmp_path):
    box = ReportedBox(tmp_path / "young")
    box.live(10)
    with opened(box.file()) as report:
        assert (report.complete, report.count, report.rows[0]["days"]) == (False, box.made, 10)
    box.store.close()


def test_a_later_report_begins_where_the_month_does_or_at_what_nobody_has_got(box, institute):
    box.live(30, first=31)
    with opened(box.file(month="2026-11")) as report:
        assert report.count == box.made
    institute.receive(box)
    with opened(box.file(month="2026-11")) as report:
        assert (report.count, report.rows[0]["running_ms"]) == (30 * 3, 30 * 4 * H)


def test_the_rows_of_the_sealed_file_are_exact(box):
    with opened(box.file()) as report:
        [row] = report.rows
    spent = sum(row[f"{name}_ms"] for name in ("off", "standby", "running", "unknown", "clock_residual"))
    assert spent == row["length_ms"] == 31 * DAY_MS
    assert row["unknown_reasons_ms"] == {"driver_unavailable": 62 * H}


def test_damaged_records_are_not_handed_over_as_if_they_were_whole(box):
    with box.store.write() as change:
        change.execute("update records set body = replace(body, '14400000', '14400001') where type = 'run_session'")
    done = box.report()
    assert "is not what was written" in str(done.exception)
    assert not list(box.folder.glob("*.part"))


@pytest.mark.parametrize("month", ["2026-13", "2026-1", "october", "2026-10-01", "0000-01"])
def test_what_is_no_month_is_refused(box, month):
    done = box.report(month=month)
    assert "is no month" in str(done.exception)


def test_a_retired_instrument_does_not_keep_a_month_open(tmp_path):
    box = ReportedBox(tmp_path / "old")
    box.live(20)
    box.add(RecordType.DAILY_SUMMARY, summary_of(date(2026, 10, 31)), "lcms-1")
    with opened(box.file()) as report:
        assert not report.complete
    more = '[[instrument]]\nid = "lcms-1"\n[instrument.driver]\nname = "mock"\nscript = [1.0]\n[instrument.activity]\n'
    box.config_path.write_text(box.config_path.read_text(encoding="utf-8") + more, encoding="utf-8")
    box.add(RecordType.LIFECYCLE_EVENT, {"event": "retired"})
    with opened(box.file()) as report:
        assert report.complete, "the days of the other one are all closed"
    box.store.close()
