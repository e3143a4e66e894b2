"""The floor over real sockets, on both servers: what a listener promises whatever a client does."""

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.served import LIVE, Served, ask, connect, seconds_of_a_call, served, to_the_end
from tests.waiting import eventually

SERVERS = ("gunicorn", "granian")
HEAD = b"Host: x\r\nContent-Type: application/json\r\n"
LOGIN = b"POST /v1/auth/login HTTP/1.1\r\n" + HEAD
CHUNKED = LOGIN + b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
SOON = 5.0  # seconds, on a machine that does much else


@pytest.fixture(scope="module", params=SERVERS)
def listener(request, tmp_path_factory):
    with served(request.param, tmp_path_factory.mktemp("served")) as running:
        yield running


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def problem_in(answer: bytes) -> dict[str, object]:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"application/problem+json" in head
    found: dict[str, object] = json.loads(body)
    return found


class TestFloor:
    def test_a_refusal_is_a_problem_document_and_one_line_of_the_log(self, listener):
        path = b"/nowhere?token=canary"
        answer = ask(
            listener.port,
            b"GET "
            + path
            + b" HTTP/1.1\r\nHost: x\r\nX-Request-ID: seen-by-both\r\nConnection: close\r\n\r\n",
        )
        assert status_of(answer) == 404
        assert problem_in(answer)["request_id"] == "seen-by-both"
        assert re.search(rb"(?i)\r\nx-request-id: seen-by-both\r\n", answer)
        lines = [json.loads(line) for line in listener.log.read_text().splitlines() if "seen-by-both" in line]
        assert [(line["status"], line["method"]) for line in lines] == [(404, "GET")]
        assert "canary" not in listener.log.read_text()

    def test_every_line_is_json(self, listener):
        assert all(json.loads(line) for line in listener.log.read_text().splitlines())

    def test_too_large_a_body_is_413_whether_its_length_is_told_or_not(self, listener):
        body = b" " * 200_000
        told = LOGIN + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        for request in (told, CHUNKED + b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)):
            answer = ask(listener.port, request)
            assert status_of(answer) == 413
            assert problem_in(answer)["code"] == "body_too_large"

    @pytest.mark.parametrize(
        "junk",
        [
            b"nonsense\r\n\r\n",
            b"GET / HTTP/1.1\r\n" + HEAD + b"Content-Length: -1\r\n\r\n",
            LOGIN + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
            LOGIN + b"Transfer-Encoding: gzip\r\n\r\nabc",
            LOGIN + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
            b"GET / HTTP/1.1\r\n" + HEAD + b"X: " + b"y" * 200_000 + b"\r\n\r\n",
        ],
        ids=["nonsense", "negative length", "two lengths", "gzip alone", "no chunk", "long header"],
    )
    def test_junk_is_refused_and_ends_the_connection(self, listener, junk):
        answer = ask(listener.port, junk)
        assert not answer or 400 <= status_of(answer) < 500 or status_of(answer) == 501
        assert seconds_of_a_call(listener.port) < SOON

    @pytest.mark.parametrize(
        "cut", [b"", b"1", b"zz\r\n{}\r\n0\r\n\r\n"], ids=["nothing", "in a size", "no size"]
    )
    def test_a_chunked_body_of_which_nothing_came_is_not_an_empty_one(self, listener, cut):
        with socket.create_connection(("127.0.0.1", listener.port), timeout=20) as connection:
            connection.sendall(CHUNKED + cut)
            connection.shutdown(socket.SHUT_WR)
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
        assert status_of(answer) == 400
        assert problem_in(answer)["code"] == "body_unreadable"

    def test_a_refusal_that_needs_no_body_does_not_cost_the_connection(self, listener):
        """The body comes later than its head, as from clients that send them apart."""
        with connect(listener.port) as connection:
            for _ in range(3):
                connection.sendall(b"POST /nowhere HTTP/1.1\r\n" + HEAD + b"Content-Length: 2\r\n\r\n")
                time.sleep(0.2)
                connection.sendall(b"{}")
                answer = b""
                while not answer.endswith(b"}"):
                    piece = connection.recv(65536)
                    assert piece, answer
                    answer += piece
                assert status_of(answer) == 404

    def test_who_waits_to_be_asked_for_the_body_is_asked_once(self, listener):
        with connect(listener.port) as connection:
            connection.sendall(
                LOGIN + b"Content-Length: 2\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n"
            )
            assert connection.recv(65536).startswith(b"HTTP/1.1 100 Continue\r\n")
            connection.sendall(b"[]")
            answer = to_the_end(connection)
        assert b"100 Continue" not in answer
        assert b"HTTP/1.1 400 " in answer


