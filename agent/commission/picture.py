"""A trace as SVG: its values, the bands of the thresholds, and the runs they make of it.

Colours are those of Okabe and Ito, which colour-blind people tell apart; running, standby and off differ in height as
well, and unknown is hatched. Nothing comes from outside the file.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape

from instrument_agent.commission.scale import apart, number_text, time_text, time_ticks, value_range, value_ticks
from instrument_agent.commission.seen import Column, Seen, Stretch
from instrument_agent.core.activity import Rules
from instrument_agent.core.readings import NS_PER_S, Activity
from instrument_agent.i18n import _

COLUMNS = 760
"""As many as the drawing is wide."""
_LEFT, _TOP, _HIGH, _STRIP, _STRIP_HIGH = 80, 46, 280, 346, 30
_WIDTH, _HEIGHT, _RIGHT = 1010, 440, _LEFT + COLUMNS
_MOST_STRETCHES = 2000
_LINE_PX = 14.0
_COLOURS = {
    Activity.RUNNING: ("#0072B2", _STRIP_HIGH),
    Activity.STANDBY: ("#E69F00", _STRIP_HIGH * 2 // 3),
    Activity.OFF: ("#777777", 4),
    Activity.UNKNOWN: ("url(#unknown)", _STRIP_HIGH),
}
_HATCHED = (
    "<defs><pattern id='unknown' width='6' height='6' patternUnits='userSpaceOnUse' patternTransform='rotate(45)'>"
    "<rect width='6' height='6' fill='#ffffff'/><rect width='2' height='6' fill='#b0b0b0'/></pattern></defs>"
)
_FONT = "font-family='system-ui, Noto Sans CJK SC, Microsoft YaHei, sans-serif' font-size='12' fill='#1a1a1a'"


@dataclass(frozen=True, slots=True)
class _Axes:
    """Where times and values are in the drawing."""

    start_s: float
    span_s: float
    low: float
    high: float

    def x(self, at_s: float) -> float:
        return _LEFT + (at_s - self.start_s) / self.span_s * COLUMNS

    def y(self, value: float) -> float:
        return _TOP + _HIGH * (1 - (min(max(value, self.low), self.high) - self.low) / (self.high - self.low))


def picture(seen: Seen, rules: Rules, unit: str, title: str) -> str:
    """Return a trace with its bands and runs; ``unit`` is that of the channel as people write it."""
    low, high = value_range(*((seen.lowest, seen.highest) if seen.lowest <= seen.highest else (0.0, 1.0)))
    axes = _Axes(seen.start_s, (seen.end_s - seen.start_s) or 1.0, low, high)
    size = f"viewBox='0 0 {_WIDTH} {_HEIGHT}' width='{_WIDTH}' height='{_HEIGHT}'"
    parts = [
        f"<svg xmlns='http://www.w3.org/2000/svg' {size} role='img' aria-label='{escape(title)}' {_FONT}>{_HATCHED}",
        f"<rect width='{_WIDTH}' height='{_HEIGHT}' fill='#ffffff'/>",
        f"<text x='{_LEFT}' y='26' font-size='16' font-weight='600'>{escape(title)}</text>",
        *_bands(rules, axes),
        *_value_axis(axes, f"{rules.channel}, {unit}" if unit else rules.channel),
        *_silences(seen, axes),
        *_trace(seen, axes, rules.gap_ns / NS_PER_S),
        *_strip(seen, axes),
        *_time_axis(axes),
        *_thresholds(rules, axes, unit),
        *_legend(),
        "</svg>\n",
    ]
    return "".join(parts)


def words() -> Mapping[Activity, str]:
    """Return the activities in the reader's language."""
    return {
        Activity.OFF: _("off"),
        Activity.STANDBY: _("standby"),
        Activity.RUNNING: _("running"),
        Activity.UNKNOWN: _("unknown"),
    }


def _bands(rules: Rules, axes: _Axes) -> Iterator[str]:
    edges = (
        (axes.low, rules.off_below, Activity.OFF),
        (rules.off_below, rules.run_below, Activity.STANDBY),
        (rules.run_above, axes.high, Activity.RUNNING),
    )
    for low, high, activity in edges:
        tall = axes.y(low) - axes.y(high)
        if tall > 0:
            yield (
                f"<rect x='{_LEFT}' y='{axes.y(high):.1f}' width='{COLUMNS}' height='{tall:.1f}'"
                f" fill='{_COLOURS[activity][0]}' fill-opacity='0.13'/>"
            )


def _value_axis(axes: _Axes, label: str) -> Iterator[str]:
    for value in value_ticks(axes.low, axes.high):
        y = axes.y(value)
        yield f"<path d='M{_LEFT} {y:.1f}h{COLUMNS}' stroke='#dddddd'/>"
        yield f"<text x='{_LEFT - 6}' y='{y + 4:.1f}' text-anchor='end'>{number_text(value)}</text>"
    middle = _TOP + _HIGH / 2
    yield f"<text transform='translate(18 {middle:.0f}) rotate(-90)' text-anchor='middle'>{escape(label)}</text>"


