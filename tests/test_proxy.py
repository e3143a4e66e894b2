"""The public listener as production runs it: gunicorn or granian behind nginx, which holds slow clients."""

import contextlib
import json
import time

import pytest

import nginx
from tests.served import ask, connect, seconds_of_a_call, served, to_the_end

pytestmark = pytest.mark.skipif(not nginx.program(), reason="nginx is not installed: apt-get install nginx")

HEAD = b"Host: x\r\nContent-Type: application/json\r\n"
LOGIN = b"POST /v1/auth/login HTTP/1.1\r\n" + HEAD
SOON = 5.0  # seconds, on a machine that does much else


@pytest.fixture(scope="module", params=["gunicorn", "granian"])
def port(request, tmp_path_factory):
    place = tmp_path_factory.mktemp("proxied")
    place.chmod(0o755)
    with served(request.param, place, TRUSTED_PROXY_COUNT="1") as running:
        proxy = nginx.Nginx(place / "nginx", {"web": running.port})
        try:
            yield proxy.ports["web"]
        finally:
            proxy.stop()


def test_sixty_bodies_that_never_end_take_no_thread(port):
    with contextlib.ExitStack() as stack:
        for number in range(60):
            slow = stack.enter_context(connect(port))
            framing = (
                b"Content-Length: 1000\r\n\r\n{"
                if number % 2
                else b"Transfer-Encoding: chunked\r\n\r\n5\r\n{"
            )
            slow.sendall(LOGIN + framing)
        time.sleep(0.5)
        assert seconds_of_a_call(port) < SOON


def test_nor_do_sixty_heads_that_never_end_and_sixty_silent_ones(port):
    with contextlib.ExitStack() as stack:
        for _ in range(60):
            stack.enter_context(connect(port)).sendall(b"GET / HTTP/1.1\r\nHost:")
            stack.enter_context(connect(port))
        assert seconds_of_a_call(port) < SOON


def test_who_reads_nothing_of_the_largest_document_takes_none_either(port):
    """Three a second for a while, and many at once."""
    with contextlib.ExitStack() as stack:
        for _ in range(60):
            deaf = stack.enter_context(connect(port))
            deaf.sendall(b"GET /v1/schema HTTP/1.1\r\nHost: x\r\n\r\n" * 3)
        assert seconds_of_a_call(port) < SOON


def test_a_chunked_body_of_many_small_pieces_arrives_whole(port):
    body = b'{"email": "a@example.com"' + b" " * 40_000 + b"}"
    pieces = b"".join(b"1\r\n%c\r\n" % byte for byte in body)
    answer = ask(
        port, LOGIN + b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n" + pieces + b"0\r\n\r\n"
    )
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["errors"] == [
        {"field": "password", "code": "required", "detail": "This field is required."}
    ]


def test_800_calls_at_once_are_all_answered(port):
    with connect(port, patience=60) as hasty:
        hasty.sendall(
            b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n" * 799 + b"GET /livez HTTP/1.0\r\nHost: x\r\n\r\n"
        )
        assert seconds_of_a_call(port) < SOON
        assert to_the_end(hasty).count(b"HTTP/1.1 200 ") == 800


@pytest.mark.parametrize(
    ("request_", "status", "code"),
    [
        (LOGIN + b"Content-Length: 2000000\r\n\r\n", 413, "body_too_large"),
        (b"GET /livez HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 100_000 + b"\r\n\r\n", 400, "bad_request"),
        (LOGIN + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, "bad_request"),
        (b"GET /livez HTTP/1.1\r\n\r\n", 400, "bad_request"),
    ],
    ids=["large body", "long header", "two framings", "no host"],
)
def test_what_the_proxy_refuses_is_a_problem_document(port, request_, status, code):
    answer = ask(port, request_)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert b"Content-Type: application/problem+json" in head
    found = json.loads(body)
    assert (found["status"], found["code"]) == (status, code)
    assert found["request_id"]


def test_a_coding_that_nobody_knows_is_refused(port):
    assert ask(port, LOGIN + b"Transfer-Encoding: gzip\r\n\r\nabc").startswith(
        (b"HTTP/1.1 501 ", b"HTTP/1.1 400 ")
    )


def test_a_listener_that_is_away_is_503_with_retry_after(tmp_path):
    tmp_path.chmod(0o755)
    proxy = nginx.Nginx(tmp_path / "nginx", {})
    try:
        answer = ask(proxy.ports["web"], b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    finally:
        proxy.stop()
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"\r\nRetry-After: 1\r\n" in answer
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["code"] == "service_unavailable"
