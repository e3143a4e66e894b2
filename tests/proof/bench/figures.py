"""Measured figures beside their requirements: every round's value, and the row that is kept of it."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One row, with every round's value. `must` and `aim` are lower bounds, or upper ones if less is better.

    `rival` marks a value that something other than the service reached.
    """

    name: str
    unit: str
    samples: Sequence[float]
    must: float | None = None
    aim: float | None = None
    less_is_better: bool = False
    rival: bool = False


class Row(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The part of a figure that docs/figures.json keeps: the median, and the spread of the rounds."""

    name: str
    unit: str
    reached: float
    lowest: float
    highest: float
    must: float | None = None
    aim: float | None = None
    less_is_better: bool = False
    rival: bool = False

    @property
    def verdict(self) -> str:
        if self.must is None:
            return ""
        if self.aim is not None and self.relative_to(self.aim) >= 1:
            return "aim"
        return "must" if self.relative_to(self.must) >= 1 else "SHORT"

    def relative_to(self, bound: float) -> float:
        """Return how far a bound is reached: 1 is the bound itself, and more is better, whichever way the figure
        counts.
        """
        return bound / self.reached if self.less_is_better else self.reached / bound


def row(figure: Figure) -> Row:
    return Row(
        name=figure.name,
        unit=figure.unit,
        reached=_rounded(statistics.median(figure.samples)),
        lowest=_rounded(min(figure.samples)),
        highest=_rounded(max(figure.samples)),
        must=figure.must,
        aim=figure.aim,
        less_is_better=figure.less_is_better,
        rival=figure.rival,
    )


def table(rows: Sequence[Row]) -> str:
    """Return a table of medians with the spread of all rounds."""
    width = max(len(row.name) for row in rows)
    lines = [
        f"{'':{width}}  {'must':>8} {'aim':>8}  {'reached':>9}  {'lowest':>9} {'highest':>9}  {'unit':8} verdict"
    ]
    for row in rows:
        spread = f"{short(row.lowest):>9} {short(row.highest):>9}"
        bounds = f"{short(row.must):>8} {short(row.aim):>8}"
        lines.append(
            f"{row.name:{width}}  {bounds}  {short(row.reached):>9}  {spread}  {row.unit:8} {row.verdict}"
        )
    return "\n".join(lines)


def short(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.2f}"


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")
