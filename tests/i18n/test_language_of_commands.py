"""Commands speak the language of their reader, whatever the encoding of the terminal."""

import json
import re
from pathlib import Path

import pytest
from speaking import CHINESE, ENGLISH, is_chinese, keys, run

# An option with the lines its description goes on in; a long one has all of it below.
_OPTION = re.compile(r"^  -.*(?:\n {10,}.*)*", re.MULTILINE)
EXAMPLE = Path(__file__).parents[2] / "config.example.toml"


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(EXAMPLE.read_text(encoding="utf-8").replace("[box]", "[bux]", 1), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "settings",
    [
        {"LANG": "C.UTF-8", "LANGUAGE": "zh_CN"},
        {"LANG": "zh_CN.UTF-8"},
        {"LC_ALL": "zh_CN.UTF-8"},
        {"LANG": "en_US.UTF-8", "LANGUAGE": "zh_CN:zh"},
        {"LANG": "C", "LANGUAGE": "zh_CN"},
    ],
)
def test_check_speaks_chinese_to_a_chinese_reader(settings):
    done = run(settings, "check", "--config", EXAMPLE)
    assert done.returncode == 0
    assert done.stderr.decode("utf-8").startswith("提示：")
    assert done.stdout.decode("utf-8").splitlines() == [
        "配置正确",
        "盒子 lab3-box1",
        "仪器 xrd-1：驱动 modbus，总线 /dev/ttyUSB0",
        "平台 province：https://platform.example.org",
    ]


@pytest.mark.parametrize(
    "settings",
    [{"LANG": "C"}, {"LC_ALL": "C", "LANG": "zh_CN.UTF-8"}, {"LANG": "de_DE.UTF-8"}, {"LANG": "zh_TW.UTF-8"}, {}],
)
def test_check_speaks_english_to_everyone_else(settings):
    done = run(settings, "check", "--config", EXAMPLE)
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, b"OK")
    assert done.stderr.startswith(b"note: ")


def test_mistakes_in_a_config_are_told_in_chinese(bad: Path):
    done = run(CHINESE, "check", "--config", bad)
    assert (done.returncode, done.stdout) == (78, b"")
    assert done.stderr.decode("utf-8").splitlines() == [
        f"{bad}: box: 缺少这个表（写作 [box]）",
        f"{bad}:2: bux: 没有这一项（是不是 box？）",
        "共 2 处错误",
    ]


def test_mistakes_in_a_config_are_told_in_english(bad: Path):
    assert run(ENGLISH, "check", "--config", bad).stderr.decode("ascii").endswith("2 mistakes\n")


@pytest.mark.parametrize(
    "command", ["", "check", "demo", "platform serve", "replay", "run", "scan", "sessions", "status"]
)
def test_help_is_chinese_down_to_the_words_of_click(command: str):
    text = run(CHINESE, *command.split(), "--help").stdout.decode("utf-8")
    assert text.startswith("用法：")
    assert "选项:" in text
    described = _OPTION.findall(text)
    assert described
    # --format speaks for itself; every other option says what it is for.
    assert not [option for option in described if not is_chinese(option)]
    assert not is_chinese(run(ENGLISH, *command.split(), "--help").stdout.decode("ascii"))


@pytest.mark.parametrize("command", [[], ["platform"], ["platform", "codes"]])
def test_the_list_of_commands_says_what_each_is_for_and_cuts_nothing_off(command: list[str]):
    # To click a Chinese sentence is one word, so what is too long for the line would be three dots and nothing else.
    _head, listed = run(CHINESE, *command, "--help").stdout.decode("utf-8").split("命令:\n")
    commands = [line for line in listed.split("\n\n")[0].splitlines() if line.strip()]
    assert commands
    assert not [line for line in commands if not is_chinese(line) or "..." in line]


@pytest.mark.parametrize(
    "arguments", [["replay"], ["chek"], ["check", "--jsn"], ["demo", "--seconds", "1"], ["sessions", "--format", "xml"]]
)
def test_a_mistyped_command_is_answered_in_chinese(arguments: list[str]):
    done = run(CHINESE, *arguments)
    error = done.stderr.decode("utf-8").splitlines()[-1]
    assert done.returncode == 2
    assert error.startswith("错误：")
    assert is_chinese(error.removeprefix("错误："))


@pytest.mark.parametrize("config", ["good", "bad"])
def test_check_as_json_has_the_same_keys_in_both_languages(config: str, bad: Path):
    path = EXAMPLE if config == "good" else bad
    chinese, english = (
        json.loads(run(settings, "check", "--json", "--config", path).stdout) for settings in (CHINESE, ENGLISH)
    )
    assert keys(chinese) == keys(english)
    if config == "good":
        assert is_chinese(chinese.pop("notes")[0])
        assert not is_chinese(english.pop("notes")[0])
        assert chinese == english
    else:
        assert [item["key"] for item in chinese["mistakes"]] == [item["key"] for item in english["mistakes"]]
        assert all(is_chinese(item["problem"]) for item in chinese["mistakes"])
