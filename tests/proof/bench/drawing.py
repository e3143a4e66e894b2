"""Pictures as SVG: bar charts, readable on a light and on a dark page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from figures import Row, short

WIDTH, LINE, BAR = 860, 24, 14
LABELS = 300  # where the bars begin
VALUES = 250  # what their texts need at the right
STYLE = """\
<style>
text { font: 13px system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif; fill: #1f2328 }
.ground { fill: #ffffff } .quiet { fill: #59636e } .title { font-weight: 600 } .mark { stroke: #1f2328 }
.ours, .must { fill: #0969da } .rival { fill: #8c959f } .aim { fill: #1a7f37 } .SHORT { fill: #bc4c00 }
.goal { stroke: #8c959f }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .ground { fill: #0d1117 } .quiet { fill: #9198a1 } .mark { stroke: #e6edf3 }
  .ours, .must { fill: #4493f8 } .rival { fill: #656c76 } .aim { fill: #3fb950 } .SHORT { fill: #db6d28 }
}
</style>"""


@dataclass(frozen=True, slots=True)
class Bar:
    label: str
    value: float
    text: str
    rival: bool


def bars(title: str, shown: Sequence[Bar]) -> str:
    """Draw one bar for each value, from zero to the largest."""
    largest = max(bar.value for bar in shown)
    lines = []
    for number, bar in enumerate(shown):
        kind = "rival" if bar.rival else "ours"
        lines.append(_bar(number, bar.label, bar.value / largest, bar.text, kind))
    return _picture(title, lines, rows=len(shown))


FULL = 2.0  # the bar of a figure that is twice as good as it must be ends the scale


def bounds(parts: Mapping[str, Sequence[Row]]) -> str:
    """Draw a bar for each figure, relative to its `must`, with lines at that and at the aim."""
    shown: list[str | Row] = []
    for name, rows in parts.items():
        shown += [name, *rows]
    lines = [
        _text(10, number, line, "title") if isinstance(line, str) else _against_bound(number, line)
        for number, line in enumerate(shown)
    ]
    lines += [
        _vertical(1 / FULL, 0, len(shown), "mark"),
        _text(LABELS + _room() / FULL + 5, 0, "must", "quiet"),
    ]
    title = "Each figure with its requirement (the line) and its aim"
    return _picture(title, lines, rows=len(shown))


def _against_bound(number: int, row: Row) -> str:
    must = row.must or 1.0
    asked = f"must {short(must)}" + (f", aim {short(row.aim)}" if row.aim is not None else "")
    text = f"{short(row.reached)} {row.unit} ({asked}){' short' if row.verdict == 'SHORT' else ''}"
    drawn = _bar(number, row.name, min(1.0, row.relative_to(must) / FULL), text, row.verdict, at=1.0)
    if row.aim is not None:
        aim = must / row.aim if row.less_is_better else row.aim / must
        drawn += _vertical(min(1.0, aim / FULL), number, number + 1, "goal")
    return drawn


def _bar(number: int, label: str, share: float, text: str, kind: str, *, at: float | None = None) -> str:
    """Draw a label, a bar that fills this share of its room, and a text behind it (or at that share)."""
    width = _room() * share
    top = number * LINE + (LINE - BAR) / 2
    beside = LABELS + (width if at is None else _room() * at) + 8
    return (
        f'{_text(LABELS - 10, number, label, "end")}<rect class="{kind}" x="{LABELS}" y="{top:g}" '
        f'width="{width:.1f}" height="{BAR}" rx="2"/>{_text(beside, number, text, "quiet")}'
    )


def _text(x: float, number: int, text: str, kind: str) -> str:
    anchor = ' text-anchor="end"' if kind == "end" else ""
    return f'<text class="{kind}" x="{x:.1f}" y="{number * LINE + 16}"{anchor}>{escape(text)}</text>'


def _vertical(share: float, first: int, last: int, kind: str) -> str:
    x = LABELS + _room() * share
    return f'<line class="{kind}" x1="{x:.1f}" x2="{x:.1f}" y1="{first * LINE}" y2="{last * LINE}"/>'


def _room() -> int:
    return WIDTH - LABELS - VALUES


def _picture(title: str, lines: Sequence[str], *, rows: int) -> str:
    height = rows * LINE + 16
    body = "\n".join(lines)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" role="img">\n'
        f"<title>{escape(title)}</title>\n{STYLE}\n"
        f'<rect class="ground" width="{WIDTH}" height="{height}" rx="6"/>\n'
        f'<g transform="translate(0 8)">\n{body}\n</g>\n</svg>\n'
    )
