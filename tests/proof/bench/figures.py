"""What was measured, beside what is asked for: a small table for people, JSON for programs."""

import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One row: every round's value. `must` and `aim` are lower bounds, or upper ones where less is better."""

    name: str
    unit: str
    samples: Sequence[float]
    must: float | None = None
    aim: float | None = None
    less_is_better: bool = False

    @property
    def reached(self) -> float:
        return statistics.median(self.samples)

    @property
    def verdict(self) -> str:
        if self.must is None:
            return ""
        if self.aim is not None and self._meets(self.aim):
            return "aim"
        return "must" if self._meets(self.must) else "SHORT"

    def _meets(self, bound: float) -> bool:
        return self.reached <= bound if self.less_is_better else self.reached >= bound


def table(figures: Sequence[Figure]) -> str:
    """Medians with the spread of all rounds."""
    width = max(len(figure.name) for figure in figures)
    lines = [
        f"{'':{width}}  {'must':>8} {'aim':>8}  {'reached':>9}  {'lowest':>9} {'highest':>9}  {'unit':8} verdict"
    ]
    for figure in figures:
        spread = f"{_short(min(figure.samples)):>9} {_short(max(figure.samples)):>9}"
        bounds = f"{_short(figure.must):>8} {_short(figure.aim):>8}"
        lines.append(
            f"{figure.name:{width}}  {bounds}  {_short(figure.reached):>9}  {spread}  {figure.unit:8} {figure.verdict}"
        )
    return "\n".join(lines)


def write(path: Path, figures: Sequence[Figure], **conditions: object) -> None:
    rows = [{**asdict(figure), "reached": figure.reached, "verdict": figure.verdict} for figure in figures]
    path.write_text(json.dumps({**conditions, "figures": rows}, indent=2) + "\n")


def _short(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.2f}"
