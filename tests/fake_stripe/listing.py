"""Lists, newest first and with cursors, and the search that a few kinds support."""

import re
from collections.abc import Iterable
from typing import Any

from tests.fake_stripe.kinds import listed
from tests.fake_stripe.store import Store
from tests.fake_stripe.wire import Json, Refusal

CLAUSE = re.compile(
    r"""(?P<minus>-?)(?P<field>[a-z_]+)(\[(?P<q>["'])(?P<key>.+?)(?P=q)\])?"""
    r"""(?P<operator>:|~|>=|<=|>|<)(?P<quote>["']?)(?P<value>[^"']*)(?P=quote)"""
)


def page(rows: Iterable[Json], params: Json, url: str) -> Json:
    """Return a page of `rows`, which are given oldest first and already filtered."""
    ordered = sorted_newest_first(within(params.get("created"), rows))
    size = params.get("limit", 10)
    if not 1 <= size <= 100:
        raise Refusal(
            "This value must be between 1 and 100.", param="limit", code="parameter_invalid_integer"
        )
    if cursor := params.get("ending_before"):
        before = ordered[: position(ordered, cursor, "ending_before")]
        return listed(before[-size:], url, has_more=len(before) > size)
    start = (
        position(ordered, params["starting_after"], "starting_after") + 1 if "starting_after" in params else 0
    )
    return listed(ordered[start : start + size], url, has_more=len(ordered) > start + size)


def sorted_newest_first(rows: Iterable[Json]) -> list[Json]:
    """Sort them; within one second the later created comes first."""
    numbered = enumerate(rows)
    ordered = sorted(numbered, key=lambda pair: (pair[1].get("created", 0), pair[0]), reverse=True)
    return [row for _, row in ordered]


def position(rows: list[Json], cursor: str, param: str) -> int:
    for place, row in enumerate(rows):
        if row["id"] == cursor:
            return place
    raise Refusal(f"No such object: '{cursor}'", code="resource_missing", param=param)


def within(created: Any, rows: Iterable[Json]) -> list[Json]:
    """Filter by `created`: a moment, or bounds under gt, gte, lt, lte."""
    if created is None:
        return list(rows)
    if isinstance(created, int):
        return [row for row in rows if row["created"] == created]
    return [row for row in rows if all(holds(row["created"], name, at) for name, at in created.items())]


def holds(value: int, operator: str, bound: int) -> bool:
    results = {"gt": value > bound, "gte": value >= bound, "lt": value < bound, "lte": value <= bound}
    return results[operator]


def search(store: Store, kind: str, params: Json, url: str) -> Json:
    """Find rows by clauses joined with AND or OR. Rows younger than the setting `search_lag` are not found yet."""
    query = params["query"]
    visible = store.now() - store.settings["search_lag"]
    rows = [row for row in store.all(kind) if row["created"] <= visible]
    joins = set(re.findall(r"\b(AND|OR)\b", query))
    if len(joins) > 1:
        raise Refusal("Search queries cannot mix AND and OR.", param="query")
    clauses = [clause(part) for part in re.split(r"\s+(?:AND|OR)\s+", query.strip())]
    combine = any if joins == {"OR"} else all
    found = [row for row in rows if combine(matches(row, one) for one in clauses)]
    ordered = sorted_newest_first(found)
    start, size = int(params.get("page") or 0), params.get("limit", 10)
    more = len(ordered) > start + size
    next_page = str(start + size) if more else None
    answer = listed(ordered[start : start + size], url, has_more=more, next_page=next_page)
    return {**answer, "object": "search_result"}


def clause(text: str) -> re.Match[str]:
    match = CLAUSE.fullmatch(text.strip())
    if match is None:
        raise Refusal(f"We were unable to parse your search query near {text!r}.", param="query")
    return match


def matches(row: Json, wanted: re.Match[str]) -> bool:
    value = row.get(wanted["field"])
    if wanted["key"] is not None:
        value = (value or {}).get(wanted["key"])
    return compares(value, wanted["operator"], wanted["value"]) is not bool(wanted["minus"])


def compares(value: Any, operator: str, wanted: str) -> bool:
    if operator == ":":
        return value is None if wanted == "null" else value is not None and same(value, wanted)
    if operator == "~":
        return wanted.lower() in str(value or "").lower()
    names = {">": "gt", ">=": "gte", "<": "lt", "<=": "lte"}
    return isinstance(value, int) and holds(value, names[operator], int(wanted))


def same(value: Any, wanted: str) -> bool:
    return str(value).lower() == wanted.lower()
