"""Checks that what the documents claim exists: tests, files, settings."""

import re
from pathlib import Path

import pytest

import configuration
import dev_env
from config.settings.table import TABLE, Limit

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = [
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "clients").glob("*/README.md")),
    ROOT / "tests" / "proof" / "README.md",
]
VARIABLE = re.compile(
    r"""(?:env\.\w+|secrets_list|key_ring|integer|decimal|duration|ip|boolean|choice|peers|webhook_hosts|"""
    r"""mail_server|redis_url|permissions_by_role|environ\.get)\(\s*"([A-Z][A-Z_]+)\""""
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
# Where the variables are read: by our settings, the shell, or a library.
READERS = [
    *(path for path in (ROOT / "config" / "settings").glob("*.py") if path.name != "table.py"),
    *(ROOT / name for name in ("Procfile", "manage.py", "config/logging.py", "config/tracing.py")),
    *(ROOT / "deploy" / name for name in ("gunicorn.py", "listen")),
    ROOT / "accounts" / "management" / "commands" / "ensure_admin.py",
]


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


def test_the_table_of_variables_has_what_is_read_and_nothing_else() -> None:
    text = "\n".join(source.read_text() for source in READERS)
    read = set(VARIABLE.findall(text))
    assert len(read) > 80
    assert read <= set(TABLE)
    by_prefix = {name for name in TABLE if name.startswith(("RETENTION_", "LIMIT_"))}
    pauses = {name for row in TABLE.values() if isinstance(row, Limit) and row.pause for name in row.pause}
    assert {name for name in set(TABLE) - by_prefix - pauses if not re.search(rf"\b{name}\b", text)} == set()


def test_the_pages_made_of_the_table_are_current() -> None:
    """script/configuration makes them."""
    assert configuration.PAGE.read_text() == configuration.page()
    assert configuration.EXAMPLE.read_text() == configuration.example()


def test_the_example_has_each_variable_with_its_default() -> None:
    text = configuration.EXAMPLE.read_text()
    assert set(dev_env.parse(text)) == {name for name, row in TABLE.items() if row.required}
    listed = dev_env.parse(re.sub(r"^#(?=[A-Z_]+=)", "", text, flags=re.MULTILINE))
    assert listed == {name: row.default for name, row in TABLE.items()}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", document.read_text()):
        assert (document.parent / target).exists(), target
