"""``--lang`` chooses the language of any command, wherever it stands, help and mistakes included."""

import subprocess
from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner
from speaking import CHINESE, ENGLISH, is_chinese, run

from instrument_agent.cli.main import asked_language, cli


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help", "--lang=zh"],
        ["--lang", "zh", "status", "--help"],
        ["platform", "serve", "--help", "--lang", "zh"],
    ],
)
def test_help_is_chinese_for_who_asks_for_chinese(arguments: list[str]):
    done = run(ENGLISH, *arguments)
    text = done.stdout.decode("utf-8")
    assert (done.returncode, done.stderr) == (0, b"")
    assert text.startswith("用法：")
    assert "选项:" in text


def test_help_is_english_for_who_asks_for_english():
    text = run(CHINESE | {"LC_ALL": "zh_CN.UTF-8"}, "check", "--lang", "en", "--help").stdout.decode("utf-8")
    assert text.startswith("Usage:")
    assert not is_chinese(text)


def told(settings: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[bytes]:
    return run(settings, "check", "--config", "/nonexistent.toml", *arguments)


def test_what_a_command_says_is_in_the_language_asked_for():
    assert is_chinese(told(ENGLISH, "--lang", "zh").stderr.decode("utf-8"))
    assert not is_chinese(told(CHINESE, "--lang", "en").stderr.decode("utf-8"))


def test_mistakes_on_the_command_line_are_too():
    assert "错误" in run(ENGLISH, "status", "--lang", "zh", "--jsn").stderr.decode("utf-8")


@pytest.mark.parametrize("arguments", [["--lang", "de"], ["status", "--lang", "de"], ["status", "--lang"]])
def test_another_language_is_refused(arguments: list[str]):
    done = CliRunner().invoke(cli, arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert "--lang" in done.stderr


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        yield from commands(command, (*path, name)) if isinstance(command, click.Group) else [(*path, name)]


def test_every_command_tells_of_it_once():
    assert isinstance(cli, click.Group)
    paths = list(commands(cli))
    assert {(), ("status",), ("platform",), ("platform", "serve")} <= set(paths)
    for path in paths:
        assert CliRunner().invoke(cli, [*path, "--help"]).output.count("--lang [zh|en]") == 1, path


@pytest.mark.parametrize(
    ("arguments", "language"),
    [
        ([], None),
        (["status"], None),
        (["status", "--lang"], ""),
        (["--lang", "zh"], "zh"),
        (["--lang=zh", "status", "--lang", "en"], "en"),
        (["replay", "--", "--lang", "zh"], None),
        (["--language", "zh"], None),
    ],
)
def test_the_last_one_counts_and_nothing_after_two_dashes(arguments: list[str], language: str | None):
    assert asked_language(arguments) == language
