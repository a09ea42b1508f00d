"""A box beside the trace of a walk: off, standby, a run and standby again, as a technician records it."""

import json
import random
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from field_box import FieldBox
from in_process import Done

PHASES = [(300, 1.2), (600, 300.0), (1200, 1500.0), (600, 305.0)]  # seconds, watts
WINDOWS = {"off": (0, 299), "standby": (310, 895), "run": (910, 2090), "standby_again": (2110, 2690)}


class WalkedBox(FieldBox):
    """One box whose folder holds ``walk.csv``."""

    def __init__(self, folder: Path, phases: Sequence[tuple[int, float]]) -> None:
        super().__init__(folder, 'name = "mock"\nscript = [20.0]')
        self.database = folder / "state" / "buffer.db"
        self.kept = folder / "state" / "commissioning" / "m1"
        noise, at_s = random.Random(3), 0
        lines = ["timestamp_s,power_w,failure"]
        for seconds, watts in phases:
            for _number in range(seconds // 5):
                lines.append(f"{at_s},{watts + noise.gauss(0, watts / 100):.2f},")
                at_s += 5
        (folder / "walk.csv").write_text("\n".join(lines), encoding="utf-8")

    def answered(self, windows: dict[str, tuple[float, float] | None], **more: str) -> Path:
        lines = ['who = "张三"', 'trace = "walk.csv"', *(f'{key} = "{value}"' for key, value in more.items())]
        lines += [
            f"{step} = {{ skip = true }}" if window is None else f"{step} = {{ window = {list(window)} }}"
            for step, window in windows.items()
        ]
        path = self.folder / "answers.toml"
        path.write_text("\n".join(lines), encoding="utf-8")
        return path

    def commission(self, answers: Path, *arguments: str) -> Done:
        return self.run("commission", "--instrument", "m1", "--answers", str(answers), *arguments)

    def records(self, event: str) -> list[dict[str, Any]]:
        with sqlite3.connect(self.database) as database:
            found = [json.loads(body) for (body,) in database.execute("select body from records order by id")]
        database.close()
        return [item for item in found if item["data"].get("event") == event]

    def report(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.kept / "report.json").read_text(encoding="utf-8"))
        return found
