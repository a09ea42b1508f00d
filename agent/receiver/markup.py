"""The page as HTML with SVG in it: nothing from outside, every foreign word escaped.

Colours are those of Okabe and Ito, which colour-blind people tell apart; running, standby and off differ in height as
well, and unknown is hatched.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape
from urllib.parse import quote
from zoneinfo import ZoneInfo

from instrument_agent.core.readings import NS_PER_S, Activity
from instrument_agent.receiver.counting import Hours, Instrument
from instrument_agent.receiver.look import BoxShown, Shown
from instrument_agent.receiver.svg import STYLE as SVG_STYLE
from instrument_agent.receiver.svg import drawing, hatching, legend_mark
from instrument_agent.receiver.tongue import CHINESE, Speak
from instrument_agent.receiver.views import Oddity

REFRESH_S = 30
MOST_OFFLINE = 20
MOST_ODDITIES = 200
"""How many are listed; their number is always shown."""
_STYLE = """
body{font:15px/1.5 system-ui,"Noto Sans CJK SC","Microsoft YaHei",sans-serif;margin:0;color:#1a1a1a;background:#f6f6f4}
header,main,footer{max-width:1100px;margin:0 auto;padding:12px 20px}
h1{font-size:20px;margin:0}h2{font-size:17px;margin:0}a{color:#00507f}
section{background:#fff;border:1px solid #ddd;border-radius:6px;padding:12px 16px;margin:0 0 14px}
.facts{display:flex;flex-wrap:wrap;gap:4px 22px;color:#555}.odd{color:#8a3200;font-weight:600}
.row{display:grid;grid-template-columns:230px 90px 1fr;gap:12px;align-items:center;padding:6px 0}
.row{border-top:1px solid #eee}
.name{overflow-wrap:anywhere}.quiet{color:#666;font-size:13px}table{border-collapse:collapse}
td,th{padding:3px 18px 3px 0;text-align:left}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}
.legend span{margin-right:16px}svg{vertical-align:middle}
"""


@dataclass(frozen=True, slots=True)
class Frame:
    """How it is looked at: ``now_ns`` (UTC since 1970), the last ``hours``, times of the clocks in ``zone``."""

    now_ns: int
    hours: int
    zone: ZoneInfo


def list_page(_: Speak, boxes: Sequence[BoxShown], offline: Sequence[str], frame: Frame, page: tuple[int, int]) -> str:
    """Return the page that lists boxes; ``page`` is its number and how many there are.

    ``offline`` names those of all pages, the latest lost first.
    """
    shown = "".join(_section(_, box, frame) for box in boxes)
    if not boxes:
        empty = _("No box has been heard of yet. The address for boxes is that of this page.")
        shown = f"<section>{escape(empty)}</section>"
    turned = "".join(
        f" <a href='?hours={frame.hours}&amp;page={number}'>{number}</a>"
        for number in range(1, page[1] + 1)
        if page[1] > 1
    )
    return _whole(_, _choices(_, frame.hours) + _offline(_, offline, frame) + shown + turned, frame)


def box_page(_: Speak, box: BoxShown, counted: Sequence[Hours], frame: Frame) -> str:
    """Return the page of one box: its timelines, its hours counted once, and what does not fit."""
    back = escape(_("All boxes"))
    parts = [f"<p><a href='/'>{back}</a></p>", _choices(_, frame.hours), _section(_, box, frame)]
    parts.append(_hours_table(_, counted))
    if box.oddities:
        title = escape(_("What does not fit"))
        items = "".join(f"<li>{escape(_oddity(_, item))}</li>" for item in box.oddities[:MOST_ODDITIES])
        parts.append(f"<section><h2>{title}</h2><ul>{items}</ul></section>")
    return _whole(_, "".join(parts), frame)


def trouble_page(_: Speak, sentence: str) -> str:
    """Return a page that says one thing."""
    return _whole(_, f"<section>{escape(sentence)}</section>", None)


def _whole(_: Speak, inside: str, frame: Frame | None) -> str:
    about = _("A reference platform for demos, tests, pilots and one institute. What scales is the contract.")
    title = _("Instruments and boxes")
    seen = "" if frame is None else f"<p class='quiet'>{escape(_clock_text(frame))}</p>"
    return (
        f"<!doctype html><html lang='{_.code}'><head><meta charset='utf-8'>"
        f"<meta http-equiv='refresh' content='{REFRESH_S}'><meta name='viewport' content='width=device-width'>"
        f"<title>{escape(title)}</title><style>{_STYLE}{SVG_STYLE}</style></head><body>{hatching()}"
        f"<header><h1>{escape(title)}</h1>{seen}</header><main>{_legend(_)}{inside}</main>"
        f"<footer class='quiet'>{escape(about)}</footer></body></html>"
    )


def _offline(_: Speak, boxes: Sequence[str], frame: Frame) -> str:
    if not boxes:
        return ""
    told = escape(_("boxes that are offline: {count}").format(count=len(boxes)))
    links = " ".join(_link(box_id, frame) for box_id in boxes[:MOST_OFFLINE])
    return f"<p><span class='odd'>{told}</span> {links}{' ...' if len(boxes) > MOST_OFFLINE else ''}</p>"


def _link(box_id: str, frame: Frame) -> str:
    return f"<a href='/boxes/{quote(box_id, safe='')}?hours={frame.hours}'>{escape(box_id)}</a>"


def _section(_: Speak, box: BoxShown, frame: Frame) -> str:
    link = _link(box.box_id, frame)
    facts = [escape(_heard(_, box, frame.now_ns))]
    if box.waiting is not None:
        facts.append(escape(_("records waiting on the box: {count}").format(count=box.waiting)))
    if box.oddities:
        told = _("what does not fit: {count}").format(count=len(box.oddities))
        facts.append(f"<span class='odd'>{escape(told)}</span>")
    if any(item.kind == "two_boxes" for item in box.oddities):
        twice = _("two live boxes have this name")
        facts.append(f"<span class='odd'>{escape(twice)}</span>")
    rows = "".join(_row(_, item, frame.zone) for item in box.instruments)
    if not rows:
        silent = _("This box has not told of any instrument yet.")
        rows = f"<p class='quiet'>{escape(silent)}</p>"
    told = "".join(f"<span>{fact}</span>" for fact in facts)
    return f"<section><h2>{link}</h2><div class='facts'>{told}</div>{rows}</section>"


def _row(_: Speak, item: Shown, zone: ZoneInfo) -> str:
    name = item.name_zh or item.name_en if _.code == CHINESE else item.name_en or item.name_zh
    known = _("coverage") + " " + ("-" if item.coverage is None else f"{100 * item.coverage:.1f} %")
    activity = item.activity or Activity.UNKNOWN
    label = _word(_, activity)
    words = {kind: _word(_, kind) for kind in Activity}
    picture = drawing(item.stretches, words, f"{item.instrument_id}: {label}", zone)
    return (
        f"<div class='row'><div class='name'>{escape(item.instrument_id)}"
        f"<div class='quiet'>{escape(name)}</div><div class='quiet'>{escape(known)}</div></div>"
        f"<div>{legend_mark(activity)} {escape(label)}</div>{picture}</div>"
    )


def _heard(_: Speak, box: BoxShown, now_ns: int) -> str:
    if box.heard.received_ns is None:
        return _("no heartbeat yet")
    ago_s = max(0, (now_ns - box.heard.received_ns) // NS_PER_S)
    ago = f"{ago_s // 3600}:{ago_s // 60 % 60:02d}:{ago_s % 60:02d}"
    if box.online:
        return _("online, last heartbeat {ago} ago").format(ago=ago)
    return _("offline, last heartbeat {ago} ago").format(ago=ago)


def _legend(_: Speak) -> str:
    marks = "".join(f"<span>{legend_mark(kind)} {escape(_word(_, kind))}</span>" for kind in Activity)
    return f"<p class='legend'>{marks}</p>"


def _choices(_: Speak, hours: int) -> str:
    words = {24: _("24 hours"), 168: _("7 days"), 744: _("31 days")}
    links = (
        f"<b>{escape(word)}</b>" if span == hours else f"<a href='?hours={span}'>{escape(word)}</a>"
        for span, word in words.items()
    )
    return f"<p>{' · '.join(links)}</p>"


def _hours_table(_: Speak, counted: Sequence[Hours]) -> str:
    title = escape(_("Hours, each second of an instrument counted once"))
    if not counted:
        none = escape(_("No session has been reported yet."))
        return f"<section><h2>{title}</h2><p class='quiet'>{none}</p></section>"
    heads = (_("instrument"), _("powered"), _("running"), _("reported twice, not counted"), _("without a date"))
    head = "".join(f"<th{' class=n' if at else ''}>{escape(text)}</th>" for at, text in enumerate(heads))
    rows = "".join(
        f"<tr><td>{escape(_whose(item.instrument))}</td>"
        + "".join(
            f"<td class=n>{_span_text(spent_ms)}</td>"
            for spent_ms in (
                item.powered.counted_ms,
                item.running.counted_ms,
                max(item.running.doubled_ms, item.powered.doubled_ms),
                max(item.running.undated_ms, item.powered.undated_ms),
            )
        )
        + "</tr>"
        for item in counted
    )
    return f"<section><h2>{title}</h2><table><tr>{head}</tr>{rows}</table></section>"


def _whose(instrument: Instrument) -> str:
    return instrument.platform_code or f"{instrument.box_id} / {instrument.instrument_id}"


def _oddity(_: Speak, item: Oddity) -> str:
    sentences = {
        "conflict": _("another content came under a key that is taken; the first one stays"),
        "rejected": _("a record was refused"),
        "gap": _("a record is missing"),
        "broken_link": _("a record does not link to the one before it"),
        "fork": _("two epochs follow the same one: a card was copied or put back"),
        "broken_epoch": _("an epoch does not follow the end of the one it names"),
        "two_boxes": _("two live boxes have this name"),
    }
    return sentences[item.kind] + (f" ({item.epoch} / {item.seq})" if item.epoch else "")


def _word(_: Speak, activity: Activity) -> str:
    words = {
        Activity.OFF: _("off"),
        Activity.STANDBY: _("standby"),
        Activity.RUNNING: _("running"),
        Activity.UNKNOWN: _("unknown"),
    }
    return words[activity]


def _span_text(milliseconds: int) -> str:
    minutes = milliseconds // 60_000
    return f"{minutes // 60}:{minutes % 60:02d}"


def _clock_text(frame: Frame) -> str:
    return f"{datetime.fromtimestamp(frame.now_ns // NS_PER_S, frame.zone):%Y-%m-%d %H:%M:%S} {frame.zone.key}"
