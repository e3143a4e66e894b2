"""Runs the requested parts, prints each when it is done, and keeps or compares the results."""

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT), str(ROOT / "script" / "lib")]

import databases  # noqa: E402
import django  # noqa: E402
import figures  # noqa: E402
import page  # noqa: E402
import record  # noqa: E402
from admin_pages import admin  # noqa: E402
from beside_rivals import entries, rivals  # noqa: E402
from figures import Figure  # noqa: E402
from footprint import refusals, storage  # noqa: E402
from growth import growth  # noqa: E402
from inside import profile, statements  # noqa: E402
from partitions import partitions  # noqa: E402
from record import Record  # noqa: E402
from runs import Size  # noqa: E402
from session_checks import sessions  # noqa: E402
from spends import batch, hot, use  # noqa: E402

from crashes import crashes  # noqa: E402

EVERY_PART = (
    use, hot, batch, rivals, entries, sessions, refusals, storage, statements, growth, partitions, admin, profile,
)  # fmt: skip
PARTS: dict[str, Callable[[Size], Iterator[Figure]]] = {part.__name__: part for part in EVERY_PART}
ONLY_WHEN_NAMED = ("growth", "partitions", "admin", "profile")  # all but the last make millions of rows
WHOLE = Size(rounds=3, seconds=3, rows=5_000_000, tries=240)
QUICK = Size(rounds=1, seconds=2, rows=500_000, tries=80)


def main() -> int:
    options = arguments()
    django.setup()
    size = QUICK if options.quick else WHOLE
    databases.make_small()
    before = record.read()
    found: Record = {}
    for name in options.parts:
        found[name] = measure(name, size)
        if options.json:
            kept = record.read() | found
            page.keep({part: kept[part] for part in PARTS if part in kept})
    return report_falls(before, found) if options.check else 0


def measure(name: str, size: Size) -> record.Part:
    what = str(PARTS[name].__doc__)
    print(f"== {name}: {what}", flush=True)
    rows = [figures.row(figure) for figure in PARTS[name](size)]
    if died := crashes(Path(os.environ["VAR_DIR"]).glob("*.log")):
        raise SystemExit(f"{name}: a process died, so its figures say nothing: {died}")
    if rows:
        print(figures.table(rows), flush=True)
    rounds = f"{size.rounds} rounds of {size.seconds} s"
    return record.measured(name, what, rows, rounds=rounds)


def report_falls(before: Record, found: Record) -> int:
    """Print the figures that got worse, and return the exit status."""
    fallen = [
        f"{name}: {line}"
        for name, part in found.items()
        for line in record.falls(before[name].figures if name in before else [], part.figures)
    ]
    print("\n".join(["", "Worse than docs/figures.json by more than a fifth:", *fallen]) if fallen else "")
    return 1 if fallen else 0


def arguments() -> argparse.Namespace:
    described = "\n".join(f"{name:12}{part.__doc__}" for name, part in PARTS.items())
    parser = argparse.ArgumentParser(
        prog="script/bench", description=described, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="one short round, and fewer rows: for a look")
    parser.add_argument("--json", action="store_true", help="keep the figures in docs/, and draw them")
    parser.add_argument("--check", action="store_true", help="fail if a ratio fell by more than a fifth")
    left_out = ", ".join(ONLY_WHEN_NAMED)
    parser.add_argument("parts", nargs="*", metavar="part", help=f"all but {left_out} when none is named")
    options = parser.parse_args()
    if options.quick and (options.json or options.check):
        parser.error("--quick is for a look: nothing is kept of it, or compared with it")
    if options.json and "BENCH_POOLER" in os.environ:
        parser.error(
            "what is measured behind a pooler is not kept: docs/figures.json is about PostgreSQL itself"
        )
    if unknown := [name for name in options.parts if name not in PARTS]:
        parser.error(f"no such part: {', '.join(unknown)}")
    options.parts = options.parts or [name for name in PARTS if name not in ONLY_WHEN_NAMED]
    return options


if __name__ == "__main__":
    sys.exit(main())
