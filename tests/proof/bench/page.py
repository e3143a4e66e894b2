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

`script/bench --json` measures, stores the results in [figures.json](figures.json), and draws this page; do not edit
either by hand. `script/bench --json use batch` renews those parts alone; `script/bench --check` measures and fails if a
ratio is worse than here by more than a fifth. Everything runs on one machine, including the load and PostgreSQL, so
compare ratios; absolute numbers depend on that machine.

A figure is the median of the rounds, with the lowest and the highest in brackets. Runs that are compared alternate,
round by round, on one cluster with its usual, durable settings; `pgbench` spends with the service's own statement,
prepared, directly before each run that is compared with it. Processor time is that of all processes of a server, per
request. A run counts only if every request was carried out and no process was killed by a signal.

## Requirements and results

How far each figure is from its requirement, in whichever direction is better.

![Each figure with its requirement and its aim](figures/bounds.svg)
"""
NOTES: Mapping[str, str] = {
    "rivals": """\
Both rivals do less: no hash chain, no grants that expire, no debt, no request ids and log lines
([what each does](../tests/proof/bench/rivals)). Two processes each, like ours; FastAPI with uvloop and asyncpg.""",
    "entries": """\
Our entry is a use of 1 credit: a row with its balance, its hash and its key, refused if the balance is too low. That
of django-hordak 2.0 is a transfer: a transaction of two legs, whose sum a trigger checks at the commit. The balance,
which would have to be added up, is not checked. Both run in one process on one connection, without HTTP.""",
    "sessions": """\
better-auth 1.7 with node's own server, a pool of `pg`, joins on, limits off; two processes each, PostgreSQL for both.
`/me/status` checks the signature, then the session and the account in the database; `get-session` the session and its
user. With better-auth's cookie cache it queries no database: it trusts a signed cookie as long as that is fresh, so an
ended session continues until then. This service has no such mode.""",
    "refusals": """\
A refused use leaves no row. The figures compare the database's own time per call, including refused ones.""",
    "growth": "The time of a page is the server's own, taken from its log.",
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
