"""The agent's local socket: one line of JSON asks, one line answers.

The running agent owns the ports and the database, so a command that needs either asks it here. Who may open the
socket (mode 0660) may ask. The answer is in the language of whoever asks, also where it tells of what was earlier.
"""

import json
import logging
import os
import socket
import socketserver
import threading
from collections.abc import Callable, Mapping
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

from instrument_agent.core.errors import AgentError
from instrument_agent.i18n import LANGUAGES, _, again, language, speaking, why
from instrument_agent.rights import join_hint, refuse_open_folder

log = logging.getLogger(__name__)

SOCKET_NAME = "control.sock"
LONGEST_PATH = 107
"""Bytes that fit into sun_path beside its final zero (unix(7))."""
LONGEST_LINE = 1_000_000
ANSWER_WITHIN_S = 10.0

Answers = Mapping[str, Callable[[Mapping[str, Any]], Any]]


class NoAgent(Exception):
    """No agent answers on this socket."""


class RequestFailed(AgentError):
    """An agent answers, but it could not do what it was asked."""


class MayNotAsk(AgentError):
    """The socket cannot be reached by this user, so nobody knows whether an agent answers there."""


class ControlServer:
    """Answers requests on threads of its own until closed."""

    def __init__(self, runtime_dir: Path, answers: Answers) -> None:
        """Make the socket and answer.

        Raises:
            AgentError: there can be no socket in ``runtime_dir``.
        """
        self._path = runtime_dir / SOCKET_NAME
        try:
            self._server = _listening(self._path)
        except OSError as error:
            raise AgentError(
                _("the runtime directory {path} cannot be used: {error}").format(path=runtime_dir, error=why(error)),
                _("create it and give it to the user the agent runs as, or set box.runtime_dir"),
            ) from error
        self._server.answers = answers
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.2,), name="control", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop answering and remove the socket."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._path.unlink(missing_ok=True)


def ask(runtime_dir: Path, request: Mapping[str, Any]) -> Any:  # JSON
    """Ask the running agent.

    Raises:
        NoAgent: none answers here.
        MayNotAsk: this user may not ask it.
        RequestFailed: one does, and says why it could not.
    """
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(ANSWER_WITHIN_S)
            connection.connect(str(runtime_dir / SOCKET_NAME))
            with connection.makefile("rwb") as stream:
                stream.write(json.dumps({"language": language(), **request}).encode() + b"\n")
                stream.flush()
                answer = json.loads(stream.readline())
    except PermissionError as error:
        path = runtime_dir / SOCKET_NAME
        raise MayNotAsk(
            _("an agent may be running, but this user may not ask it: no permission for {path}").format(path=path),
            join_hint(path),
        ) from error
    except (OSError, ValueError) as error:
        raise NoAgent(str(error)) from error
    if "error" in answer:
        raise RequestFailed(answer["error"], answer.get("hint", ""))
    return answer["answer"]


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    answers: Answers = {}  # noqa: RUF012  # replaced, never changed


def _listening(path: Path) -> _Server:
    path.parent.mkdir(parents=True, exist_ok=True)
    refuse_open_folder(path.parent)
    # Only the holder of the state lock comes here, so what is left is a dead agent's.
    path.unlink(missing_ok=True)
    before = os.umask(0o117)
    try:
        return _Server(str(path), _Handler)
    finally:
        os.umask(before)


class _Handler(socketserver.StreamRequestHandler):
    server: _Server
    timeout = ANSWER_WITHIN_S

    def handle(self) -> None:
        """Answer the requests of one connection."""
        with suppress(OSError):  # whoever asked is gone, or says nothing any more
            while line := self.rfile.readline(LONGEST_LINE):
                self.wfile.write(self._answer(line).encode() + b"\n")

    def _answer(self, line: bytes) -> str:
        try:
            request = json.loads(line)
            handler = self.server.answers[request["do"]]
            asked_in = request.get("language")
        except (ValueError, KeyError, TypeError, RecursionError):
            return json.dumps({"error": _("the request is not understood")})
        with speaking(asked_in) if asked_in in LANGUAGES else nullcontext():
            return self._answered(request, handler)

    @staticmethod
    def _answered(request: Mapping[str, Any], handler: Callable[[Mapping[str, Any]], Any]) -> str:
        try:
            return json.dumps({"answer": again(handler(request))}, ensure_ascii=False, allow_nan=False)
        except AgentError as error:
            log.info("%s was refused: %s", request["do"], error)
            return json.dumps(again({"error": str(error), "hint": error.hint}), ensure_ascii=False)
        except Exception as error:
            log.exception("answering %r failed", request["do"])
            return json.dumps({"error": str(error) or type(error).__name__})
