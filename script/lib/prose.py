"""Check texts that people see, and docstrings, against those prose rules of CONTRIBUTING.md that a pattern can detect.

tests/prose_baseline.txt says how often each rule is still broken, by area and not by file, so that files can move. The
check fails when a number rises, and when one has fallen but the file has not been updated: `script/prose --update` does
that, and refuses to raise a number. `script/prose accounts/views docs/spec.md` lists the breaches there.
"""

import argparse
import ast
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
BASELINE = Path("tests") / "prose_baseline.txt"
HEADING = "# How often a rule of CONTRIBUTING.md is still broken. Only shrinks, by script/prose --update.\n"
AREAS = {
    "service": [f"{top}/**/*.py" for top in ("accounts", "billing", "config", "credits", "deploy")]
    + ["templates/**/*.html", "templates/**/*.txt"],
    "docs": ["*.md", "docs/**/*.md", "tests/proof/*.md", "clients/*/README.md"],
    "clients": ["clients/python/src/**/*.py"],
    "script": ["script/**/*.py"],
    "tests": ["tests/**/*.py"],
}
MADE = (
    r"^clients/.*/(types|problems|events|synchronous)\.py$"  # by script/clients, from texts that are counted
)
LEFT_OUT = re.compile(rf"(^|/)\w*migrations/|{MADE}|^CONTRIBUTING\.md$")  # which quotes what it forbids
EVERYWHERE = {
    'write "your"': re.compile(r"\bthe\s+own\b", re.IGNORECASE),
    'write "again"': re.compile(r"\banew\b", re.IGNORECASE),
    'write "is not a"': re.compile(r"(?<!\bthere )\bis\s+no\s+(?!\s|longer\b|more\b)", re.IGNORECASE),
}
# Applied to docstrings too.
WORDS = {
    'write "someone"': re.compile(r"(?<!id=\")\b(somebody|whoever)\b", re.IGNORECASE),
    'write "since then"': re.compile(r"\bmeanwhile\b", re.IGNORECASE),
    'write "other services"': re.compile(r"\bneighbours?\b", re.IGNORECASE),
}
# Applied to texts that people read: templates, strings of the product, and docstrings shown in the OpenAPI documents.
PEOPLE = {
    **WORDS,
    'people: write "not found"': re.compile(r"\bno such\b", re.IGNORECASE),
    'people: write "email"': re.compile(r"\be-mails?\b", re.IGNORECASE),
    'people: write "no longer"': re.compile(r"\b(not|no|none|nothing)( \w+)? any ?more\b", re.IGNORECASE),
    'people: write "already"': re.compile(r"\b(is|was|has|are|were) (\w+ )?already\.", re.IGNORECASE),
    "people: name the subject": re.compile(r"(\A\s*|[.:!?]\s+)(Of|Whose|Those)\s+(?!course\b)[a-z]"),
    "people: start with a verb": re.compile(r"\A\s*(What|Who|Whoever|Whether)\b(?!.*\?\s*\Z)", re.DOTALL),
}
METHODS = frozenset({"get", "post", "put", "patch", "delete"})
DOCSTRINGS = {
    **WORDS,
    "name the subject": re.compile(r"\A\s*Of\b"),
    "start with a verb": re.compile(r"\A\s*(What|Who|Whoever|Whether|Those)\b"),
}

Counts = Mapping[tuple[str, str], int]


class Breach(NamedTuple):
    area: str
    rule: str
    place: str
    text: str

    def __str__(self) -> str:
        return f"{self.place}: {self.rule}: {self.text}"


def breaches(root: Path) -> Iterator[Breach]:
    for area, path in _files(root):
        name = path.relative_to(root).as_posix()
        for rule, line, text in _in_module(path, area) if path.suffix == ".py" else _in_text(path, area):
            yield Breach(area, rule, f"{name}:{line}", text)


def read(path: Path) -> Counts:
    lines = (line.split(maxsplit=2) for line in path.read_text().splitlines() if not line.startswith("#"))
    return {(area, rule): int(number) for number, area, rule in lines}


