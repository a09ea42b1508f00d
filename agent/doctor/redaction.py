"""Takes secrets out of texts that leave the box.

Two nets: the secrets this box knows, wherever they stand and in whatever form they travel, and whatever looks like a
secret. A secret that is neither known here nor named as one cannot be told from any other word.
"""

import json
import re
from base64 import b64encode
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import quote

REMOVED = "[removed]"
SHORTEST = 4
"""Shorter words would be taken out of innocent text."""
_NAMES = r"pass(?:word|wd|phrase)?|secret|token|credential|api[_-]?key|private[_-]?key|one[_-]?time[_-]?code|pwd"
_NAMED = re.compile(rf"(?i)\b((?:[\w-]*[_-])?(?:{_NAMES})[\"']?\s*[:=]\s*)(\"[^\"\n]*\"|'[^'\n]*'|[^\s,;}}\]]+)")
_USERINFO = re.compile(r"([A-Za-z][\w+.-]*://)[^\s/@\"']+@")
_AUTHORIZATION = re.compile(r"(?i)\b(bearer|basic|digest)\s+[\w.~+/=:-]{4,}")
_PRIVATE_KEY = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL)
_SECRET_VARIABLE = re.compile(rf"(?i)({_NAMES}|auth)")


def secrets_in(texts: Iterable[str], environment: Mapping[str, str]) -> list[str]:
    """Return the secrets that stand in files of secrets and in variables that are called so, longest first."""
    found: set[str] = set()
    for text in texts:
        found |= set(_words(text))
    for name, value in environment.items():
        if _SECRET_VARIABLE.search(name):
            found.add(value.strip())
    return sorted((word for word in found if len(word) >= SHORTEST), key=len, reverse=True)


def redacted(text: str, secrets: Iterable[str]) -> str:
    """Return ``text`` without the secrets, and without what looks like one."""
    for secret in secrets:
        for form in _forms(secret):
            text = text.replace(form, REMOVED)
    text = _PRIVATE_KEY.sub(REMOVED, text)
    text = _USERINFO.sub(rf"\1{REMOVED}@", text)
    text = _AUTHORIZATION.sub(rf"\1 {REMOVED}", text)
    return _NAMED.sub(rf"\1{REMOVED}", text)


def readable(paths: Iterable[Path]) -> list[str]:
    """Return the contents of the files that may be read."""
    found = []
    for path in paths:
        try:
            found.append(path.read_text(encoding="utf-8", errors="replace"))
        except OSError:  # who may not read a secret cannot give it away by name either
            continue
    return found


def _forms(secret: str) -> list[str]:
    """Return a secret as it stands in plain text, JSON, a URL and a header."""
    encoded = b64encode(secret.encode()).decode().rstrip("=")
    return [secret, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1], quote(secret, ""), encoded]


def _words(text: str) -> list[str]:
    """Return what is secret in a file: the values of a JSON object, else every line, and what follows USER: in it."""
    try:
        whole = json.loads(text)
    except ValueError:
        whole = None
    if isinstance(whole, dict):
        return [value for value in whole.values() if isinstance(value, str)]
    lines = [line.strip() for line in text.splitlines() if not line.startswith("-----")]
    return lines + [line.partition(":")[2] for line in lines]
