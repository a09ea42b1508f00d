"""What was said in one language can be said again in another, with all that was filled in."""

import copy
import errno
import json
import os
import ssl

import pytest

from instrument_agent.core.errors import AgentError
from instrument_agent.i18n import _, advised, again, ngettext, speaking, why


def test_an_error_is_told_again_with_the_reason_inside_it() -> None:
    with speaking("en"):
        reason = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "file")
        error = AgentError(_("{path} cannot be written: {error}").format(path="/x", error=reason), _("use sudo"))
        assert str(error) == "/x cannot be written: No space left on device"
        with speaking("zh"):
            said = again({"error": str(error), "hint": error.hint, "others": [_("off"), 1.5, None]})
    assert json.dumps(said, ensure_ascii=False) == (
        '{"error": "/x 无法写入：没有剩余空间", "hint": "请用 sudo", "others": ["关机", 1.5, null]}'
    )


def test_a_sentence_within_a_sentence_and_a_copy_of_it_are_told_again() -> None:
    with speaking("en"):
        said = advised(_("connection refused"), _("use sudo"))
        with speaking("zh"):
            assert again(copy.deepcopy(said)) == "连接被拒绝（请用 sudo）"
    assert said == "connection refused (use sudo)"


@pytest.mark.parametrize(("count", "said"), [(1, "1 mistake"), (2, "2 mistakes")])
def test_a_number_keeps_its_form(count: int, said: str) -> None:
    with speaking("zh"):
        told = ngettext("{count} mistake", "{count} mistakes", count).format(count=count)
        with speaking("en"):
            assert again(told) == said


def test_an_error_is_not_kept_alive_by_what_was_said_of_it() -> None:
    class Traced(OSError):
        gone = False

        def __del__(self) -> None:
            Traced.gone = True

    said = _("{path} cannot be written: {error}").format(path="/x", error=Traced("full"))
    assert Traced.gone
    assert "full" in said


def test_numbers_of_tls_are_not_taken_for_those_of_the_system() -> None:
    with speaking("zh"):
        assert why(ssl.SSLError(1, "[SSL] unknown")) == "[SSL] unknown"
        assert why(PermissionError(errno.EPERM, os.strerror(errno.EPERM))) == "不允许此操作"
