"""Shows each request of `script/demo` and its answer, and checks the answer."""

import json
from collections.abc import Mapping
from typing import Any, Self

import httpx

SECRET_FIELDS = {"password", "token", "access_token", "refresh_token", "device_token"}
SHOWN_HEADERS = ("X-API-Key", "Authorization", "Idempotency-Key")
SECRET_HEADERS = {"X-API-Key", "Authorization"}
TIMEOUT_SECONDS = 20


class Unexpected(Exception):
    """An answer that is not what it should be, or none at all."""


class Answer:
    def __init__(self, status: int, body: dict[str, Any]) -> None:
        self.status, self.body = status, body

    def __getitem__(self, field: str) -> Any:
        if field not in self.body:
            raise Unexpected(f"the answer has no {field!r}")
        return self.body[field]

    def expect(self, status: int, /, **fields: object) -> Self:
        if self.status != status:
            raise Unexpected(f"status {status} was expected, not {self.status}")
        expect(self.body, **fields)
        return self


def expect(body: Mapping[str, Any], **fields: object) -> None:
    """Raise Unexpected if a field of the document differs."""
    for name, value in fields.items():
        if body.get(name) != value:
            raise Unexpected(f"{name} should be {value!r}, not {body.get(name)!r}")


class Wire:
    """`http` shows all that goes over it; `replayed` says whether its last answer was a repeat of an earlier one."""

    def __init__(self) -> None:
        self.replayed = False
        hooks: dict[str, list[Any]] = {"request": [show_request], "response": [self._answered]}
        self.http = httpx.Client(timeout=TIMEOUT_SECONDS, trust_env=False, event_hooks=hooks)

    def _answered(self, response: httpx.Response) -> None:
        response.read()
        self.replayed = "Idempotency-Replayed" in response.headers
        replayed = "  (Idempotency-Replayed: true)" if self.replayed else ""
        print(f"  -> {response.status_code}{replayed}")
        if response.content:
            print(f"    {readable(response.content)}")


class Public:
    """The public listener, called directly as a front end might; its real client is clients/typescript."""

    def __init__(self, base: str, wire: Wire) -> None:
        self._base, self._http = base, wire.http

    def get(self, path: str, *, headers: Mapping[str, str]) -> Answer:
        return self._send("GET", path, headers=headers)

    def post(self, path: str, body: dict[str, Any]) -> Answer:
        return self._send("POST", path, json=body)

    def _send(self, method: str, path: str, **sent: Any) -> Answer:
        try:
            response = self._http.request(method, self._base + path, **sent)
            return Answer(response.status_code, response.json())
        except httpx.TransportError as error:
            raise Unexpected(f"{self._base} does not answer ({error}); is script/server running?") from None
        except ValueError:
            raise Unexpected("the answer is not JSON") from None


def show_request(request: httpx.Request) -> None:
    print(f"  {request.method} {request.url}")
    for name in SHOWN_HEADERS:
        if value := request.headers.get(name):
            print(f"    {name}: {shortened(value) if name in SECRET_HEADERS else value}")
    if request.content:
        print(f"    {readable(request.content)}")


def readable(content: bytes) -> str:
    try:
        body = json.loads(content)
    except ValueError:
        return content.decode(errors="replace")[:200]
    safe = {name: shortened(value) if name in SECRET_FIELDS else value for name, value in body.items()}
    return json.dumps(safe, ensure_ascii=False)


def shortened(secret: object) -> str:
    """Return enough of a secret to tell two apart, and too little to use."""
    text = str(secret)
    return f"{text[:12]}...{text[-4:]}" if len(text) > 40 else f"{text[:3]}..."
