"""Reports the results of an attack: lines of a table, and faults."""

from dataclasses import dataclass, field


@dataclass
class Report:
    """The report of one part. A fault is a sentence; a part without faults has passed."""

    part: str
    lines: list[tuple[str, ...]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def line(self, *cells: object) -> None:
        self.lines.append(tuple(str(cell) for cell in cells))

    def require(self, condition: bool, fault: str) -> None:
        if not condition and fault not in self.faults:
            self.faults.append(fault)

    def __str__(self) -> str:
        width = max((len(line) for line in self.lines), default=0)
        rows = [line + ("",) * (width - len(line)) for line in self.lines]
        widths = [max(len(row[column]) for row in rows) for column in range(width)]
        table = ["    " + "  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
        verdict = "passed" if not self.faults else "FAILED"
        return "\n".join([f"{self.part}: {verdict}", *table, *(f"    ! {fault}" for fault in self.faults)])
