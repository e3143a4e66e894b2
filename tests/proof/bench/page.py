"""Generates docs/figures.md and its pictures from docs/figures.json alone; `page.py` draws them again."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import record
from drawing import Bar, bars, bounds
from figures import Row, short
from record import ROOT, Part, Record

PAGE = ROOT / "docs" / "figures.md"
PICTURES = "figures"  # their folder, beside the page
INTRODUCTION = """\
# Figures

`script/bench --json` measures, keeps what it found in [figures.json](figures.json), and draws this page; change neither
by hand. `script/bench --json use batch` renews those parts alone, `script/bench --check` measures and fails if a ratio
is worse than here by more than a fifth. Everything runs on one machine, load and PostgreSQL included: the ratios count,
absolute numbers are that machine's.

A figure is the median of the rounds, with the lowest and the highest in brackets. Runs that are compared take turns,
round by round, on one cluster with its usual, durable settings; `pgbench` spends with the service's own statement,
prepared, directly before each run that is compared with it. Processor time is that of all of a server's processes, for
each request. A run counts only if every request was carried out and no process died of a signal.

## What is asked, and what is reached

How far each figure is from what it must reach, whichever way it counts.

![Each figure beside what it must reach and what it aims at](figures/bounds.svg)
"""
NOTES: Mapping[str, str] = {
    "rivals": """\
Both rivals do less: no chain of hashes, no grants that expire, no debt, no request ids and log lines
([what each does](../tests/proof/bench/rivals)). Two processes each, as ours; FastAPI with uvloop and asyncpg.""",
    "entries": """\
An entry of ours is a use of 1 credit: a row with its balance, its hash and its key, refused where there is too little.
One of django-hordak 2.0 is a transfer: a transaction of two legs, whose sum a trigger checks at the commit, without a
look at the balance, which it would have to add up. Both in one process on one connection, without HTTP.""",
    "sessions": """\
better-auth 1.7 with node's own server, a pool of `pg`, joins on, limits off; two processes each, PostgreSQL for both.
`/me/status` checks the signature, then the session and the account in the database; `get-session` the session and its
user. With better-auth's cookie cache it asks no database: it believes a signed cookie for as long as that is fresh, so
a session that was ended goes on until then. Ours has no such mode.""",
    "refusals": """\
A refused use leaves no row. What is compared is the database's own time for each call, the refused ones included.""",
    "growth": "The page's time is the server's own, as its log says.",
}


def keep(kept: Record) -> None:
    record.write(kept)
    for path, text in drawn(kept).items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)


def drawn(kept: Record) -> dict[Path, str]:
    """Return the text of the page and of each of its pictures."""
    pictures = {f"{name}.svg": _rates(part) for name, part in kept.items() if _rated(part)}
    pictures["bounds.svg"] = bounds({name: _bound(part) for name, part in kept.items() if _bound(part)})
    text = "\n".join([INTRODUCTION, *[_section(name, part) for name, part in kept.items()]])
    return {PAGE: text, **{PAGE.parent / PICTURES / name: picture for name, picture in pictures.items()}}


def _rated(part: Part) -> list[Row]:
    return [row for row in part.figures if row.unit == "/s"]


def _bound(part: Part) -> list[Row]:
    return [row for row in part.figures if row.must is not None]


def _rates(part: Part) -> str:
    rows = _rated(part)
    return bars(
        part.what, [Bar(row.name, row.reached, f"{short(row.reached)} /s", row.rival) for row in rows]
    )


def _section(name: str, part: Part) -> str:
    picture = f"![{part.what}]({PICTURES}/{name}.svg)\n\n" if _rated(part) else ""
    note = f"{NOTES[name]}\n\n" if name in NOTES else ""
    return (
        f"## {name}\n\n{part.what}\n\n{note}{picture}{_table(part.figures)}\n\n"
        f"`{part.command}`, {part.rounds}, {part.date}, commit {part.commit}; {part.machine}.\n"
    )


def _table(rows: Sequence[Row]) -> str:
    lines = ["| what | must | aim | measured | met |", "|---|---|---|---|---|", *map(_line, rows)]
    return "\n".join(lines)


def _line(row: Row) -> str:
    spread = f"({short(row.lowest)} to {short(row.highest)})"
    met = {"": "", "SHORT": "**short**"}.get(row.verdict, row.verdict)
    return f"| {row.name} | {short(row.must)} | {short(row.aim)} | {short(row.reached)} {row.unit} {spread} | {met} |"


if __name__ == "__main__":
    keep(record.read())
