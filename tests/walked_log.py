"""The log of a box, walked from end to end as `verify` does it."""

from contextlib import closing
from pathlib import Path

from instrument_agent.buffer.headfile import read_head
from instrument_agent.buffer.reader import Reader
from instrument_agent.buffer.verify import Report, verify


def walked(state_dir: Path) -> Report:
    """Hold the database against itself and its head file."""
    with closing(Reader(state_dir)) as reader:
        return verify(reader, read_head(state_dir))


def walked_without_head(state_dir: Path) -> Report:
    """Hold the database against itself only, as where its head file is gone."""
    with closing(Reader(state_dir)) as reader:
        return verify(reader, None)
