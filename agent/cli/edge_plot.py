"""A start or an end of a run as a terminal shows it: every reading near it, the threshold, and where it was dated."""

from collections.abc import Iterator, Sequence

WIDTH, ROWS = 61, 8
READ, RANGE, DATED, LINE = (
    "\N{BLACK CIRCLE}",
    "\N{BOX DRAWINGS LIGHT VERTICAL}",
    "\N{BOX DRAWINGS LIGHT DOUBLE DASH VERTICAL}",
    "-",
)
_LABEL = 10

Point = tuple[float, float, float]
"""Seconds from the edge, the lowest and the highest value there."""


def edge_plot(points: Sequence[Point], threshold: float, reach_s: float) -> Iterator[str]:
    """Yield the lines of a plot from ``reach_s`` before the edge to as much after it; the edge is its middle."""
    low = min(threshold, *(point[1] for point in points))
    high = max(threshold, *(point[2] for point in points))
    span = (high - low) or 1.0

    def row_of(value: float) -> int:
        return round((value - low) / span * (ROWS - 1))

    canvas = [[" "] * WIDTH for _row in range(ROWS)]
    canvas[row_of(threshold)] = [LINE] * WIDTH
    for cells in canvas:
        cells[WIDTH // 2] = DATED
    for at_s, lowest, highest in points:
        column = round((at_s + reach_s) / (2 * reach_s) * (WIDTH - 1))
        if 0 <= column < WIDTH:
            first, last = row_of(lowest), row_of(highest)
            for row in range(first, last + 1):
                canvas[row][column] = READ if first == last else RANGE
    labels = {row_of(low): low, row_of(high): high, row_of(threshold): threshold}
    for number in reversed(range(ROWS)):
        label = f"{labels[number]:.5g}" if number in labels else ""
        yield f"{label:>{_LABEL}} {''.join(canvas[number])}".rstrip()
    left, right = f"-{reach_s:g} s", f"+{reach_s:g} s"
    yield " " * (_LABEL + 1) + left.ljust(WIDTH // 2) + "0" + right.rjust(WIDTH // 2)
