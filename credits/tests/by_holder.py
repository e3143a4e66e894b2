"""Watch the statements of the product: each that touches a table of the ledger names the holder, wherever it looks."""

import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from django.db.backends.utils import CursorWrapper

ROOT = Path(__file__).resolve().parents[2]
LOOKS = re.compile(r'\b(?:FROM|JOIN|UPDATE)\s+"?credits_(?:usercredit|creditlot|credittransaction)\b')
HANDS_ON = "credits/statements.py"  # what others ask
NAMES = re.compile(r'\bholder_id"?\s*(?:=|IN\b)|USING \([^)]*\bholder_id\b')


def carries_holder(sql: str) -> bool:
    """Return whether a statement names the holder as often as it looks into one of the tables."""
    return len(LOOKS.findall(sql)) <= len(NAMES.findall(sql))


@contextmanager
def watched(allowed: Iterable[str]) -> Iterator[set[str]]:
    """Yield the places of the product whose statements lack the holder, but for those that are allowed."""
    found: set[str] = set()
    run = CursorWrapper._execute_with_wrappers  # type: ignore[attr-defined]

    def execute(self: CursorWrapper, sql: Any, *arguments: Any, **named: Any) -> Any:
        if isinstance(sql, str) and "credits_" in sql and not carries_holder(sql):
            place = _place()
            if place is not None and not place.startswith(tuple(allowed)):
                found.add(f"{place}: {' '.join(sql.split())[:300]}")
        return run(self, sql, *arguments, **named)

    with patch.object(CursorWrapper, "_execute_with_wrappers", execute):
        yield found


def _place() -> str | None:
    """Return the function of the product that asks, as `path::name`; None where a test or a migration does."""
    frame = sys._getframe(2)
    while frame is not None:
        path = Path(frame.f_code.co_filename)
        if path.is_relative_to(ROOT) and ".venv" not in path.parts:
            inside = path.relative_to(ROOT)
            if str(inside) == HANDS_ON:
                frame = frame.f_back  # type: ignore[assignment]
                continue
            ours = inside.parts[0] in {"accounts", "billing", "config", "credits"}
            if ours and not {"tests", "migrations"} & set(inside.parts):
                return f"{inside}::{frame.f_code.co_name}"
            return None
        frame = frame.f_back  # type: ignore[assignment]
    return None
