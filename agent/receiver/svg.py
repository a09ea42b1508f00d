"""A timeline as SVG."""

from collections.abc import Mapping, Sequence
from datetime import datetime, tzinfo
from html import escape

from instrument_agent.core.readings import Activity
from instrument_agent.receiver.timeline import Stretch

WIDTH, HEIGHT = 720, 30
_LOOKS = {
    Activity.RUNNING: ("#0072B2", HEIGHT),
    Activity.STANDBY: ("#E69F00", HEIGHT * 2 // 3),
    Activity.OFF: ("#777777", 4),
    Activity.UNKNOWN: ("url(#hatched)", HEIGHT),
}
STYLE = ".line{width:100%;height:auto}"
_TICKS = 6


def hatching() -> str:
    """Return the pattern of unknown time, once for a page."""
    return (
        "<svg width='0' height='0' aria-hidden='true'><defs><pattern id='hatched' width='6' height='6'"
        " patternUnits='userSpaceOnUse' patternTransform='rotate(45)'><rect width='6' height='6' fill='#ffffff'/>"
        "<rect width='2' height='6' fill='#b0b0b0'/></pattern></defs></svg>"
    )


def legend_mark(activity: Activity) -> str:
    """Return a small sample of an activity."""
    fill, height = _LOOKS[activity]
    high = max(3, height * 14 // HEIGHT)
    return (
        f"<svg width='16' height='14' aria-hidden='true'><rect y='{14 - high}' width='16' height='{high}'"
        f" fill='{fill}'/></svg>"
    )


def drawing(stretches: Sequence[Stretch], words: Mapping[Activity, str], title: str, zone: tzinfo) -> str:
    """Return a timeline; each stretch says its name and when it was to a pointer that rests on it."""
    start_ms, end_ms = stretches[0].start_ms, stretches[-1].end_ms
    scale = WIDTH / (end_ms - start_ms)
    parts = []
    for item in stretches:
        fill, height = _LOOKS[item.activity]
        x, wide = (item.start_ms - start_ms) * scale, (item.end_ms - item.start_ms) * scale
        told = f"{words[item.activity]} {_text(item.start_ms, zone)} - {_text(item.end_ms, zone)}"
        parts.append(
            f"<rect x='{x:.2f}' y='{HEIGHT - height}' width='{max(wide, 0.5):.2f}' height='{height}'"
            f" fill='{fill}'><title>{escape(told)}</title></rect>"
        )
    for tick in range(_TICKS + 1):
        at_ms = start_ms + (end_ms - start_ms) * tick // _TICKS
        anchor = "start" if tick == 0 else "end" if tick == _TICKS else "middle"
        parts.append(
            f"<text x='{WIDTH * tick / _TICKS:.1f}' y='{HEIGHT + 13}' font-size='10' fill='#555555'"
            f" text-anchor='{anchor}'>{_text(at_ms, zone)}</text>"
        )
    return (
        f"<svg class='line' viewBox='0 0 {WIDTH} {HEIGHT + 16}' role='img' aria-label='{escape(title)}'>"
        f"{''.join(parts)}</svg>"
    )


def _text(utc_ms: int, zone: tzinfo) -> str:
    return f"{datetime.fromtimestamp(utc_ms // 1000, zone):%m-%d %H:%M}"
