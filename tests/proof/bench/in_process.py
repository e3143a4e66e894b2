"""A program for inside.py: calls the application of one listener ($LISTENER) in process, and prints JSON.

The profile is a ladder: a plain Django view under the listener's middleware, an empty view of the framework, one that
checks a key, one that reads the body, and `use` itself. The difference between two rungs is what the upper one adds;
the ledger is measured separately. Together they do not include the cost of waiting for PostgreSQL, after which caches
are cold: a hundred microseconds and more, which no rung shows. It is reported together with the small cost of the
answer.
"""

import contextlib
import gc
import io
import json
import os
import random
import sys
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT), str(ROOT / "script" / "lib")]

from config.wsgi import application  # noqa: E402 -- the listener's own, which loads the apps

# isort: split
from databases import user_id  # noqa: E402
from django.db import connection  # noqa: E402
from django.http import HttpResponse  # noqa: E402
from django.test.utils import CaptureQueriesContext  # noqa: E402
from django.urls import path  # noqa: E402
from django.views.decorators.csrf import csrf_exempt  # noqa: E402
from rest_framework.request import Request  # noqa: E402
from tokens import access_token  # noqa: E402

from accounts.kit.responses import Response  # noqa: E402
from accounts.tiers import InternalEndpoint, PublicEndpoint  # noqa: E402
from config.urls import internal  # noqa: E402
from credits import ledger  # noqa: E402
from credits.ledger import one_statement, operations  # noqa: E402
from credits.ledger.batch import Step, perform_all  # noqa: E402
from credits.ledger.calls import Call, request_bytes  # noqa: E402
from credits.views.journal import UseCredits  # noqa: E402
from deploy import gunicorn  # noqa: E402

CALLS = 50  # of one try
ACCOUNTS, BULK = 100, 1000
USER = user_id(2)
KEY = {"HTTP_X_API_KEY": os.environ["INTERNAL_API_KEY"]}
USE = json.dumps({"user_id": USER, "amount": 1}).encode()


def call(
    method: str, where: str, body: bytes = b"", *, query: str = "", headers: Mapping[str, str] | None = None
) -> bytes:
    """Make one request, as gunicorn would pass it on, and return its body; it must succeed."""
    environ = {
        "REQUEST_METHOD": method, "PATH_INFO": where, "QUERY_STRING": query, "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "80", "SERVER_PROTOCOL": "HTTP/1.1", "REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "127.0.0.1",
        "CONTENT_TYPE": "application/json", "CONTENT_LENGTH": str(len(body)), "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr, "wsgi.url_scheme": "http", "wsgi.version": (1, 0), "wsgi.multithread": True,
        "wsgi.multiprocess": True, "wsgi.run_once": False, **(headers or {}),
    }  # fmt: skip
    statuses: list[str] = []
    answer: Any = application(environ, lambda status, *_: statuses.append(status))  # type: ignore[arg-type]
    content = b"".join(answer)
    answer.close()
    if not statuses[0].startswith("2"):
        raise SystemExit(f"{method} {where}: {statuses[0]} {content!r}")
    return content


def use(where: str = "/v1/credits/use") -> None:
    call("POST", where, USE, headers={"HTTP_IDEMPOTENCY_KEY": uuid.uuid4().hex, **KEY})


def statements() -> dict[str, list[int]]:
    """Count the statements of several calls of each kind, after some that fill the caches."""
    return {name: [counted(one) for _ in range(12)][2:] for name, one in calls().items()}


def counted(one: Callable[[], object]) -> int:
    with CaptureQueriesContext(connection) as captured:
        one()
    return len(captured)


def calls() -> dict[str, Callable[[], object]]:
    token = access_token(2)
    if os.environ["LISTENER"] == "public":
        bearer = {"HTTP_AUTHORIZATION": f"Bearer {token}"}
        return {"GET /v1/auth/me": lambda: call("GET", "/v1/auth/me", headers=bearer)}
    introspected = json.dumps({"token": token}).encode()
    return {
        "use": use,
        "balance": lambda: call("GET", "/v1/credits/balance", query=f"user_id={USER}", headers=KEY),
        "introspection": lambda: call("POST", "/v1/tokens/introspect", introspected, headers=KEY),
    }


