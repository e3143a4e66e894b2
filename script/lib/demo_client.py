"""A client of the service for `script/demo`: shows each request and its answer, and checks what came back."""

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from email.message import Message
from typing import Any, Self

SECRET_FIELDS = {"password", "token", "access_token", "refresh_token"}
SECRET_HEADERS = {"X-API-Key", "Authorization"}
TIMEOUT_SECONDS = 20


class Unexpected(Exception):
    """An answer that is not what it should be, or none at all."""


class Answer:
    def __init__(self, status: int, headers: Message, body: dict[str, Any]) -> None:
        self.status, self.headers, self.body = status, headers, body

    def __getitem__(self, field: str) -> Any:
        if field not in self.body:
            raise Unexpected(f"the answer has no {field!r}")
        return self.body[field]

    def expect(self, status: int, /, **fields: object) -> Self:
        if self.status != status:
            raise Unexpected(f"status {status} was expected, not {self.status}")
        for name, value in fields.items():
            if self[name] != value:
                raise Unexpected(f"{name} should be {value!r}, not {self[name]!r}")
        return self

    def expect_header(self, name: str, value: str) -> None:
        if self.headers[name] != value:
            raise Unexpected(f"the header {name} should be {value!r}, not {self.headers[name]!r}")

    def expect_rows(self, rows: list[tuple[str, int]]) -> None:
        found = [(row["type"], row["amount"]) for row in self["results"]]
        if found != rows:
            raise Unexpected(f"the history should be {rows}, not {found}")

    def differs_from(self, other: "Answer", field: str) -> None:
        if self[field] == other[field]:
            raise Unexpected(f"{field} should be a new one")


class Client:
    def __init__(self, base: str, headers: Mapping[str, str] | None = None) -> None:
        self._base = base
        self._headers = dict(headers or {})

    def get(self, path: str, *, headers: Mapping[str, str] | None = None) -> Answer:
        return self._send(path, None, headers or {})

    def post(self, path: str, body: dict[str, Any], *, headers: Mapping[str, str] | None = None) -> Answer:
        return self._send(path, body, headers or {})

    def _send(self, path: str, body: dict[str, Any] | None, headers: Mapping[str, str]) -> Answer:
        sent = {**self._headers, **headers}
        show_request(f"{'GET' if body is None else 'POST'} {self._base}{path}", sent, body)
        data = None if body is None else json.dumps(body).encode()
        content = {} if body is None else {"Content-Type": "application/json"}
        request = urllib.request.Request(self._base + path, data, {**content, **sent})  # noqa: S310  (http, by us)
        answer = receive(request)
        show_answer(answer)
        return answer


def receive(request: urllib.request.Request) -> Answer:
    """Answers of every status alike."""
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as response:  # noqa: S310
            return Answer(response.status, response.headers, json.load(response))
    except urllib.error.HTTPError as refusal:
        return Answer(refusal.code, refusal.headers, problem(refusal.read()))
    except OSError as error:
        raise Unexpected(f"{request.host} does not answer ({error}); is script/server running?") from None
    except ValueError:
        raise Unexpected("the answer is not JSON") from None


def problem(body: bytes) -> dict[str, Any]:
    try:
        document: dict[str, Any] = json.loads(body)
    except ValueError:
        return {"body": body.decode(errors="replace")[:200]}
    return document


def show_request(line: str, headers: Mapping[str, str], body: dict[str, Any] | None) -> None:
    print(f"  {line}")
    for name, value in headers.items():
        print(f"    {name}: {shortened(value) if name in SECRET_HEADERS else value}")
    if body is not None:
        print(f"    {readable(body)}")


def show_answer(answer: Answer) -> None:
    replayed = "  (Idempotency-Replayed: true)" if answer.headers["Idempotency-Replayed"] else ""
    print(f"  -> {answer.status}{replayed}\n    {readable(answer.body)}")


def readable(body: dict[str, Any]) -> str:
    safe = {name: shortened(value) if name in SECRET_FIELDS else value for name, value in body.items()}
    return json.dumps(safe, ensure_ascii=False)


def shortened(secret: object) -> str:
    """Enough to tell two apart, too little to use."""
    text = str(secret)
    return f"{text[:12]}...{text[-4:]}" if len(text) > 40 else f"{text[:3]}..."
