"""What people read goes through the catalogue; what developers read (the bench, the log) need not."""

import ast
import re

import pytest
from sources import catalogue, forms, is_translated, plain_text, trees

# Reasons of the bench and of the reference platform are for developers and machines.
FOR_DEVELOPERS = ("agent/sandbox/", "agent/receiver/")
SAYS = {
    *("AgentError", "ConfigError", "DeviceUnavailable", "PayloadTooLarge", "PlatformRejected"),
    *("PlatformUnauthorized", "PlatformUnavailable", "StoreUnavailable", "BadRow", "Unfit"),
    *("echo", "print", "add_column", "add_row", "add_task", "note"),
}
SHOWN_OPTIONS = {"help", "epilog", "short_help", "title", "caption", "description", "hint"}
_TWO_WORDS = re.compile(r"[A-Za-z]{2,},? [A-Za-z]{2,}")
_MARKUP = re.compile(r"\[[a-z/ ]+\]")
_COMMAND = re.compile(r"\s*(instrument-agent|pip install|systemctl) ")


def is_sentence(text: str) -> bool:
    return bool(_TWO_WORDS.search(_MARKUP.sub("", text))) and not _COMMAND.match(text)


def name_of(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def untranslated(tree: ast.AST) -> list[str]:
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and not is_translated(node):
            said = node.args if name_of(node) in SAYS else []
            said = [*said, *(keyword.value for keyword in node.keywords if keyword.arg in SHOWN_OPTIONS)]
            found += [text for part in said for text in plain_text(part) if is_sentence(text)]
    return found


@pytest.mark.parametrize(
    "source",
    [
        'click.echo(f"the box {name} is lost")',
        'raise ConfigError(_("translated"), "not translated")',
        '@click.option("--json", help="print it as JSON")\ndef f(): pass',
        'table.add_column("running time")',
    ],
)
def test_a_sentence_that_goes_past_the_catalogue_is_found(source):
    assert untranslated(ast.parse(source))


def test_every_sentence_for_people_goes_through_the_catalogue():
    found = {name: untranslated(tree) for name, tree in trees(beside=FOR_DEVELOPERS)}
    assert not {name: texts for name, texts in found.items() if texts}


def test_every_translated_sentence_is_a_literal_that_can_be_collected():
    # Before Python 3.12 nothing is collected from inside an f-string, though it is looked up when it runs.
    collected = {form for message in catalogue() if message.id for form in forms(message.id)}
    missed = []
    for name, tree in trees():
        for node in ast.walk(tree):
            if is_translated(node) and name != "agent/i18n.py":
                texts = node.args[:1] if node.func.id == "_" else node.args[:2]
                said = [part.value if isinstance(part, ast.Constant) else ast.unparse(part) for part in texts]
                missed += [f"{name}:{node.lineno}: {text}" for text in said if text not in collected]
    assert not missed