def profile(tries: int) -> dict[str, float]:
    """Measure microseconds of processor time by part: for each part the median of this many attempts."""
    internal.urlpatterns += [
        path("bench/plain", csrf_exempt(lambda request: HttpResponse(status=201))),
        path("bench/empty", Empty.as_view()),
        path("bench/keyed", Keyed.as_view()),
        path("bench/body", WithBody.as_view()),
    ]
    plain, empty, keyed, body, whole, spend, statement = medians(
        tries,
        lambda: use("/bench/plain"),
        lambda: use("/bench/empty"),
        lambda: use("/bench/keyed"),
        lambda: use("/bench/body"),
        use,
        lambda: ledger.use(user_id=uuid.UUID(USER), amount=1, call=fresh_call()),
        run_statement,
    )
    return {
        "Django and our middleware": plain,
        "DRF": empty - plain,
        "key and scope": keyed - empty,
        "body: parse and check": body - keyed,
        "ledger: the statement": statement,
        "ledger: the rest": spend - statement,
        "the answer; caches cold after the wait": whole - body - spend,
        "whole": whole,
    }


class Empty(PublicEndpoint):
    raw_body = True

    def post(self, request: Request) -> Response:
        return Response(None, status=201)


class Keyed(InternalEndpoint):
    scope = "credits:use"
    raw_body = True

    def post(self, request: Request) -> Response:
        return Response(None, status=201)


class WithBody(InternalEndpoint):
    scope = "credits:use"
    Body = UseCredits.Body

    def post(self, request: Request) -> Response:
        return Response(None, status=201)


def fresh_call() -> Call:
    fields = {"user_id": USER, "amount": 1}
    return Call(service="bench", key=uuid.uuid4().hex, request=request_bytes("use", fields=fields))


def run_statement() -> None:
    one_statement.use(user_id=uuid.UUID(USER), amount=1, call=fresh_call())


def medians(tries: int, *calls: Callable[[], object]) -> list[float]:
    """Return the median microseconds of one call of each, measured in turn, after two attempts that fill the caches.

    The minimum of many attempts is not representative: it is a fifth to a third below the median of the same run.
    """
    spent: list[list[float]] = [[] for _ in calls]
    for _ in range(tries + 2):
        for one, samples in zip(calls, spent, strict=True):
            started = time.process_time()
            for _ in range(CALLS):
                one()
            samples.append((time.process_time() - started) / CALLS * 1e6)
    return [median(samples[2:]) for samples in spent]


def entries(seconds: float) -> dict[str, float]:
    """Count uses of 1 credit per second, over as many users as rivals/hordak_entries.py has accounts."""
    return {"singly": per_second(singly, seconds), "in_bulk": per_second(in_bulk, seconds)}


def per_second(entry: Callable[[], int], seconds: float) -> float:
    entry()
    started, count = time.monotonic(), 0
    while (taken := time.monotonic() - started) < seconds:
        count += entry()
    return count / taken


def singly() -> int:
    ledger.use(user_id=somebody(), amount=1, call=fresh_call())
    return 1


def in_bulk() -> int:
    done = perform_all([Step(somebody(), operations.use(amount=1, call=fresh_call())) for _ in range(BULK)])
    if problems := [result for result in done if isinstance(result, Exception)]:
        raise SystemExit(f"{len(problems)} uses were refused: {problems[0]}")
    return BULK


def somebody() -> uuid.UUID:
    return uuid.UUID(user_id(random.randint(1, ACCOUNTS)))


MEASURED: dict[str, Callable[..., Mapping[str, Any]]] = {
    "statements": statements,
    "profile": profile,
    "entries": entries,
}


def main(what: str, *arguments: str) -> None:
    gc.collect()
    gc.freeze()
    gunicorn.post_fork(None, None)  # collections as rare as in a worker
    out = os.dup(1)
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):  # noqa: PTH123
        found = MEASURED[what](*map(int, arguments))
    os.write(out, json.dumps(found).encode())


if __name__ == "__main__":
    main(*sys.argv[1:])