class TestChunks:
    def test_many_small_ones_cost_their_number_and_not_its_square(self, listener):
        """Four times as many: sixteen times as long if it were the square."""
        few, many = (
            min(seconds_for_chunks(listener.port, number) for _ in range(3)) for number in (10_000, 40_000)
        )
        assert many < 8 * few

    def test_others_are_served_beside_them(self, listener):
        rude = threading.Thread(target=seconds_for_chunks, args=(listener.port, 40_000))
        rude.start()
        assert seconds_of_a_call(listener.port) < SOON
        rude.join()


def seconds_for_chunks(port: int, number: int) -> float:
    begun = time.monotonic()
    answer = ask(port, CHUNKED + b"1\r\n \r\n" * number + b"0\r\n\r\n", patience=60)
    assert status_of(answer) == 400, answer[:100]  # white space is not a body of this call
    return time.monotonic() - begun


class TestRudeReaders:
    def test_who_asks_for_the_largest_document_and_reads_nothing_stops_nobody(self, listener):
        with contextlib.ExitStack() as stack:
            for _ in range(20):
                deaf = stack.enter_context(connect(listener.port))
                deaf.sendall(b"GET /v1/schema HTTP/1.1\r\nHost: x\r\n\r\n")
            assert seconds_of_a_call(listener.port) < SOON

    def test_who_asks_800_times_at_once_gets_all_answers_and_others_theirs(self, listener):
        with contextlib.ExitStack() as stack:
            hasty = [stack.enter_context(connect(listener.port, patience=60)) for _ in range(2)]
            for connection in hasty:
                connection.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n" * 800)
            assert seconds_of_a_call(listener.port) < 2 * SOON
            for connection in hasty:
                received = b""
                while received.count(b"HTTP/1.1 200 ") < 800:
                    piece = connection.recv(65536)
                    assert piece, received[-300:]
                    received += piece


@pytest.mark.parametrize("server", SERVERS)
def test_no_variable_of_the_environment_is_shown(tmp_path, server):
    """granian puts the whole environment into what each request carries: nothing may print that."""
    canary = "canary-4f7c1e"
    secrets: dict[str, Any] = {"FAVOURITE": canary, "EMAIL_HOST_PASSWORD": canary}
    nowhere = f"postgresql://auth_app:{canary}@127.0.0.1:9/auth"
    requests = [
        b"GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET /%00 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        LOGIN + b'Content-Length: 41\r\nConnection: close\r\n\r\n{"email":"a@example.com","password":"bcd"}',
        LOGIN + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
    ]
    with served(server, tmp_path, DATABASE_URL=nowhere, **secrets) as running:
        said = b"".join(ask(running.port, request) for request in requests)
    assert b"HTTP/1.1 503 " in said
    assert canary.encode() not in said
    assert canary not in running.log.read_text()


def test_a_worker_that_is_replaced_sends_its_clients_elsewhere_before_it_ends(tmp_path):
    """granian; with gunicorn F16 holds it. A client on whose connection nothing comes any more would lose its call."""
    with served("granian", tmp_path) as running:
        client = http.client.HTTPConnection("127.0.0.1", running.port, timeout=SOON)
        assert not asked_to_leave(client)
        running.process.send_signal(signal.SIGHUP)
        eventually(lambda: asked_to_leave(client), "a word that the client must leave")
        both = workers(running)
        assert seconds_of_a_call(running.port) < SOON
        time.sleep(1)
        assert len(both) == 2
        assert workers(running) == both  # whoever is told in the moment of the end may be told too late


def test_a_worker_that_dies_again_and_again_is_replaced(tmp_path):
    """granian itself would end altogether, healthy workers included."""
    with served("granian", tmp_path) as running:
        dead: set[int] = set()
        for _ in range(3):
            eventually(lambda: workers(running) - dead, "another worker")
            (worker,) = workers(running) - dead
            os.kill(worker, signal.SIGKILL)
            dead.add(worker)
        eventually(lambda: answers(running), "an answer")


def test_workers_without_a_parent_end(tmp_path):
    """They would go on to serve what they have beside those that are started then, on the same port."""
    with served("granian", tmp_path) as running:
        assert workers(running)
        running.process.kill()
        eventually(lambda: not answers(running), "the end")


def workers(running: Served) -> set[int]:
    pid = running.process.pid
    return {int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}


def answers(running: Served) -> bool:
    try:
        return ask(running.port, LIVE).startswith(b"HTTP/1.1 200 ")
    except OSError:
        return False


def asked_to_leave(client: http.client.HTTPConnection) -> bool:
    client.request("GET", "/livez")
    answer = client.getresponse()
    answer.read()
    assert answer.status == 200
    return answer.will_close
