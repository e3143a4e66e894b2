"""Count what a newcomer has to find a way through: rooms, imports between them, circles, sizes of files and functions.

`script/house` counts the files as they are, `script/house REV` a revision of git, `script/house --before REV` both side
by side. `--circles` prints the circles alone and fails if there is one.

- A room is what you see on opening an app's folder: a module, or a folder with whatever is in it (views/, models/ and
  management/ are one room each). The app's own `__init__` is not a room.
- An import between rooms is a pair of different rooms of one app, counted once and with its direction.
- A circle is a set of modules each of which reaches all others by imports. Circles are looked for in all packages and
  in script/lib together.
- A function is whatever has a `def`, from that line to its last; one inside another counts too.

Imports inside functions count like all others. `from accounts import sessions` imports the submodule if there is one,
otherwise `accounts/__init__`; importing a submodule is not an import of the packages around it. Tests and migrations
are left out.
"""

import argparse
import ast
import io
import re
import statistics
import subprocess
import sys
import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("accounts", "credits", "billing", "config")
PROGRAMS = "script/lib/"
COLUMN = 60  # wide enough for a function with its file
LEFT_OUT = re.compile(r"(^|/)(tests|\w*migrations)/")


class Size(NamedTuple):
    """A number of lines, and where they are."""

    lines: int
    place: str

    def __str__(self) -> str:
        return f"{self.lines} {self.place}"


@dataclass(frozen=True)
class Module:
    name: str
    path: str
    source: str

    @property
    def lines(self) -> int:
        return len(self.source.splitlines())

    @property
    def package(self) -> list[str]:
        """Return the parts of the name that a relative import starts from."""
        names = self.name.split(".")
        return names if self.path.endswith("/__init__.py") else names[:-1]

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.source, self.path)

    def functions(self) -> Iterator[Size]:
        for node in ast.walk(self.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                yield Size(lines, f"{self.path}:{node.name}")

    def imported(self) -> Iterator[tuple[str, str]]:
        """Yield each import as the module and the name that it takes from it ("" for the module itself)."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from ((alias.name, "") for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                yield from ((self._asked(node), alias.name) for alias in node.names)

    def _asked(self, node: ast.ImportFrom) -> str:
        start = self.package[: len(self.package) - node.level + 1] if node.level else []
        return ".".join([*start, *([node.module] if node.module else [])])


class House:
    def __init__(self, sources: Mapping[str, str]) -> None:
        """Take the text of every file, keyed by its path from the project's root."""
        found = [Module(_name(path), path, source) for path, source in sources.items() if _counts(path)]
        self.modules = {module.name: module for module in sorted(found, key=lambda module: module.name)}
        self.imports = {module.name: self._imports(module) for module in self.modules.values()}

    def of(self, package: str) -> list[Module]:
        return [module for module in self.modules.values() if module.name.split(".")[0] == package]

    def rooms(self, package: str) -> set[str]:
        return {room for module in self.of(package) if (room := _room(module.name))}

    def imports_between_rooms(self, package: str) -> set[tuple[str, str]]:
        pairs = {
            (_room(module.name), _room(name))
            for module in self.of(package)
            for name in self.imports[module.name]
            if name.startswith(f"{package}.")
        }
        return {(one, other) for one, other in pairs if one and one != other}

    def circles(self) -> list[list[str]]:
        reached = {name: self._reached(name) for name in self.modules}
        sets = {
            frozenset(other for other in reached[name] if name in reached[other]) for name in self.modules
        }
        return sorted(sorted(members) for members in sets if len(members) > 1)

    def _imports(self, module: Module) -> set[str]:
        names = (self._known(*imported) for imported in module.imported())
        return {name for name in names if name and name != module.name}

    def _known(self, asked: str, taken: str) -> str | None:
        submodule = f"{asked}.{taken}"
        return next((name for name in (submodule, asked) if name in self.modules), None)

    def _reached(self, name: str) -> set[str]:
        reached, ahead = set[str](), [name]
        while ahead:
            fresh = self.imports[ahead.pop()] - reached
            reached |= fresh
            ahead.extend(fresh)
        return reached


def working_tree(root: Path) -> dict[str, str]:
    paths = (path for top in (*PACKAGES, PROGRAMS) for path in (root / top).rglob("*.py"))
    return {path.relative_to(root).as_posix(): path.read_text() for path in paths}


def revision(root: Path, name: str) -> dict[str, str]:
    archive = subprocess.run(
        ["git", "archive", "--format=tar", name], cwd=root, stdout=subprocess.PIPE, check=False
    )
    if archive.returncode:  # git has printed the reason
        raise SystemExit(archive.returncode)
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as files:
        python = [member for member in files if member.isfile() and member.name.endswith(".py")]
        return {member.name: text.read().decode() for member in python if (text := files.extractfile(member))}


def measures(house: House, package: str) -> dict[str, object]:
    modules = house.of(package)
    files = [Size(module.lines, module.path) for module in modules]
    functions = [function for module in modules for function in module.functions()]
    return {
        "rooms": len(house.rooms(package)),
        "imports between rooms": len(house.imports_between_rooms(package)),
        "modules": len(modules),
        "lines": sum(file.lines for file in files),
        "longest file": max(files, default=""),
        "functions": len(functions),
        "longest function": max(functions, default=""),
        "median function": statistics.median_low([function.lines for function in functions] or [0]),
    }


def table(houses: Mapping[str, House]) -> Iterator[str]:
    """Yield a block of lines for each package, with a column for each house."""
    yield _row("", houses)
    for package in PACKAGES:
        columns = [measures(house, package) for house in houses.values()]
        yield package
        yield from (_row(f"  {name}", [column[name] for column in columns]) for name in columns[0])
    yield _row("circles", [len(house.circles()) for house in houses.values()])


def main(arguments: Sequence[str]) -> int:
    options = _parser().parse_args(arguments)
    now = House(revision(ROOT, options.at) if options.at else working_tree(ROOT))
    circles = now.circles()
    if not options.circles:
        before = {options.before: House(revision(ROOT, options.before))} if options.before else {}
        print("\n".join(table({**before, options.at or "now": now})))
    for members in circles:
        print(f"circle of {len(members)}: {', '.join(members)}")
    return 1 if options.circles and circles else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="script/house", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("at", nargs="?", metavar="REV", help="count this revision in place of the files")
    parser.add_argument("--before", metavar="REV", help="count this revision beside it")
    parser.add_argument(
        "--circles", action="store_true", help="print the circles alone; fail if there is one"
    )
    return parser


def _counts(path: str) -> bool:
    ours = path.startswith((*(f"{package}/" for package in PACKAGES), PROGRAMS))
    return ours and not LEFT_OUT.search(path)


def _name(path: str) -> str:
    return path.removeprefix(PROGRAMS).removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _room(name: str) -> str:
    """Return the name of the module's room within its package, or "" for the package itself."""
    return name.partition(".")[2].partition(".")[0]


def _row(name: str, values: Iterable[object]) -> str:
    return f"{name:<25}" + "".join(f"{value!s:<{COLUMN}}" for value in values).rstrip()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
