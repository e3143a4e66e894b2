"""docs/figures.json: the measured figures, part by part, with machine, day and commit; and the check against them."""

import datetime as dt
import os
import platform
import subprocess
from collections.abc import Sequence
from pathlib import Path

import msgspec
from figures import Row, short

ROOT = Path(__file__).resolve().parents[3]
PATH = ROOT / "docs" / "figures.json"
# Units that say the same on another machine: shares, ratios, bytes.
PORTABLE = {"%", "x", "B"}
KEPT = 0.8  # what must be left of a figure: less is a fall by more than a fifth


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """The results of one part of the bench, all from one run."""

    what: str
    command: str
    date: str
    commit: str
    machine: str
    rounds: str
    figures: list[Row]


Record = dict[str, Part]


def read(path: Path = PATH) -> Record:
    return msgspec.json.decode(path.read_bytes(), type=Record) if path.exists() else {}


def write(record: Record, path: Path = PATH) -> None:
    path.write_bytes(msgspec.json.format(msgspec.json.encode(record), indent=1) + b"\n")


def measured(name: str, what: str, rows: list[Row], *, rounds: str) -> Part:
    return Part(
        what=what,
        command=f"script/bench --json {name}",
        date=dt.datetime.now(dt.UTC).date().isoformat(),
        commit=_commit(),
        machine=_machine(),
        rounds=rounds,
        figures=rows,
    )


def falls(old: Sequence[Row], new: Sequence[Row]) -> list[str]:
    """Return a line for each figure that is worse than before by more than a fifth, or was not measured."""
    found = {row.name: row for row in new}
    return [
        f"{row.name}: {_change(row, found.get(row.name))}"
        for row in old
        if row.unit in PORTABLE and _has_fallen(row, found.get(row.name))
    ]


def _has_fallen(old: Row, new: Row | None) -> bool:
    return new is None or new.relative_to(old.reached) < KEPT


def _change(old: Row, new: Row | None) -> str:
    before = f"{short(old.reached)} {old.unit} before"
    return f"{before}, {short(new.reached)} now" if new else f"{before}, not measured now"


def _commit() -> str:
    """Return the commit of the measured code; changes in docs do not count."""
    commit = _git("rev-parse", "--short=12", "HEAD")
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!docs")
    return f"{commit} with changes" if changed else commit


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def _machine() -> str:
    models = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    system = f"{platform.system()} {platform.release().partition('-')[0]}"
    return f"{os.cpu_count()} cores ({(models or [platform.machine()])[0]}), {memory:.0f} GiB, {system}"