def write(path: Path, found: Counts) -> None:
    lines = (f"{number:4} {area:8} {rule}\n" for (area, rule), number in sorted(found.items()))
    path.write_text(HEADING + "".join(lines))


def faults(found: Counts, allowed: Counts) -> tuple[list[str], list[str]]:
    """Return a line for each number that rose, and for each that fell."""
    keys = sorted({*found, *allowed})
    changes = {key: (allowed.get(key, 0), found.get(key, 0)) for key in keys}
    lines = {key: f"{key[0]}: {key[1]}: {before} before, {now} now" for key, (before, now) in changes.items()}
    return (
        [lines[key] for key, (before, now) in changes.items() if now > before],
        [lines[key] for key, (before, now) in changes.items() if now < before],
    )


def main(arguments: Sequence[str], root: Path = ROOT) -> int:
    options = _parser().parse_args(arguments)
    found = list(breaches(root))
    if options.paths:
        print("\n".join(str(one) for one in found if one.place.startswith(tuple(options.paths))))
        return 0
    return check(root / BASELINE, Counter((one.area, one.rule) for one in found), update=options.update)


def check(baseline: Path, found: Counts, *, update: bool) -> int:
    risen, fallen = faults(found, read(baseline))
    if risen:
        print(
            *risen, "CONTRIBUTING.md has the rules; script/prose PATH lists where they are broken.", sep="\n"
        )
    elif update:
        write(baseline, found)
    elif fallen:
        print(*fallen, "Fewer than before: run script/prose --update.", sep="\n")
    return 1 if risen or (fallen and not update) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="script/prose", description=(__doc__ or "").split("\n", maxsplit=1)[0]
    )
    parser.add_argument("paths", nargs="*", metavar="PATH", help="list what is under these instead")
    parser.add_argument("--update", action="store_true", help="lower the numbers in tests/prose_baseline.txt")
    return parser


def _files(root: Path) -> Iterator[tuple[str, Path]]:
    for area, patterns in AREAS.items():
        for path in sorted(path for pattern in patterns for path in root.glob(pattern)):
            relative = path.relative_to(root)
            if not LEFT_OUT.search(relative.as_posix()):
                yield ("tests" if path.suffix == ".py" and "tests" in relative.parts else area), path


def _in_text(path: Path, area: str) -> Iterator[tuple[str, int, str]]:
    text = path.read_text()
    for rule, start, excerpt in _broken(text, {**EVERYWHERE, **(PEOPLE if area == "service" else {})}):
        yield rule, text.count("\n", 0, start) + 1, excerpt


def _in_module(path: Path, area: str) -> Iterator[tuple[str, int, str]]:
    """Check every string of the product, but in tests only docstrings: their strings may be anything."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    docstrings = {id(docstring) for node in nodes if (docstring := _docstring(node))}
    shown = {id(_docstring(node)) for node in nodes if _is_shown(node, path)}
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            strings = {} if area == "tests" else {**EVERYWHERE, **(PEOPLE if area == "service" else {})}
            rules = {**EVERYWHERE, **DOCSTRINGS} if id(node) in docstrings else strings
            rules = {**rules, **PEOPLE} if id(node) in shown else rules
            yield from ((rule, node.lineno, excerpt) for rule, _, excerpt in _broken(node.value, rules))


def _is_shown(node: ast.AST, path: Path) -> bool:
    """Return whether the OpenAPI documents show its docstring, as they do for a view's methods."""
    return isinstance(node, ast.FunctionDef) and node.name in METHODS and "views" in path.parts


def _docstring(node: ast.AST) -> ast.Constant | None:
    if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        return None
    match node.body:
        case [ast.Expr(value=ast.Constant(value=str()) as text), *_]:
            return text
    return None


def _broken(text: str, rules: Mapping[str, re.Pattern[str]]) -> Iterator[tuple[str, int, str]]:
    """Yield the rule, the place where it is broken, and the words around it."""
    for rule, pattern in rules.items():
        for found in pattern.finditer(text):
            around = text[max(0, found.start() - 30) : found.end() + 40]
            yield rule, found.start(), " ".join(around.split())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
