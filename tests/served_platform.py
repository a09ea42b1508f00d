"""The reference platform for tests of several rooms: as a process of its own, or as many in turn on one server."""

import os
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from starlette.types import ASGIApp, Receive, Scope, Send


class Stage:
    """Lets one server carry the platform of each test in turn: stopping a server takes 0.2 s."""

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)


@contextmanager
def serving(directory: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run ``platform serve`` in ``directory``; give the process and its address."""
    command = [sys.executable, "-m", "instrument_agent.cli.main", "platform", "serve", "--listen", "127.0.0.1:0"]
    process = subprocess.Popen(
        [*command, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=directory,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    try:
        assert select.select([process.stdout], [], [], 30)[0]
        line = process.stdout.readline()
        assert line.startswith("the platform is at "), line + process.stdout.read()
        yield process, line.split()[4].rstrip(";")
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
