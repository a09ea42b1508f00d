"""Take the pictures of the demo's live view again: docs/demo.svg, and docs/demo.zh-CN.svg with LANGUAGE=zh_CN."""

import io
import re
import sys
import tempfile
from pathlib import Path

from rich.console import Console

from instrument_agent.cli.demo import _picture
from instrument_agent.sandbox.demo import Demo, Look

WIDTH, SECONDS, MOMENT = 100, 30.0, 0.48


def main(target: Path) -> None:
    """Run the demo and keep one moment of it."""
    taken: list[Look] = []
    demo = Demo(Path(tempfile.mkdtemp(prefix="pictures-")), SECONDS, 1.0)
    demo.run(lambda look: taken.append(look) if look.at_s > MOMENT * look.span_s and not taken else None)
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
    taken[0].status["config"] = "demo.toml"
    console.print(_picture(taken[0]))
    svg = console.export_svg(title="instrument-agent demo")
    # Nothing is loaded from elsewhere: the reader's own monospaced font does.
    target.write_text(re.sub(r"@font-face \{.*?\}", "", svg, flags=re.DOTALL), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
