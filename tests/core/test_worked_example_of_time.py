"""The figures of docs/time.md come out of the lines of Python that stand there."""

import re
import subprocess
import sys
from pathlib import Path

TEXT = (Path(__file__).parents[2] / "docs" / "time.md").read_text(encoding="utf-8")


def test_the_example_prints_what_the_page_says():
    ((code, printed),) = re.findall(r"```python\n(.*?)```\n\n((?:    [^\n]*\n)+)", TEXT, re.DOTALL)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, encoding="utf-8")
    assert done.stdout.splitlines() == [line.strip() for line in printed.splitlines()]
    start, error = done.stdout.split()[0], done.stdout.split()[2]
    assert f"Their middle is {start}" in TEXT
    assert f"half their distance is {error} ms" in TEXT
