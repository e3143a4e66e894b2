"""Over real sockets, on both servers: who waits for a password to be hashed keeps nobody else from being answered."""

import json
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from django.db import connection

from accounts.kit.turns import Turns
from tests.fixtures import PASSWORD
from tests.served import ask, database_url, served
from tests.waiting import eventually

WAITING, SEATS = 12, 2  # SEATS is what tests/served.py gives a process
LOGIN = (
    b"POST /v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nConnection: close\r\n"
    b"Content-Length: %d\r\n\r\n%s"
)
READY = b"GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
LOOK_UP = b"GET /v1/auth/me HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nConnection: close\r\n\r\n"


def login(email: str) -> bytes:
    body = json.dumps({"email": email, "password": PASSWORD}).encode()
    return LOGIN % (len(body), body)


def connections_of_listener() -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name = 'auth public'"
        )
        return int(cursor.fetchone()[0])


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def taken(file: Path) -> list[object]:
    """Return the places of the queue; none before the file is there and written."""
    text = file.read_bytes() if file.exists() else b""
    places: list[object] = json.loads(text) if text else []
    return places


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("server", ["gunicorn", "granian"])
def test_others_are_answered_while_more_wait_than_there_are_seats(server, tmp_path, make_user, access_token):
    people = [make_user(f"{number}@example.com", password=PASSWORD) for number in range(10)]
    look_up = LOOK_UP % access_token(people[0]).encode()
    file, end = Path(tmp_path) / "turns.json", threading.Event()
    machine = Turns(lambda: file, running=1, waiting=WAITING, patience=60, nice=0)
    with (
        ThreadPoolExecutor(WAITING + 1) as pool,
        served(
            server,
            tmp_path,
            PASSWORD_HASHING_TURNS=str(file),
            PASSWORD_HASHING_CONCURRENCY="1",
            PASSWORD_HASHING_QUEUE=str(WAITING),
            PASSWORD_HASHING_PATIENCE="60",
            DATABASE_URL=database_url(),
        ) as listener,
    ):
        holder: Future[object] = pool.submit(machine.do, end.wait, "somebody")
        try:
            eventually(lambda: len(taken(file)) == 1, "the holder has the turn")
            asked = [pool.submit(ask, listener.port, login(one.email), patience=120) for one in people]
            eventually(lambda: len(taken(file)) == 11 or any(one.done() for one in asked), "ten wait")
            assert [one.result() for one in asked if one.done()] == []
            for question in [look_up, READY] * 10:
                assert status_of(ask(listener.port, question)) == 200
            assert [one.result() for one in asked if one.done()] == []
            assert connections_of_listener() <= SEATS + 1  # /readyz has one of its own
        finally:
            end.set()
        assert [status_of(one.result(60)) for one in asked] == [200] * 10
        assert holder.result(10) is True
        assert connections_of_listener() <= SEATS + 1
