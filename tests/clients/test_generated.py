"""Compare what is generated in clients/ with the documents and the table of events."""

import re
from pathlib import Path

import pytest

import clients

ROOT = clients.ROOT
TABLE = re.compile(r"^\| `([a-z]+\.[a-z_]+)` \|", re.MULTILINE)


def test_every_generated_file_is_current() -> None:
    stale = [str(path) for path, text in clients.files().items() if _text(path) != text]
    assert stale == [], "script/clients writes them; read the difference"


def _text(path: Path) -> str:
    return (ROOT / path).read_text() if (ROOT / path).exists() else ""


def test_the_table_of_events_names_those_of_the_contract() -> None:
    documented = {
        name
        for page in ("contract.md", "billing.md")
        for name in TABLE.findall((ROOT / "docs" / page).read_text())
    }
    table = (ROOT / "clients" / "events.toml").read_text()
    assert documented == set(re.findall(r'^"([\w.]+)" =', table, re.MULTILINE))


@pytest.mark.parametrize(
    ("source", "made"),
    [
        ("async def f(self): await g()", "def f(self): g()"),
        ("async with AsyncClient() as client:", "with Client() as client:"),
        ("async for row in rows: ...", "for row in rows: ..."),
        ("async def __aenter__(self)", "def __enter__(self)"),
    ],
)
def test_the_synchronous_client_is_the_other_one_without_waiting(source: str, made: str) -> None:
    assert clients.synchronous(f"head\n{source}").splitlines()[1] == made
