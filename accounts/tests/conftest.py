"""What the tests of accounts share: people who register by mail, and a second thread for everything."""

import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Barrier
from typing import Any

import pytest
from django.core import mail
from django.core.mail import EmailMultiAlternatives
from django.db import connection

from accounts import delivery
from accounts.errors import Problem
from accounts.models import OutboxMessage
from accounts.tests.hashers import CheapBCryptSHA256
from tests.listeners import ListenerClient

PASSWORD = "a sentence that only I know"
OTHER_PASSWORD = "a sentence that somebody else knows"


def post(client: ListenerClient, path: str, **body: Any) -> Any:
    return client.post(f"/v1/auth/{path}", body)


def deliver_mails() -> list[EmailMultiAlternatives]:
    """Sends what waits in the outbox, as the worker would; the mails that have left since the last call."""
    waiting = OutboxMessage.objects.filter(sent_at=None, dead_at=None).order_by("created_at")
    for message_id in waiting.values_list("pk", flat=True):
        delivery.deliver(message_id)
    left = [*mail.outbox]
    mail.outbox.clear()
    return left  # type: ignore[return-value]


def link_in(message: EmailMultiAlternatives) -> str:
    """The token of the mailed link."""
    found = re.search(r"token=([\w-]+)", str(message.body))
    assert found is not None
    return found[1]


def code_in(message: EmailMultiAlternatives) -> str:
    found = re.search(r"^ {4}([A-Z]{8})$", str(message.body), re.MULTILINE)
    assert found is not None
    return found[1]


@pytest.fixture
def register(db: None, public: ListenerClient) -> Callable[..., EmailMultiAlternatives]:
    """`register("ada@example.com")`: the mail that it brings."""

    def register(email: str, password: str = PASSWORD, **fields: Any) -> EmailMultiAlternatives:
        answer = post(public, "register", email=email, password=password, **fields)
        assert answer.status_code == 202, answer.content
        (message,) = deliver_mails()
        return message

    return register


@pytest.fixture
def sign_in(public: ListenerClient) -> Callable[..., dict[str, Any]]:
    def sign_in(email: str, password: str = PASSWORD) -> dict[str, Any]:
        answer = post(public, "login", email=email, password=password)
        assert answer.status_code == 200, answer.content
        return answer.json()  # type: ignore[no-any-return]

    return sign_in


def outcome(answer: Any) -> tuple[int, str]:
    """Status and code of a refusal."""
    return answer.status_code, answer.json().get("code", "")


@contextmanager
def statements() -> Iterator[list[str]]:
    """The SQL of what runs inside, without its values, and without the test's own savepoints."""
    seen: list[str] = []

    def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if "SAVEPOINT" not in sql:
            seen.append(sql)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        yield seen


@contextmanager
def hashes() -> Iterator[Callable[[], int]]:
    """How many passwords were hashed inside."""
    before = CheapBCryptSHA256.made
    yield lambda: CheapBCryptSHA256.made - before


def at_once(times: int, job: Callable[[int], Any], *, threads: int = 20) -> list[Any]:
    """Runs the job in threads that start together, each with its own connection. A refusal comes back as its code."""
    together = Barrier(min(threads, times))

    def run(number: int) -> Any:
        if number < together.parties:
            together.wait()
        try:
            return job(number)
        except Problem as problem:
            return problem.default_code
        finally:
            connection.close()

    with ThreadPoolExecutor(min(threads, times)) as pool:
        return list(pool.map(run, range(times)))


def steady_headers(answer):
    """The headers that every arm must answer with alike: all names, and all values but the id and what is left."""
    return {name: "" if name in {"X-Request-ID", "RateLimit"} else text for name, text in answer.items()}
