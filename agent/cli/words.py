"""The field's words and forms for values, as people read them."""

from collections.abc import Mapping
from datetime import UTC, datetime
from math import floor
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from instrument_agent.core.readings import UnknownReason
from instrument_agent.i18n import _, language

if TYPE_CHECKING:
    from rich.table import Table

NOTHING = "-"
SHOWN = {"power_w": "W", "current_a": "A"}
"""The channels people look at, the first that is there, and their units."""


def activity_word(activity: str) -> str:
    """Return an activity in the reader's language."""
    words = {
        "off": _("off"),
        "standby": _("standby"),
        "running": _("running"),
        "unknown": _("unknown"),
    }
    return words[activity]


def reason_word(reason: str | None) -> str:
    """Return why a time is unknown, in the reader's language; empty for no reason."""
    if not reason:
        return ""
    words = {
        UnknownReason.AGENT_STOPPED: _("the agent was stopped"),
        UnknownReason.AGENT_CRASHED: _("the agent crashed"),
        UnknownReason.POWER_LOSS: _("the box had no power"),
        UnknownReason.DRIVER_UNAVAILABLE: _("the device does not answer"),
        UnknownReason.DRIVER_ERROR: _("the driver failed"),
        UnknownReason.DRIVER_HUNG: _("the driver hangs"),
        UnknownReason.IMPLAUSIBLE_READING: _("the reading is not credible, or its state has no meaning"),
        UnknownReason.SENSOR_SUSPECT: _("the sensor is in doubt"),
        UnknownReason.NOT_CALIBRATED: _("no thresholds yet"),
        UnknownReason.NOT_POLLED: _("not read yet"),
        UnknownReason.NOT_WATCHED: _("not watched"),
        UnknownReason.UNDATED: _("the box had no power, or was on without knowing the time"),
        UnknownReason.STORAGE_FAULT: _("it could not be written down"),
    }
    return words[UnknownReason(reason)]


ACTIVITY_STYLE = {"off": "dim", "standby": "yellow", "running": "bold green", "unknown": "bold red"}


def duration(milliseconds: int | None) -> str:
    """Return a duration as h:mm:ss."""
    if milliseconds is None:
        return NOTHING
    seconds = round(milliseconds / 1000)
    return f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


def local_time(utc_ms: int | None, zone: str) -> str:
    """Return a UTC time (ms since 1970) in the box's zone; a dash where UTC is not known."""
    if utc_ms is None:
        return NOTHING
    return datetime.fromtimestamp(utc_ms / 1000, tz=UTC).astimezone(ZoneInfo(zone)).strftime("%Y-%m-%d %H:%M:%S")


def own_name(instrument: Mapping[str, str]) -> str:
    """Return what an instrument is called in the reader's language, or else in the other."""
    chinese, english = instrument["name_zh"], instrument["name_en"]
    return (chinese or english) if language() == "zh" else (english or chinese)


def percent(share: float | None) -> str:
    """Return a share of 1 in percent, cut and not rounded up to a whole; a dash where there is none to be taken."""
    return NOTHING if share is None else f"{floor(round(1000 * share, 6)) / 10:.1f} %"


def reading(values: Mapping[str, object]) -> str:
    """Return the quantity people look at first, to four digits and with its unit."""
    for name, unit in SHOWN.items():
        if name in values:
            value = values[name]
            if not isinstance(value, int | float):
                return _("not credible")
            return f"{value:.0f} {unit}" if abs(value) >= 1000 else f"{value:.4g} {unit}"  # noqa: PLR2004
    return NOTHING


def unit(code: str) -> str:
    """Return a UCUM unit as people write it."""
    return {"V.A": "VA", "Cel": "°C", "W.h": "Wh", "kW.h": "kWh", "var.h": "varh", "1": ""}.get(code, code)


def plain_table(*titles: str) -> "Table":
    """Return a table that fits a terminal of 80 columns: a rule under the titles, no frame, and nothing cut off."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0), title_justify="left")
    for title in titles:
        table.add_column(title, overflow="fold")  # Chinese has no spaces to break at
    return table
