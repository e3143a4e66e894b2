"""Catalogues of translations, without GNU gettext: finds the texts, updates locale/*.po, compiles the .mo files.

Run `script/catalogues` after adding or changing a text; then translate what it names, and run it again. `--check`
writes nothing (the tests do the same).
"""

import ast
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import polib

ROOT = Path(__file__).resolve().parents[2]
LANGUAGES = ("de", "es", "fr", "it")
TEMPLATES = ("templates/mail", "templates/pages")
PACKAGES = ("accounts", "billing", "credits")
MARKS = frozenset({"_", "gettext", "gettext_lazy", "gettext_noop"})
WIDTH = 110
# In Django's conversion of a template: gettext(u'text') for translate and blocktranslate, placeholders as %(name)s.
_MARKED = re.compile(r"""\bgettext\((u?'(?:[^'\\]|\\.)*'|u?"(?:[^"\\]|\\.)*")\)""")
_PLACEHOLDER = re.compile(r"%\(\w+\)[a-z]")
_MARKUP = re.compile(r"</?\w+>")


class Fault(NamedTuple):
    """A message that a language lacks, or translates with different placeholders or markup."""

    language: str
    text: str
    reason: str

    def __str__(self) -> str:
        return f"{self.language}: {self.reason}: {self.text!r}"


def messages() -> dict[str, list[str]]:
    """Return every text that is marked for translation, with the files that contain it."""
    found: dict[str, list[str]] = {}
    for path in sorted([*_templates(), *_modules()]):
        for text in _of_template(path) if path.suffix in {".html", ".txt"} else _of_module(path):
            places = found.setdefault(text, [])
            if (place := str(path.relative_to(ROOT))) not in places:
                places.append(place)
    return found


def catalogue(language: str) -> polib.POFile:
    path = po_file(language)
    return polib.pofile(str(path), wrapwidth=WIDTH) if path.exists() else polib.POFile(wrapwidth=WIDTH)


def po_file(language: str) -> Path:
    return ROOT / "locale" / language / "LC_MESSAGES" / "django.po"


def updated(language: str, wanted: Mapping[str, list[str]]) -> polib.POFile:
    """Return the language's catalogue with exactly these messages; translations of unchanged texts are kept."""
    known = {entry.msgid: entry.msgstr for entry in catalogue(language)}
    fresh = polib.POFile(wrapwidth=WIDTH)
    fresh.metadata = {
        "Language": language,
        "MIME-Version": "1.0",
        "Content-Type": "text/plain; charset=UTF-8",
        "Content-Transfer-Encoding": "8bit",
    }
    for text, places in sorted(wanted.items()):
        flags = ["python-format"] if _PLACEHOLDER.search(text) else []
        entry = polib.POEntry(
            msgid=text, msgstr=known.get(text, ""), occurrences=[(place, "") for place in places], flags=flags
        )
        fresh.append(entry)
    return fresh


def faults(language: str) -> Iterator[Fault]:
    """Yield what is missing from the catalogue on disk, or wrong in it."""
    translations = {entry.msgid: entry.msgstr for entry in catalogue(language)}
    for text in messages():
        translated = translations.get(text, "")
        if not translated:
            yield Fault(language, text, "no translation")
        for part, pattern in (("placeholders", _PLACEHOLDER), ("markup", _MARKUP)):
            if translated and sorted(pattern.findall(text)) != sorted(pattern.findall(translated)):
                yield Fault(language, text, f"other {part} than the text has")


def is_up_to_date(language: str) -> bool:
    """Return whether both files are what this program would write."""
    fresh, path = updated(language, messages()), po_file(language)
    compiled = path.with_suffix(".mo")
    return (
        path.exists()
        and path.read_text() == f"{fresh}\n"
        and compiled.exists()
        and compiled.read_bytes() == fresh.to_binary()
    )


def write(language: str) -> None:
    fresh, path = updated(language, messages()), po_file(language)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{fresh}\n")
    path.with_suffix(".mo").write_bytes(fresh.to_binary())


def main(arguments: list[str]) -> int:
    if "--check" not in arguments:
        for language in LANGUAGES:
            write(language)
    stale = [language for language in LANGUAGES if not is_up_to_date(language)]
    found = [fault for language in LANGUAGES for fault in faults(language)]
    for line in [*(f"{language}: run script/catalogues" for language in stale), *map(str, found)]:
        print(line)
    print(
        f"{len(messages())} texts in {len(LANGUAGES)} languages: "
        + (f"{len(found)} faults" if found else "complete")
    )
    return 1 if stale or found else 0


def _templates() -> Iterator[Path]:
    for directory in TEMPLATES:
        yield from (path for path in (ROOT / directory).rglob("*") if path.suffix in {".html", ".txt"})


def _modules() -> Iterator[Path]:
    for package in PACKAGES:
        yield from (path for path in (ROOT / package).rglob("*.py") if "tests" not in path.parts)


def _of_template(path: Path) -> Iterator[str]:
    from django.utils.translation.template import templatize

    for match in _MARKED.finditer(templatize(path.read_text(), origin=str(path))):
        yield ast.literal_eval(match[1])


def _of_module(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in MARKS
            and node.args
        ):
            argument = node.args[0]
            if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                yield argument.value


if __name__ == "__main__":
    import os

    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.test")
    sys.path.insert(0, str(ROOT))
    django.setup()
    sys.exit(main(sys.argv[1:]))
