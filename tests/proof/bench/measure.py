"""Runs the parts that were asked for, prints each as it is done, and all of them at the end."""

import argparse
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT), str(ROOT / "script" / "lib")]

import databases  # noqa: E402
import django  # noqa: E402
import figures  # noqa: E402
from admin_pages import admin  # noqa: E402
from figures import Figure  # noqa: E402
from growth import growth  # noqa: E402
from inside import profile, statements  # noqa: E402
from parts import Size, batch, hot, rivals, use  # noqa: E402

PARTS: dict[str, Callable[[Size], Iterator[Figure]]] = {
    part.__name__: part for part in (use, rivals, hot, batch, growth, admin, statements, profile)
}
WHOLE = Size(rounds=5, seconds=5, rows=5_000_000, tries=240)
QUICK = Size(rounds=3, seconds=2, rows=500_000, tries=80)


def main() -> None:
    options = arguments()
    django.setup()
    size = QUICK if options.quick else WHOLE
    measured: list[Figure] = []
    databases.make_small()
    for name in options.parts or PARTS:
        print(f"== {name}: {PARTS[name].__doc__}", flush=True)
        found = list(PARTS[name](size))
        print(figures.table(found), flush=True)
        measured += found
    report(measured, size, options.parts or list(PARTS))


def arguments() -> argparse.Namespace:
    described = "\n".join(f"{name:12}{part.__doc__}" for name, part in PARTS.items())
    parser = argparse.ArgumentParser(
        prog="script/bench", description=described, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="about 3 minutes instead of 15, and fewer rows")
    parser.add_argument("parts", nargs="*", metavar="part", help="one of these; all when none is named")
    options = parser.parse_args()
    if unknown := [name for name in options.parts if name not in PARTS]:
        parser.error(f"no such part: {', '.join(unknown)}")
    return options


def report(measured: list[Figure], size: Size, parts: list[str]) -> None:
    path = Path(os.environ["VAR_DIR"]) / "bench.json"
    conditions = {"parts": parts, "rounds": size.rounds, "seconds": size.seconds, "cores": os.cpu_count()}
    figures.write(path, measured, **conditions, load=f"wrk at {shutil.which('wrk')}")
    print(f"\nMedians of {size.rounds} rounds of {size.seconds:g} s, {os.cpu_count()} cores. In full: {path}")
    print(figures.table(measured))


if __name__ == "__main__":
    main()
