"""How long nothing happens: nearly every reading only says that all goes on as it did.

A stretch of such readings changes nothing but the time, so it needs no state for each of them. ``stretch`` is all that
``step`` does with them.
"""

from collections.abc import Iterator

from instrument_agent.core.activity import Rules, Sample

Number = tuple[int, float]
"""A reading of nothing but the judged channel: boot clock in ns, and the value in its unit."""


def stretch(
    rules: Rules, on: tuple[bool, bool], window: tuple[Sample, ...], numbers: Iterator[Number]
) -> tuple[tuple[Sample, ...], Number | None]:
    """Go through numbers as long as the switches, ``on`` for power and run, see the side they are on.

    ``window`` holds the last one or two samples before. Return the last two of the stretch (``window`` itself if there
    is none), and the first number after it, which is taken out of ``numbers``; None if there is no more.
    """
    powered, running = on
    off_below, run_edge = rules.off_below, rules.run_below if running else rules.run_above
    as_it_is = rules.single_readings and running
    before, centre, centre_ns = window[0].value, window[-1].value, window[-1].at_ns
    before_ns = None
    for number in numbers:
        at_ns, newest = number
        value = max(min(before, centre), min(max(before, centre), newest))  # the median of the three
        goes_on = (value >= off_below) is powered and ((centre if as_it_is else value) >= run_edge) is running
        # A value far below zero says more than off: whether its sensor can be believed is looked at elsewhere.
        if not (goes_on and -off_below < newest and centre_ns < at_ns <= centre_ns + rules.gap_ns):
            break
        before, before_ns, centre, centre_ns = centre, centre_ns, newest, at_ns
    else:
        number = None
    return (window if before_ns is None else (Sample(before_ns, before), Sample(centre_ns, centre))), number
