"""What the documents claim exists: tests, files, settings."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = [
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    ROOT / "tests" / "proof" / "README.md",
]
VARIABLE = re.compile(
    r"""(?:env\.\w+|secret|secrets_list|key_ring|integer|decimal|port|boolean|choice|peers|mail_server|environ\.get)\(\s*"([A-Z][A-Z_]+)\""""
)
PATH = re.compile(
    r"`((?:accounts|attack|bench|billing|config|credits|deploy|docs|drill|locale|script|templates|tests)"
    r"/[\w./*-]*\w)(?=[`: ])"
)
DECISIONS = ROOT / "docs" / "decisions"
RECORD = re.compile(
    r"# (\d+)\. (.+)\n\n- Date: (\d{4}-\d\d-\d\d)\n"
    r"- State: (Accepted|Amended(?: by \[\d{4}\]\(\S+\))?|Superseded by \[\d{4}\]\(\S+\))\n\n"
)
NOT_FOR_OPERATORS = {"DJANGO_SETTINGS_MODULE"}


def test_every_test_that_the_specification_names_exists() -> None:
    named = re.findall(r"`([\w/]+\.py)::(\w+)`", (ROOT / "docs" / "spec.md").read_text())
    assert len(named) > 40
    for path, name in named:
        assert re.search(rf"^(class|def) {name}\b", (ROOT / path).read_text(), re.MULTILINE), (
            f"{path}::{name}"
        )


def test_every_line_of_the_specification_is_shown() -> None:
    text = (ROOT / "docs" / "spec.md").read_text()
    assert "not yet" not in text.lower()
    for row in (line for line in text.splitlines() if line.startswith("| ")):
        _, asked, where, shown, _ = (cell.strip() for cell in row.split("|"))
        assert asked == "asked for" or "::" in shown or "decisions/" in where, row


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_file_that_is_named_exists(document: Path) -> None:
    named = [path for path in PATH.findall(document.read_text()) if not list(ROOT.glob(path))]
    assert named == []


def test_the_index_of_decisions_is_what_the_records_say() -> None:
    listed = [
        tuple(cell.strip() for cell in line.split("|")[1:6])
        for line in (DECISIONS / "README.md").read_text().splitlines()
        if line.startswith("| [")
    ]
    assert [row[:4] for row in listed] == [_heading(path) for path in sorted(DECISIONS.glob("0*.md"))]
    assert all(line for *_, line in listed)


def _heading(record: Path) -> tuple[str, str, str, str]:
    """Return the line of a record in the index: its number as a link, its title, state and date."""
    found = RECORD.match(record.read_text())
    assert found, record.name
    number, title, date, state = found.groups()
    assert record.name.startswith(f"{int(number):04}-"), record.name
    return f"[{record.name[:4]}]({record.name})", title, state, date


def test_every_setting_is_in_the_readme() -> None:
    sources = [*(ROOT / "config" / "settings").glob("*.py"), ROOT / "deploy" / "gunicorn.py"]
    read = {name for source in sources for name in VARIABLE.findall(source.read_text())}
    assert len(read) > 25
    table = (ROOT / "README.md").read_text()
    assert {name for name in read - NOT_FOR_OPERATORS if f"`{name}`" not in table} == set()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", document.read_text()):
        assert (document.parent / target).exists(), target
