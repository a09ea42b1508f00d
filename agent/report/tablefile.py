"""The table for people as a file, CSV or XLSX; nothing that a name says is run as a formula by whoever opens it."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from instrument_agent.core.errors import AgentError
from instrument_agent.i18n import _
from instrument_agent.report.columns import Cell, Column
from instrument_agent.report.sealed import Contents, Seal

if TYPE_CHECKING:
    from openpyxl.worksheet.worksheet import Worksheet

FORMULAS = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")
"""How a text begins that a spreadsheet may run (OWASP, CSV Injection)."""
NARROW, WIDE, WIDEST = 8, 14, 70


def write_csv(path: Path, columns: Sequence[Column], rows: Sequence[Sequence[Cell]]) -> None:
    """Write a CSV in UTF-8 with a byte order mark, without which Excel takes it for GBK."""
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file, lineterminator="\r\n")
        writer.writerow([_harmless(item.title) for item in columns])
        writer.writerows([_harmless(cell) for cell in row] for row in rows)


def write_xlsx(
    path: Path, columns: Sequence[Column], rows: Sequence[Sequence[Cell]], contents: Contents, seal: Seal
) -> None:
    """Write a workbook: the table, and a sheet that says which sealed file it was made from.

    Raises:
        AgentError: the library for it is not installed.
    """
    try:
        from openpyxl import Workbook
    except ModuleNotFoundError as error:
        raise AgentError(
            _("the library for XLSX is missing (openpyxl)"),
            _("install it: pip install 'instrument-agent[report]', or use --format csv"),
        ) from error
    book = Workbook()
    sheet = book.active or book.create_sheet()
    sheet.title = "月报"
    _fill(sheet, [[item.title for item in columns], *rows])
    sheet.freeze_panes = "A2"
    about: list[list[Cell]] = [
        ["月份", str(contents.month)],
        ["传感器（盒子）编号", contents.box_id],
        ["时区", contents.zone],
        ["当月是否已全部结账", "是" if contents.span.complete else "否"],
        ["封签（SHA-256）", seal.sha256],
        ["签名（Ed25519）", seal.signature or "无：盒子未在平台登记"],
        ["公钥", seal.public_key or None],
        ["说明", "未知不等于关机；空白表示传感器无从得知，不等于零。导入平台请用同月的 .jsonl 文件。"],
    ]
    _fill(book.create_sheet("说明"), about)
    book.save(path)


def _fill(sheet: "Worksheet", rows: Sequence[Sequence[Cell]]) -> None:
    from openpyxl.utils import get_column_letter

    for y, row in enumerate(rows, 1):
        for x, value in enumerate(row, 1):
            if value is None:
                continue
            cell = sheet.cell(y, x, value)
            if isinstance(value, str):
                cell.data_type = "s"  # openpyxl takes a text that begins with = for a formula
                cell.quotePrefix = value.startswith(FORMULAS)  # and a person who edits it would make it one
    for x in range(1, max(map(len, rows)) + 1):
        longest = max(len(str(row[x - 1] or "")) for row in rows if len(row) >= x)
        sheet.column_dimensions[get_column_letter(x)].width = min(max(NARROW, 2 * longest, WIDE), WIDEST)


def _harmless(cell: Cell) -> Cell:
    """Put an apostrophe before a text that would be a formula; numbers are ours."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULAS) else cell
