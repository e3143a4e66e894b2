"""Measures the effect of millions of transactions on spends, and on pages of the longest history."""

import http.client
import json
import os
import uuid
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode, urlsplit

import databases
import msgspec
from figures import Figure
from listeners import Server, ours
from load import http as load_http
from runs import Size, in_turn, rate

PAGE, PAGES = 50, 60  # rows of one, and how many at each depth
DEPTHS = (0, 10, 50, 99)  # percent of the history


def growth(size: Size) -> Iterator[Figure]:
    """`use` in a small database and in one of millions of transactions, and pages of the longest history."""
    databases.make_small()
    rows = databases.make_large(size.rows)
    with ours(databases.url()) as small, ours(databases.url(databases.LARGE)) as large:
        few, many = in_turn(
            size,
            lambda seconds: load_http(small, connections=8, seconds=seconds),
            lambda seconds: load_http(large, connections=8, seconds=seconds),
        )
        taken = read_history(large, length=rows * 2 // 5)
    yield rate(f"use at {databases.SMALL_ROWS:,} transactions", few)
    yield rate(f"use at {rows:,} transactions", many)
    shares = [100 * one.per_second / two.per_second for one, two in zip(many, few, strict=True)]
    yield Figure(name="many rows against few", unit="%", samples=shares, must=85, aim=95)
    for depth, milliseconds in taken.items():
        yield Figure(
            name=f"page of 50 at {depth} % of {rows * 2 // 5:,}", unit="ms", samples=milliseconds,
            must=5, aim=1, less_is_better=True,
        )  # fmt: skip


def read_history(server: Server, *, length: int) -> dict[int, list[float]]:
    """Return the server's own time for pages at each depth, in turn; the first of each only warms up."""
    address = urlsplit(server.url)
    connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=10)
    paths = {depth: _path(length * depth // 100) for depth in DEPTHS}
    asked: dict[int, list[str]] = {depth: [] for depth in DEPTHS}
    for _ in range(PAGES + 1):
        for depth, path in paths.items():
            asked[depth].append(_read_page(connection, path))
    logged = _milliseconds(server)
    return {depth: [logged[request_id] for request_id in ids[1:]] for depth, ids in asked.items()}


def _read_page(connection: http.client.HTTPConnection, path: str) -> str:
    """Request a page, check that it is full, and return the request's id."""
    request_id = uuid.uuid4().hex
    headers = {"X-API-Key": os.environ["INTERNAL_API_KEY"], "X-Request-ID": request_id}
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    page = json.loads(answer.read())
    if answer.status != 200 or len(page["results"]) != PAGE or page["next"] is None:
        raise SystemExit(f"{path}: {answer.status} {page}")
    return request_id


def _path(depth: int) -> str:
    """Return the path of the page this many rows down. The cursor is sealed here, as the previous page would have
    done.
    """
    query: dict[str, Any] = {"user_id": databases.user_id(databases.HOT_USER), "limit": PAGE}
    if depth:
        query["cursor"] = _cursor(depth)
    return f"/v1/credits/transactions?{urlencode(query)}"


def _cursor(depth: int) -> str:
    from config.paging import Seal
    from credits.views.journal import Transactions

    query = Transactions.Query(user_id=uuid.UUID(databases.user_id(databases.HOT_USER)))
    bound = {**msgspec.structs.asdict(query), "service": "demo"}
    return Seal(order=("-at",), bound_to=bound).close([databases.time_at(depth)])


def _milliseconds(server: Server) -> dict[str, float]:
    """Return the milliseconds that the server's log has for each answered request."""
    lines = map(json.loads, filter(lambda line: line.startswith("{"), server.log.read_text().splitlines()))
    return {line["request_id"]: line["milliseconds"] for line in lines if "milliseconds" in line}
