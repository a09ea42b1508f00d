"""A witness is another instrument of the same box, and never one's own."""

from pathlib import Path

import pytest
from written import loaded, mistakes_in

INSTRUMENT = """
[[instrument]]
id = "{name}"
driver = {{ name = "mock", script = [1.0] }}
[instrument.activity]
{witness}
"""


def watched(**witnesses: str) -> str:
    text = '[box]\nid = "box-1"\n'
    for name, witness in witnesses.items():
        text += INSTRUMENT.format(name=name, witness=f'witness = "{witness}"' if witness else "")
    return text


def mistakes(tmp_path: Path, **witnesses: str) -> list[tuple[str, int | None, str]]:
    found = mistakes_in(tmp_path, watched(**witnesses))
    return [(item.key, item.line, f"{item.problem}; {item.hint}") for item in found]


def test_an_instrument_may_name_one_and_two_may_name_the_same(tmp_path: Path) -> None:
    config = loaded(tmp_path, watched(xrd="lamp", lamp="", sem="lamp"))
    assert [item.activity.witness for item in config.instruments] == ["lamp", None, "lamp"]
    config = loaded(tmp_path, watched(xrd="lamp", lamp="relay", relay=""))
    assert [item.activity.witness for item in config.instruments] == ["lamp", "relay", None]


def test_one_that_is_not_there_is_told_with_the_nearest_that_is(tmp_path: Path) -> None:
    [(key, line, sentence)] = mistakes(tmp_path, xrd="lmap", lamp="")
    assert (key, line) == ("instrument[1].activity.witness", 8)
    assert sentence.startswith("there is no instrument with this id; ")
    assert "lamp" in sentence


@pytest.mark.parametrize(
    ("witnesses", "wrong"),
    [
        ({"xrd": "xrd"}, [1]),
        ({"xrd": "lamp", "lamp": "xrd"}, [1, 2]),
        ({"xrd": "lamp", "lamp": "relay", "relay": "xrd"}, [1, 2, 3]),
        ({"sem": "xrd", "xrd": "lamp", "lamp": "xrd"}, [2, 3]),
    ],
)
def test_nobody_is_a_witness_of_itself_not_even_through_others(
    tmp_path: Path, witnesses: dict[str, str], wrong: list[int]
) -> None:
    found = mistakes(tmp_path, **witnesses)
    assert [key for key, _line, _sentence in found] == [f"instrument[{number}].activity.witness" for number in wrong]
    assert all("itself" in sentence for _key, _line, sentence in found)


def test_what_can_be_no_id_is_no_witness(tmp_path: Path) -> None:
    assert [key for key, _line, _sentence in mistakes(tmp_path, xrd="a lamp")] == ["instrument[1].activity.witness"]
