"""Files for many boxes from one template and one table: a folder per box, as its card is to hold them.

The table is CSV in UTF-8 with a header: ``box_id``, perhaps ``code`` (the one-time code of its enrolment), and what its
instrument is called (``asset_code``, ``name_zh``, ...); ``asset_code_2`` belongs to the second instrument of the
template. An empty cell leaves what the template says.
"""

import csv
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from io import StringIO
from pathlib import Path

from instrument_agent.buffer.headfile import sync_directory
from instrument_agent.config import BoxConfig, Config, InstrumentConfig, InvalidConfig, Mistake, load_config
from instrument_agent.core.errors import AgentError
from instrument_agent.i18n import _
from instrument_agent.provision.card import CODE_NAME, FILE_NAME
from instrument_agent.provision.checking import is_code
from instrument_agent.provision.named import named_files, secret_names
from instrument_agent.provision.trial import code_destination
from instrument_agent.tables.binding import bind
from instrument_agent.tables.change import with_keys
from instrument_agent.tables.file import ConfigFile, decoded, parsed, read_bytes
from instrument_agent.tables.mistakes import Notebook, nearest

BOX, CODE = "box_id", "code"
_NOT_OF_A_BOX = ("id", "poll_s", "timeout_s", "driver", "activity")
IDENTITY = tuple(item.name for item in fields(InstrumentConfig) if item.name not in _NOT_OF_A_BOX)
_COLUMN = re.compile(r"(?P<key>[a-z_]+?)(?:_(?P<number>[1-9]\d?))?")
_UNIQUE = (BOX, CODE, "asset_code")