def _silences(seen: Seen, axes: _Axes) -> Iterator[str]:
    for item in _drawn(seen.stretches, axes):
        if item.activity is Activity.UNKNOWN:
            wide = axes.x(item.end_s) - axes.x(item.start_s)
            yield (
                f"<rect x='{axes.x(item.start_s):.2f}' y='{_TOP}' width='{wide:.2f}' height='{_HIGH}'"
                " fill='url(#unknown)'/>"
            )


def _trace(seen: Seen, axes: _Axes, gap_s: float) -> Iterator[str]:
    """Draw from each column's highest to its lowest value; a silence is not drawn over."""
    column_s = axes.span_s / max(1, len(seen.columns))
    for piece in _pieces(seen.columns, gap_s / column_s):
        points = " ".join(
            f"{_LEFT + (at + 0.5) / len(seen.columns) * COLUMNS:.1f},{axes.y(value):.1f}"
            for at, (low, high) in piece
            for value in ((high, low) if high > low else (high,))
        )
        yield f"<polyline points='{points}' fill='none' stroke='#1a1a1a' stroke-linecap='round'/>"


def _pieces(columns: list[Column], bridged: float) -> Iterator[list[tuple[int, tuple[float, float]]]]:
    piece: list[tuple[int, tuple[float, float]]] = []
    for at, column in enumerate(columns):
        if column is None:
            continue
        if piece and at - piece[-1][0] - 1 > bridged:
            yield piece
            piece = []
        piece.append((at, column))
    if piece:
        yield piece if len(piece) > 1 else piece * 2  # a line of one point would not be drawn


def _strip(seen: Seen, axes: _Axes) -> Iterator[str]:
    names = words()
    for item in _drawn(seen.stretches, axes):
        fill, tall = _COLOURS[item.activity]
        wide = max(0.5, axes.x(item.end_s) - axes.x(item.start_s))
        told = f"{names[item.activity]} {item.start_s:.0f} - {item.end_s:.0f} s"
        yield (
            f"<rect x='{axes.x(item.start_s):.2f}' y='{_STRIP + _STRIP_HIGH - tall}' width='{wide:.2f}'"
            f" height='{tall}' fill='{fill}'><title>{escape(told)}</title></rect>"
        )
    count = _("runs: {count}").format(count=len(seen.runs))
    yield f"<text x='{_RIGHT + 8}' y='{_STRIP + 19}'>{escape(count)}</text>"


def _drawn(stretches: list[Stretch], axes: _Axes) -> Iterator[Stretch]:
    """Yield what can be seen; where there are thousands, what is narrower than half a point cannot."""
    least_s = axes.span_s / COLUMNS / 2 if len(stretches) > _MOST_STRETCHES else 0.0
    return (item for item in stretches if item.end_s - item.start_s >= least_s)


def _time_axis(axes: _Axes) -> Iterator[str]:
    ticks = time_ticks(axes.span_s)
    step_s = ticks[1] if len(ticks) > 1 else axes.span_s
    bottom = _STRIP + _STRIP_HIGH
    yield f"<path d='M{_LEFT} {bottom}.5h{COLUMNS}' stroke='#777777'/>"
    for tick in ticks:
        x = axes.x(axes.start_s + tick)
        yield f"<path d='M{x:.1f} {bottom}v5' stroke='#777777'/>"
        yield f"<text x='{x:.1f}' y='{bottom + 18}' text-anchor='middle'>{time_text(tick, step_s)}</text>"
    sentence = _("time since the start of the trace, h:mm")
    if round(axes.start_s):
        sentence = _("time since {start:.0f} s of the trace, h:mm").format(start=axes.start_s)
    middle = _LEFT + COLUMNS / 2
    yield f"<text x='{middle:.0f}' y='{bottom + 38}' text-anchor='middle'>{escape(sentence)}</text>"


def _thresholds(rules: Rules, axes: _Axes, unit: str) -> Iterator[str]:
    """Draw the thresholds that can be seen, from the top down, and name each beside the drawing."""
    named = [
        (rules.run_above, _("run above {value}"), Activity.RUNNING, ""),
        (rules.run_below, _("run below {value}"), Activity.RUNNING, "5 4"),
        (rules.off_below, _("off below {value}"), Activity.OFF, ""),
    ]
    shown = [item for item in named if axes.low <= item[0] <= axes.high]
    places = apart([axes.y(item[0]) for item in shown], _LINE_PX)
    over = max(0.0, places[-1] - (_TOP + _HIGH)) if places else 0.0
    for place, (value, sentence, activity, dashes) in zip(places, shown, strict=True):
        y, colour = axes.y(value), _COLOURS[activity][0]
        text = escape(sentence.format(value=f"{number_text(value)} {unit}".rstrip()))
        look = f"stroke='{colour}' stroke-width='1.5' stroke-dasharray='{dashes}'"
        yield f"<path d='M{_LEFT} {y:.1f}h{COLUMNS + 5}' {look}/>"
        yield f"<text x='{_RIGHT + 8}' y='{place - over + 4:.1f}'>{text}</text>"


def _legend() -> Iterator[str]:
    x = _LEFT
    for activity, word in words().items():
        fill, tall = _COLOURS[activity]
        high = max(3, tall * 12 // _STRIP_HIGH)
        yield f"<rect x='{x}' y='{_HEIGHT - 8 - high}' width='14' height='{high}' fill='{fill}'/>"
        yield f"<text x='{x + 19}' y='{_HEIGHT - 8}'>{escape(word)}</text>"
        x += 110
