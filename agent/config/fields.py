"""What a single value of the config file must look like, where its kind and range do not say it all.

Each check returns nothing or raises Unfit.
"""

import os
import re
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, available_timezones

from instrument_agent.control import LONGEST_PATH, SOCKET_NAME
from instrument_agent.core.readings import Activity
from instrument_agent.i18n import _
from instrument_agent.tables.mistakes import Unfit, nearest, shortened

_IDENTIFIER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_CREDIT_CODE = re.compile(r"[0-9A-HJ-NPQRTUWXY]{18}")
_SCHEMES = {"https": "https", "http": "https", "mqtts": "mqtts", "mqtt": "mqtts"}
"""Each way to a platform, and the one that is encrypted."""
_PREFIX = re.compile("(/[A-Za-z0-9_-]+)*/?")
_CREDIT_CODE_DIGITS = "0123456789ABCDEFGHJKLMNPQRTUWXY"


def check_identifier(text: str) -> None:
    """Check an id: it becomes part of URLs and file names."""
    if not _IDENTIFIER.fullmatch(text):
        raise Unfit(
            _("must be 1 to 64 letters, digits, dots, hyphens or underscores, not {value}").format(
                value=shortened(text)
            ),
            _("it begins with a letter or digit; Chinese names go into name_zh"),
        )


def check_credit_code(text: str) -> None:
    """Check a unified social credit code (GB 32100-2015), if one is given; its last character follows from the rest."""
    if not text:
        return
    if not _CREDIT_CODE.fullmatch(text):
        raise Unfit(_("must be 18 digits and capital letters, without I, O, S, V and Z"))
    # GB 32100-2015, 5.3: weight 3^(i-1) mod 31 for the i-th of the first 17 characters.
    weighted = sum(_CREDIT_CODE_DIGITS.index(letter) * pow(3, place, 31) for place, letter in enumerate(text[:17]))
    if _CREDIT_CODE_DIGITS[-weighted % 31] != text[17]:
        raise Unfit(
            _("its check character does not fit: one of the 18 is wrong"),
            _("copy it from the certificate of the institution"),
        )


def check_idle_levels(days: object) -> None:
    """Check the idle levels: each is more days than the one before."""
    whole = isinstance(days, list) and all(type(day) is int and day > 0 for day in days)
    if not (isinstance(days, list) and whole and days and sorted(set(days)) == days):
        raise Unfit(_("must be whole days, each more than the one before"), _("for example [30, 90, 180]"))


def check_states(states: object) -> None:
    """Check what raw states mean: a table from each state to an activity."""
    if not isinstance(states, dict) or not states:
        raise Unfit(_("must be a table of states"), 'states = { closed = "running", open = "standby" }')
    known = [activity.value for activity in Activity]
    for code, name in states.items():
        if name not in known:
            raise Unfit(
                _("the state {state} must mean one of {names}").format(state=shortened(code), names=", ".join(known)),
                nearest(str(name), known),
            )


def check_timezone(name: str) -> None:
    """Check the name of a time zone against the zones this machine knows."""
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # no such zone, not a zone's name, the name of a directory of zones
        raise Unfit(
            _("there is no time zone {name}").format(name=shortened(name)),
            nearest(name, available_timezones()) or _("for example Asia/Shanghai"),
        ) from None


def check_runtime_dir(path: Path) -> None:
    """Check that the path of the socket in this folder fits into the address of a socket."""
    length = len(os.fsencode(path / SOCKET_NAME))
    if length > LONGEST_PATH:
        raise Unfit(
            _("the path of {name} in this folder has {length} bytes; a socket's may have {limit}").format(
                name=SOCKET_NAME, length=length, limit=LONGEST_PATH
            ),
            _("name a shorter folder, for example /run/instrument-agent"),
        )


def check_url(text: str) -> None:
    """Check a destination's address; records go in plain text only to this machine itself."""
    try:
        url = urlsplit(text)
        _host_and_port = (url.hostname, url.port)  # both are parsed only now, and may be nonsense
    except ValueError:
        raise Unfit(_("is not a valid URL")) from None
    if url.scheme not in _SCHEMES or not url.hostname or url.port == 0 or not text.isascii() or " " in text:
        raise Unfit(_("must be a URL such as https://platform.example.org"))
    if "@" in url.netloc:
        raise Unfit(
            _("must not contain a user name or password"), _("put the token into a file and name it in credential_file")
        )
    if "?" in text or "#" in text:
        raise Unfit(_("must end with the path: no ? and no #"))
    secure = _SCHEMES[url.scheme]
    if secure != url.scheme and not is_loopback(text):
        raise Unfit(
            _("plain {scheme} is allowed only to this machine itself").format(scheme=url.scheme),
            _("use {scheme}").format(scheme=secure),
        )
    if secure == "mqtts" and not _PREFIX.fullmatch(url.path):
        raise Unfit(
            _("its path is what the topics begin with: letters, digits, _ and - between slashes"),
            _("for example mqtts://broker.example.org:8883/instruments"),
        )


def is_loopback(text: str) -> bool:
    """Say whether a URL leads to this machine itself."""
    host = urlsplit(text).hostname or ""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
