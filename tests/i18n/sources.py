"""The catalogue in the tree, and the sentences in the source."""

import ast
import io
import re
from collections.abc import Iterator
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import read_mo, write_mo
from babel.messages.pofile import read_po

ROOT = Path(__file__).parents[2]
ROOMS = ("agent", "drivers", "buffer")
PO = ROOT / "agent" / "locale" / "zh_CN" / "LC_MESSAGES" / "instrument_agent.po"
TRANSLATORS = {"_", "ngettext"}
COMMANDS_AS_TYPED = "examples"

# {name}, {name!r}, {at:.0f} and %(name)s
_PLACEHOLDER = re.compile(r"\{\w+[^{}]*\}|%\(\w+\)s")


def forms(text: str | tuple[str, ...]) -> tuple[str, ...]:
    return (text,) if isinstance(text, str) else tuple(text)


def placeholders(text: str) -> set[str]:
    return set(_PLACEHOLDER.findall(text))


def catalogue() -> Catalog:
    return read_po(io.BytesIO(PO.read_bytes()), abort_invalid=True)


def sentences(catalog: Catalog) -> dict[tuple[str, ...], tuple[str, ...]]:
    return {forms(message.id): forms(message.string) for message in catalog if message.id}


def compiled(catalog: Catalog) -> dict[tuple[str, ...], tuple[str, ...]]:
    out = io.BytesIO()
    write_mo(out, catalog)
    return sentences(read_mo(io.BytesIO(out.getvalue())))


def extracted() -> dict[tuple[str, ...], str]:
    found = {}
    for room in ROOMS:
        keywords = {"_": None, "ngettext": (1, 2)}
        rows = extract_from_dir(ROOT / room, [("**.py", "python")], keywords=keywords)
        found |= {forms(message): f"{room}/{name}:{line}" for name, line, message, _comments, _context in rows}
    return found


def trees(*, beside: tuple[str, ...] = ()) -> Iterator[tuple[str, ast.Module]]:
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            name = str(path.relative_to(ROOT))
            if not name.startswith(beside):
                yield name, ast.parse(path.read_text(encoding="utf-8"))


def is_translated(node: ast.AST) -> bool:
    return called(node) in TRANSLATORS


def called(node: ast.AST) -> str:
    return node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else ""


def plain_text(node: ast.AST) -> Iterator[str]:
    """The literals in an expression that reach a reader untranslated."""
    if is_translated(node) or called(node) == COMMANDS_AS_TYPED:
        return
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    for child in ast.iter_child_nodes(node):
        yield from plain_text(child)
