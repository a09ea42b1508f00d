"""The columns of the table for people: the fixed ones in Chinese, or those of a mapping file for another template.

What only a booking system or a rule of the platform's can know (有效机时, 对外服务机时, 使用率) has its column and
stays empty. Hours are rounded to a thousandth; the sealed file has the milliseconds.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from instrument_agent.i18n import _
from instrument_agent.report.sealed import Contents, Seal
from instrument_agent.tables.binding import bind
from instrument_agent.tables.file import read_config_file
from instrument_agent.tables.mistakes import InvalidConfig, Mistake, Notebook

Cell = str | int | float | None
MS_PER_S, MS_PER_H = 1000, 3_600_000
IDENTITY = ("asset_code", "platform_code", "name_zh", "name_en", "model", "org_name", "org_uscc", "location")
TIMES = ("powered", "running", "standby", "off", "unknown", "length", "clock_residual")
COUNTS = ("days_not_powered", "unknown_days", "idle_level", "rules_origin")


def _field(key: str) -> Callable[[Mapping[str, Any]], Cell]:
    return lambda row: row.get(key)


def _identity(key: str) -> Callable[[Mapping[str, Any]], Cell]:
    return lambda row: row["identity"].get(key) or None


def _time(key: str, unit_ms: int) -> Callable[[Mapping[str, Any]], Cell]:
    return lambda row: round(row[key] / unit_ms, 3) if key in row else None


def _coverage(row: Mapping[str, Any]) -> Cell:
    return round(100 * (1 - row["unknown_ms"] / row["length_ms"]), 3) if row.get("length_ms") else None


FIELDS: dict[str, Callable[[Mapping[str, Any]], Cell]] = {
    **{key: _field(key) for key in ("month", "box_id", "zone", "seal", "complete")},
    **{key: _identity(key) for key in IDENTITY},
    **{key: _field(key) for key in ("instrument_id", "days", "month_days")},
    **{f"{name}_h": _time(f"{name}_ms", MS_PER_H) for name in TIMES},
    **{f"{name}_s": _time(f"{name}_ms", MS_PER_S) for name in TIMES},
    "coverage_percent": _coverage,
    **{key: _field(key) for key in COUNTS},
}
"""What a column can show, from a row with the report's own fields beside it."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column: its title, and the field it shows or a text that is the same in each row; neither leaves it empty."""

    title: str
    field: str = dataclasses.field(default="", metadata={"choices": ("", *FIELDS)})
    text: str = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A mapping file."""

    column: list[Column]


FIXED = tuple(
    Column(title=title, field=field)
    for title, field in (
        *(("月份", "month"), ("管理单位", "org_name"), ("统一社会信用代码", "org_uscc"), ("资产编号", "asset_code")),
        *(("平台编号", "platform_code"), ("仪器名称", "name_zh"), ("型号", "model"), ("安放地点", "location")),
        *(("传感器（盒子）编号", "box_id"), ("盒内编号", "instrument_id")),
        *(("开机机时（小时）", "powered_h"), ("运行机时（小时）", "running_h"), ("待机机时（小时）", "standby_h")),
        *(("关机（小时）", "off_h"), ("未知（小时）", "unknown_h"), ("时钟残差（秒）", "clock_residual_s")),
        *(("数据完整率（%）", "coverage_percent"), ("统计天数", "days"), ("当月天数", "month_days")),
        *(("连续未开机天数", "days_not_powered"), ("其间未知天数", "unknown_days")),
        *(("有效机时（小时）", ""), ("对外服务机时（小时）", ""), ("共享机时（小时）", ""), ("使用率（%）", "")),
        ("封签（SHA-256）", "seal"),
    )
)


def columns_of(path: Path) -> Sequence[Column]:
    """Return the columns a mapping file asks for.

    Raises:
        InvalidConfig: it cannot be used; it tells every mistake at once.
    """
    file = read_config_file(path)
    book = Notebook(path, file.lines)
    columns = bind(Template, file.keys, (), book).get("column", [])
    if book.mistakes:
        raise InvalidConfig(book.mistakes)
    if not columns:
        raise InvalidConfig([Mistake(path, None, "column", _("there is no [[column]] in it"))])
    return list(columns)


def table(columns: Sequence[Column], contents: Contents, seal: Seal) -> list[list[Cell]]:
    """Return the cells, row by row, without the titles; what is not known is None."""
    beside = {
        "month": str(contents.month),
        "box_id": contents.box_id,
        "zone": contents.zone,
        "seal": seal.sha256,
        "complete": "是" if contents.span.complete else "否",
    }
    whole = [{**beside, **row} for row in contents.rows]
    return [[FIELDS[item.field](row) if item.field else item.text or None for item in columns] for row in whole]