@dataclass(frozen=True, slots=True)
class Column:
    """One column: ``instrument`` counts from 0, and is None where the box itself is meant."""

    number: int
    title: str
    key: str
    instrument: int | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One box: what its cells say, empty ones left out."""

    line: int
    cells: Mapping[Column, str]

    def cell(self, key: str) -> str:
        """Return what the box itself is given under a key."""
        return next((text for column, text in self.cells.items() if column.key == key), "")


@dataclass(frozen=True, slots=True)
class Fleet:
    """A template and its boxes, all of them good."""

    template: ConfigFile
    beside: Mapping[str, bytes]
    rows: tuple[Row, ...]

    def __len__(self) -> int:
        """Return how many boxes there are."""
        return len(self.rows)

    def boxes(self, out: Path) -> Iterator[str]:
        """Make the files of all boxes, and yield each one's id; ``out`` is there when all are made, or not at all.

        Raises:
            AgentError: there is such a folder already, or it cannot be written.
        """
        if os.path.lexists(out):
            raise AgentError(_("{path} is already there").format(path=out), _("name a new folder with --out"))
        making = out.with_name(f".{out.name}.unfinished")
        try:
            shutil.rmtree(making, ignore_errors=True)
            making.mkdir(mode=0o700, parents=True)
            for row in self.rows:
                self._make(making / row.cell(BOX), row)
                yield row.cell(BOX)
            making.rename(out)
            sync_directory(out.parent)
        except OSError as error:
            raise AgentError(
                _("{path} cannot be written: {error}").format(path=out, error=error),
                _("name another folder with --out"),
            ) from error
        finally:
            shutil.rmtree(making, ignore_errors=True)

    def _make(self, folder: Path, row: Row) -> None:
        folder.mkdir(mode=0o700)
        code = row.cell(CODE)
        with_code = {CODE_NAME: f"{code}\n".encode()} if code else {}
        secrets = {CODE_NAME, *secret_names(self.template.keys)}
        text = _text_for(decoded(Path(FILE_NAME), self.template.content), row)
        for name, content in {FILE_NAME: text.encode(), **self.beside, **with_code}.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600 if name in secrets else 0o644)
            with os.fdopen(fd, "wb") as file:
                file.write(content)
        load_config(folder / FILE_NAME)


def read_fleet(path: Path, template_path: Path) -> Fleet:
    """Read the table and the template, and tell every mistake in both.

    Raises:
        InvalidConfig: there are some; each is told with its line and its column.
    """
    config = load_config(template_path)
    content = read_bytes(template_path)
    template = parsed(template_path, content)
    rows, mistakes = _rows(path, decoded(path, read_bytes(path)), config)
    mistakes += _repeated(path, rows) + _shared(template_path, config, rows)
    if any(row.cell(CODE) for row in rows) and code_destination(config) is None:
        problem = _("it is not clear which platform the codes are for")
        mistakes.append(Mistake(template_path, None, "", problem, _("leave out credential_file there")))
    if mistakes:
        raise InvalidConfig(mistakes)
    return Fleet(template, _beside(template, template_path.parent), tuple(rows))


def _beside(template: ConfigFile, folder: Path) -> dict[str, bytes]:
    names = dict.fromkeys(item.name for item in named_files(template.keys) if ".." not in Path(item.name).parts)
    return {name: read_bytes(folder / name) for name in names if (folder / name).exists()}


def _rows(path: Path, text: str, config: Config) -> tuple[list[Row], list[Mistake]]:
    reader = csv.reader(StringIO(text), strict=True)
    rows: list[Row] = []
    mistakes: list[Mistake] = []
    try:
        columns = _columns(path, next(reader, []), len(config.instruments), mistakes)
        for cells in reader if not mistakes else ():
            if not any(cell.strip() for cell in cells):
                continue
            rows.append(Row(reader.line_num, _cells(path, reader.line_num, columns, cells, mistakes)))
            mistakes += _unfit(path, rows[-1])
    except csv.Error as error:
        problem = _("not valid CSV: {error}").format(error=error)
        mistakes.append(Mistake(path, reader.line_num, "", problem, _("save the table as CSV again")))
    if not rows and not mistakes:
        mistakes.append(Mistake(path, None, "", _("there is no box in it"), _("one line for each box")))
    return rows, mistakes


def _columns(path: Path, titles: list[str], instruments: int, mistakes: list[Mistake]) -> list[Column]:
    known = (BOX, CODE, *IDENTITY)
    found: list[Column] = []
    for number, title in enumerate((title.strip() for title in titles), 1):
        match = _COLUMN.fullmatch(title)
        key = match["key"] if match else title
        instrument = int((match and match["number"]) or 1) - 1
        if key not in known or (key in (BOX, CODE) and title != key):
            hint = nearest(title, known) or _("known columns: {names}").format(names=", ".join(known))
            mistakes.append(Mistake(path, 1, _place(number, title), _("there is no such column"), hint))
        elif instrument >= instruments:
            problem = _("the template has only {count} instruments").format(count=instruments)
            mistakes.append(Mistake(path, 1, _place(number, title), problem))
        elif title in [column.title for column in found]:
            mistakes.append(Mistake(path, 1, _place(number, title), _("this column stands there before")))
        else:
            found.append(Column(number, title, key, None if key in (BOX, CODE) else instrument))
    if not mistakes and BOX not in [column.title for column in found]:
        mistakes.append(Mistake(path, 1, "", _("the column box_id is missing"), _("the first line names the columns")))
    return found


def _cells(
    path: Path, line: int, columns: list[Column], cells: list[str], mistakes: list[Mistake]
) -> dict[Column, str]:
    if len(cells) != len(columns):
        problem = _("{count} cells, but there are {columns} columns").format(count=len(cells), columns=len(columns))
        mistakes.append(Mistake(path, line, "", problem, _("put quotes around text with a comma")))
    found = zip(columns, (cell.strip() for cell in cells), strict=False)
    return {column: cell for column, cell in found if cell}


def _unfit(path: Path, row: Row) -> list[Mistake]:
    """Return what is wrong with single cells, by the rules of the config file."""
    found: list[Mistake] = []
    if not row.cell(BOX):
        found.append(Mistake(path, row.line, BOX, _("this cell is empty"), _("each box needs an id")))
    for column, text in row.cells.items():
        book = Notebook(path, {})
        if column.key == BOX:
            bind(BoxConfig, {"id": text}, (), book)
        elif column.key != CODE:
            bind(InstrumentConfig, {"id": "any", column.key: text}, (), book, beside=("driver", "activity"))
        elif not is_code(text.encode()):
            book.note((CODE,), _("there is no code in it"), _("give the code as the platform showed it, on one line"))
        place = _place(column.number, column.title)
        found += [Mistake(path, row.line, place, item.problem, item.hint) for item in book.mistakes]
    return found


def _repeated(path: Path, rows: list[Row]) -> list[Mistake]:
    """Return the cells that say what another box has for itself."""
    found: list[Mistake] = []
    first: dict[tuple[str, str], int] = {}
    for row in rows:
        for column, text in row.cells.items():
            # On a Windows card and in many a table capitals make no difference.
            line = first.setdefault((column.key, text.lower()), row.line) if column.key in _UNIQUE else row.line
            if line != row.line:
                problem = _("the same stands in line {line}").format(line=line)
                found.append(Mistake(path, row.line, _place(column.number, column.title), problem))
    return found


def _shared(path: Path, config: Config, rows: list[Row]) -> list[Mistake]:
    """Return the codes that a template gives to instruments of several boxes: hours of all would be those of one."""
    found: list[Mistake] = []
    for number, instrument in enumerate(config.instruments):
        for key in ("asset_code", "platform_code"):
            left = [row for row in rows if not any((of.key, of.instrument) == (key, number) for of in row.cells)]
            if getattr(instrument, key) and len(left) > 1:
                problem = _("{count} boxes would have the same {key}").format(count=len(left), key=key)
                hint = _("leave it out there, or give each box its own in the table")
                found.append(Mistake(path, None, f"instrument[{number + 1}].{key}", problem, hint))
    return found


def _text_for(text: str, row: Row) -> str:
    for column, cell in row.cells.items():
        if column.key == BOX:
            text = with_keys(text, ("box",), {"id": cell})
        elif column.instrument is not None:
            text = with_keys(text, ("instrument", column.instrument), {column.key: cell})
    return text


def _place(number: int, title: str) -> str:
    return _("column {number} ({title})").format(number=number, title=title[:40])
