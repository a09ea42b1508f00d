"""Whatever stands in the file, the answer is a Config or a list of mistakes."""

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from written import outcome

from instrument_agent.config import Config, InvalidConfig, load_config

EXAMPLE_FILE = Path(__file__).parents[2] / "config.example.toml"
EXAMPLE = EXAMPLE_FILE.read_bytes()
ALL_KEYS = b"\n".join(line.removeprefix(b"# ") for line in EXAMPLE.splitlines() if line.startswith(b"# "))


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    load_config(EXAMPLE_FILE)  # whoever loads first also imports the drivers, and each example is timed
    return tmp_path_factory.mktemp("robust") / "config.toml"


@given(content=st.binary())
def test_random_bytes_give_a_config_or_mistakes(written: Path, content: bytes):
    assert isinstance(outcome(written, content), InvalidConfig)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    content = draw(st.sampled_from([EXAMPLE[: EXAMPLE.index(b"\n## -")], ALL_KEYS]))
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(content)))
        length = draw(st.integers(0, 40))
        piece = draw(st.one_of(st.binary(max_size=3), st.just(content[:length]), st.sampled_from(PIECES)))
        content = content[:start] + piece + content[start + draw(st.integers(0, 20)) :]
    return content


PIECES = [
    b'"',
    b"'''",
    b"[",
    b"]]",
    b"{",
    b"\n",
    b"\r\n",
    b"#",
    b"=",
    b"1e999",
    b"nan",
    b"\n[instrument.driver]\n",
    b"-",
]


@given(content=mutated())
def test_a_damaged_example_gives_a_config_or_mistakes(written: Path, content: bytes):
    assert isinstance(outcome(written, content), Config | InvalidConfig)


VALUES = st.recursive(
    st.sampled_from(["0", "-1", "1.5", "nan", "-inf", "9" * 400, "true", "2020-01-01", "10:00:00", '""', "'modbus'"])
    | st.text(max_size=8).map(lambda text: '"' + "".join(f"\\U{ord(c):08x}" for c in text) + '"'),
    lambda inner: (
        st.lists(inner, max_size=2).map(lambda items: f"[{', '.join(items)}]")
        | inner.map(lambda item: f"{{ name = {item} }}")
    ),
    max_leaves=4,
)
SETTINGS = [number for number, line in enumerate(ALL_KEYS.splitlines()) if b" = " in line]


@given(changes=st.dictionaries(st.sampled_from(SETTINGS), VALUES))
def test_any_value_for_any_key_gives_a_config_or_mistakes(written: Path, changes: dict[int, str]):
    lines = ALL_KEYS.decode().splitlines()
    for number, value in changes.items():
        lines[number] = f"{lines[number].split(' = ')[0]} = {value}"
    text = "\n".join(lines)
    tomllib.loads(text)
    result = outcome(written, text.encode())
    if isinstance(result, InvalidConfig):
        assert all(mistake.key for mistake in result.mistakes)
