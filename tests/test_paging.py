"""Cursors: complete, in order, at any page size, while rows arrive; and bound to what they were given for."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from accounts.models import AuditEvent
from tests.listeners import ListenerClient

START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def client(db: None) -> ListenerClient:
    return ListenerClient("internal", urlconf="tests.sample")


@pytest.fixture
def newest_first(db: None) -> list[str]:
    """Nine events at three times: within one time only the id tells them apart."""
    for number in range(9):
        event = AuditEvent.objects.create(type=f"event-{number}")
        AuditEvent.objects.filter(pk=event.pk).update(created_at=START + timedelta(seconds=number // 3))
    return [f"event-{number}" for number in reversed(range(9))]


def page(client: ListenerClient, **query: Any) -> dict[str, Any]:
    answer = client.get("/events", query)
    assert answer.status_code == 200, answer.content
    return dict(answer.json())


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 8, 9, 100])
def test_all_pages_together_are_the_list(client: ListenerClient, newest_first: list[str], limit: int) -> None:
    seen: list[str] = []
    query: dict[str, Any] = {"limit": limit}
    while True:
        found = page(client, **query)
        assert 0 < len(found["results"]) <= limit
        seen += found["results"]
        if found["next"] is None:
            break
        query["cursor"] = found["next"]
    assert seen == newest_first


def test_an_empty_list_is_a_page(client: ListenerClient) -> None:
    assert page(client) == {"results": [], "next": None}


def test_rows_that_arrive_meanwhile_move_nothing(client: ListenerClient, newest_first: list[str]) -> None:
    first = page(client, limit=4)
    AuditEvent.objects.create(type="late")
    assert page(client, limit=100, cursor=first["next"])["results"] == newest_first[4:]


def test_the_default_is_50(client: ListenerClient) -> None:
    AuditEvent.objects.bulk_create([AuditEvent(type="x") for _ in range(51)])
    assert len(page(client)["results"]) == 50


@pytest.mark.parametrize("limit", ["0", "101", "-1", "", "x", "1.5", "007", "1e1", "\u0663", "9" * 30])
def test_a_bad_limit_is_named(client: ListenerClient, limit: str) -> None:
    answer = client.get("/events", {"limit": limit})
    assert (answer.status_code, answer.json()["code"]) == (400, "validation_error")
    assert answer.json()["errors"][0]["field"] == "limit"


@pytest.mark.parametrize(
    "cursor", ["", ".", "x", "a.b", "W10.", "\0", "\u00e9", "W10." + "A" * 43, "x" * 5000]
)
def test_a_made_up_cursor_is_invalid(client: ListenerClient, cursor: str) -> None:
    answer = client.get("/events", {"cursor": cursor})
    assert (answer.status_code, answer.json()["code"]) == (400, "cursor_invalid")


def test_every_altered_character_is_noticed(client: ListenerClient, newest_first: list[str]) -> None:
    cursor = page(client, limit=1)["next"]
    for place, character in enumerate(cursor):
        altered = cursor[:place] + ("A" if character != "A" else "B") + cursor[place + 1 :]
        assert client.get("/events", {"cursor": altered}).json().get("code") == "cursor_invalid", place


def test_a_cursor_is_bound_to_its_filters(client: ListenerClient, newest_first: list[str]) -> None:
    cursor = page(client, limit=1, type="a")["next"]
    assert client.get("/events", {"cursor": cursor, "type": "a"}).status_code == 200
    for other in ({}, {"type": "b"}, {"type": ""}):
        assert client.get("/events", {"cursor": cursor, **other}).json()["code"] == "cursor_invalid"


def test_a_page_is_one_query_without_a_count(
    client: ListenerClient, newest_first: list[str], django_assert_num_queries: Any
) -> None:
    cursor = page(client, limit=2)["next"]
    with django_assert_num_queries(1) as queries:
        page(client, limit=2, cursor=cursor)
    statement = queries.captured_queries[0]["sql"]
    assert "COUNT" not in statement
    assert "OFFSET" not in statement
    assert '("accounts_auditevent"."created_at", "accounts_auditevent"."id") <' in statement
