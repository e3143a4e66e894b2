"""Measures authentication: our session check beside better-auth's, introspection, and `/me`."""

import http.client
import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import databases
from figures import Figure
from listeners import RAISED, SERVERS, Server, better_auth, ours
from load import http as load_http
from rival_installs import Unavailable
from rival_installs import better_auth as install
from runs import Run, Size, in_turn, least, rate, times

SESSIONS = 50
CONNECTIONS = 8
DIRECTORY = Path(os.environ["VAR_DIR"])
CALLS = {  # path, header, listener
    "/me": ("/v1/auth/me", "Authorization", "public"),
    "introspection": ("/v1/tokens/introspect", "", "internal"),
    "/me/status": ("/v1/auth/me/status", "Authorization", "public"),
}


def sessions(size: Size) -> Iterator[Figure]:
    """`/me`, introspection, `/me/status` and better-auth's get-session, at 8 connections; two processes each."""
    with ExitStack() as stack:
        runs = _ours(stack)
        try:
            runs |= _theirs(stack)
        except Unavailable as reason:
            print(f"better-auth is left out: {reason}", flush=True)
        measured = dict(zip(runs, in_turn(size, *runs.values()), strict=True))
    for name, answered in measured.items():
        yield rate(name, answered, rival=name.startswith("get-session"))
        must, aim = (900, 550) if name.startswith(("/me,", "introspection")) else (None, None)
        spent = [each.server_cpu_us for each in answered]
        yield least(f"processor: {name}", "us", spent, must=must, aim=aim)
    for server in SERVERS:
        status = measured[f"/me/status, {server}"]
        for name, (must_be, aimed) in THEIRS.items():
            if name in measured:
                title = f"of {name}: /me/status, {server}"
                yield times(title, status, measured[name], must=must_be, aim=aimed)


def _ours(stack: ExitStack) -> dict[str, Run]:
    tokens = _tokens()
    runs: dict[str, Run] = {}
    listeners = {
        (listener, server): stack.enter_context(
            ours(databases.url(), server=server, listener=listener, factor=RAISED)
        )
        for listener in ("public", "internal")
        for server in SERVERS
    }
    for name, (path, header, listener) in CALLS.items():
        values = _lines(name, [f"Bearer {token}" if header else token for token in tokens])
        for server in SERVERS:
            runs[f"{name}, {server}"] = _asks(listeners[listener, server], path, header, values)
    return runs


def _tokens() -> list[str]:
    program = Path(__file__).with_name("tokens.py")
    environment = {**os.environ, "DATABASE_URL": databases.url(), "LISTENER": "public"}
    done = subprocess.run(
        [sys.executable, str(program), str(SESSIONS)], env=environment, stdout=subprocess.PIPE, check=True
    )
    tokens: list[str] = json.loads(done.stdout.splitlines()[-1])
    return tokens


# What is compared with ours, and how many times as fast ours must be: a cookie that is believed has no bound.
PLAIN, CACHED = "get-session", "get-session, cookie cache"
THEIRS = {PLAIN: (2.5, 4), CACHED: (None, None)}
PATH = "/api/auth/get-session"
COMPILED_AFTER = 6  # seconds: node compiles what is hot, so that the first seconds say little about it


def _theirs(stack: ExitStack) -> dict[str, Run]:
    database = _database()
    plain = stack.enter_context(better_auth(database, cookie_cache=False))
    cached = stack.enter_context(better_auth(database, cookie_cache=True))
    cookies = [_sign_up(cached) for _ in range(SESSIONS)]
    _require_session(plain, cookies[0].partition(";")[0])
    _require_session(cached, cookies[0])
    tokens_alone = _lines("plain", [cookie.partition(";")[0] for cookie in cookies])
    runs = {
        PLAIN: _asks(plain, PATH, "Cookie", tokens_alone),
        CACHED: _asks(cached, PATH, "Cookie", _lines("cached", cookies)),
    }
    for run in runs.values():
        run(COMPILED_AFTER)
    return runs


def _database() -> str:
    """Return the URL of a database in which better-auth has created its tables."""
    command = install()
    databases.make_empty("rival_better_auth")
    database = databases.url("rival_better_auth", role="auth_owner")
    subprocess.run([*command, "migrate"], env={**os.environ, "DATABASE_URL": database}, check=True)
    return database


def _sign_up(server: Server) -> str:
    """Return a new user's cookies: the session's first, then the cache's."""
    someone = {
        "name": "Bench",
        "email": f"{uuid.uuid4()}@example.com",
        "password": uuid.uuid4().hex,
    }
    body = json.dumps(someone).encode()
    _, cookies = _ask(server, "POST", "/api/auth/sign-up/email", {"Content-Type": "application/json"}, body)
    return "; ".join(sorted(cookies, key=lambda cookie: "session_token" not in cookie))


def _require_session(server: Server, cookie: str) -> None:
    """Exit unless the cookie has a session; without one, the answer is `null` with 200."""
    answer, _ = _ask(server, "GET", PATH, {"Cookie": cookie})
    if not (json.loads(answer) or {}).get("user"):
        raise SystemExit(f"{server.name}: no session: {answer!r}")


def _ask(
    server: Server, method: str, path: str, headers: Mapping[str, str], body: bytes | None = None
) -> tuple[bytes, list[str]]:
    address = urlsplit(server.url)
    connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=10)
    connection.request(method, path, body, {"Origin": "http://127.0.0.1", **headers})
    answer = connection.getresponse()
    content = answer.read()
    if answer.status != 200:
        raise SystemExit(f"{server.name}: {method} {path}: {answer.status} {content!r}")
    return content, [cookie.partition(";")[0] for cookie in answer.msg.get_all("Set-Cookie") or []]


def _lines(name: str, values: Sequence[str]) -> Path:
    path = DIRECTORY / f"values-{name.strip('/').replace('/', '-')}.txt"
    path.write_text("".join(f"{value}\n" for value in values))
    return path


def _asks(server: Server, path: str, header: str, values: Path) -> Run:
    environment = {"BENCH_PATH": path, "BENCH_HEADER": header, "BENCH_VALUES": str(values)}
    return lambda seconds: load_http(
        server, connections=CONNECTIONS, seconds=seconds, script="check.lua", environment=environment
    )
