"""Plots as inline SVG, rendered on the server: no script, light and dark, readable on phones and desktops.

The drawing stretches to the available width; the text is HTML around it and keeps its size. Colours and sizes are in
static/accounts/pages.css.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

SIDE = 1000  # side of the drawing's square, which is stretched
MOST_TICKS = 5
GAP = 0.2  # between bars, as a share of each bar's slot
UNITS = ((10**12, "T"), (10**9, "B"), (10**6, "M"), (10**3, "k"))
Moment = datetime | date


def steps(points: Sequence[tuple[datetime, int]], *, label: str) -> SafeString:
    """Plot a value that stays until it changes, over time. Points are in chronological order."""
    if not points:
        return _empty(label)
    scale = Scale.of(amount for _, amount in points)
    start, span = points[0][0], (points[-1][0] - points[0][0]) or timedelta(microseconds=1)
    places = [((at - start) / span * SIDE, scale.place(amount)) for at, amount in points]
    line = f"M{_number(places[0][0])} {_number(places[0][1])}" + "".join(
        f"H{_number(x)}V{_number(y)}" for x, y in places[1:]
    )
    drawing = format_html(
        '<path class="plot-fill" d="{}H{}V{}H0Z"/><path class="plot-line" d="{}H{}"/>',
        line, SIDE, _number(scale.place(0)), line, SIDE,
    )  # fmt: skip
    return _figure(label, points, scale, drawing)


def bars(values: Sequence[tuple[date, int]], *, label: str) -> SafeString:
    """Plot one bar per day, with its number as a tooltip."""
    if not values:
        return _empty(label)
    scale = Scale.of(amount for _, amount in values)
    place = SIDE / len(values)
    drawing = format_html_join(
        "",
        '<g><title>{}: {}</title><rect class="plot-place" x="{}" y="0" width="{}" height="{}"/>'
        '<rect class="plot-bar" x="{}" y="{}" width="{}" height="{}"/></g>',
        (
            (
                written(day), f"{amount:,}", _number(n * place), _number(place), SIDE,
                _number((n + GAP / 2) * place), _number(min(scale.place(amount), scale.place(0))),
                _number(place * (1 - GAP)), _number(abs(scale.place(amount) - scale.place(0))),
            )
            for n, (day, amount) in enumerate(values)
        ),
    )  # fmt: skip
    return _figure(label, values, scale, drawing)


@dataclass(frozen=True, slots=True)
class Scale:
    """The vertical range of a plot, from its lowest to its highest tick, always including zero."""

    ticks: Sequence[int]

    @classmethod
    def of(cls, amounts: Iterable[int]) -> "Scale":
        amounts = list(amounts)
        return cls(ticks(min([0, *amounts]), max([0, *amounts])))

    def place(self, amount: int) -> float:
        """Return the distance below the upper edge."""
        low, high = self.ticks[0], self.ticks[-1]
        return (high - amount) / (high - low) * SIDE


def ticks(low: int, high: int) -> list[int]:
    """Return at most six whole numbers, 1, 2 or 5 times a power of ten apart, that enclose `low` and `high`."""
    wanted = -(-max(high - low, 1) // (MOST_TICKS - 1))
    power: int = 10 ** (len(str(wanted)) - 1)
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= wanted)
    first, last = low // step, -(-high // step)
    return [number * step for number in range(first, max(last, first + 1) + 1)]


def short(amount: int) -> str:
    """Return a number for an axis: `950`, `12.5k`, `-3M`."""
    for size, unit in UNITS:
        if abs(amount) >= size:
            return f"{amount / size:,.1f}".removesuffix(".0") + unit
    return str(amount)


def written(moment: Moment) -> str:
    return f"{moment.day} {moment:%b %Y}"


def _figure(
    label: str, points: Sequence[tuple[Moment, int]], scale: Scale, drawing: SafeString
) -> SafeString:
    lines = format_html_join(
        "",
        '<line class="{}" x1="0" x2="{}" y1="{}" y2="{}"/>',
        (
            ("plot-zero" if tick == 0 else "plot-grid", SIDE, *[_number(scale.place(tick))] * 2)
            for tick in scale.ticks
        ),
    )
    numbers = format_html_join(
        "",
        '<span style="top:{}%">{}</span>',
        ((_number(scale.place(tick) / SIDE * 100), short(tick)) for tick in scale.ticks),
    )
    return format_html(
        '<figure class="plot"><figcaption>{}</figcaption><div class="plot-area">'
        '<div class="plot-numbers" aria-hidden="true">{}</div>'
        '<svg role="img" aria-label="{}" viewBox="0 0 {} {}" preserveAspectRatio="none">{}{}</svg></div>'
        '<div class="plot-times" aria-hidden="true">{}</div></figure>',
        label, numbers, _summary(label, points), SIDE, SIDE, lines, drawing, _times(points),
    )  # fmt: skip


def _summary(label: str, points: Sequence[tuple[Moment, int]]) -> str:
    """Describe the plot for screen readers."""
    (first, _), (last, latest) = points[0], points[-1]
    amounts = [amount for _, amount in points]
    return (
        f"{label}, {written(first)} to {written(last)}: "
        f"lowest {min(amounts):,}, highest {max(amounts):,}, last {latest:,}"
    )


def _times(points: Sequence[tuple[Moment, int]]) -> SafeString:
    """Return the first, middle and last moment, since three fit on a phone."""
    first, last = points[0][0], points[-1][0]
    moments = [first] if first == last else [first, first + (last - first) / 2, last]
    within_days = isinstance(first, datetime) and last - first < timedelta(days=3)
    texts = [f"{moment.day} {moment:%b %H:%M}" if within_days else written(moment) for moment in moments]
    return format_html_join("", "<span>{}</span>", ((text,) for text in texts))


def _empty(label: str) -> SafeString:
    return format_html(
        '<figure class="plot"><figcaption>{}</figcaption><p class="plot-empty">Nothing yet.</p></figure>',
        label,
    )


def _number(value: float) -> str:
    """Return a number as short as a thousandth of the drawing allows: 400 points take a few kilobytes."""
    return f"{value:.1f}".removesuffix(".0")
