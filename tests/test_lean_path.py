"""The lean path: nothing that requests share is changed by one of them, and no answer lacks what the floor promises."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from accounts.kit.responses import ProblemResponse, Response
from accounts.permissions import IsAuthenticated, IsVerified
from accounts.tiers import AuthenticatedEndpoint, Endpoint, VerifiedEndpoint
from config.handlers import RememberedPaths
from tests.listeners import ListenerClient
from tests.surface import surface

ROOT = Path(__file__).parents[1]
VIEWS = sorted(
    {route.view for route in surface() if route.view is not None}, key=lambda view: view.__qualname__
)
SECURITY = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
}


@pytest.fixture
def client() -> ListenerClient:
    return ListenerClient("internal", urlconf="tests.sample")


class TestHeaders:
    @pytest.mark.parametrize("listener", ["public", "internal"])
    @pytest.mark.parametrize(
        ("method", "path", "body", "status"),
        [
            ("GET", "/echo", b"", 200),
            ("HEAD", "/echo", b"", 200),
            ("POST", "/echo", b'{"name": "Ada"}', 200),
            ("POST", "/echo", b"{", 400),
            ("POST", "/echo", b'{"name": ""}', 400),
            ("DELETE", "/echo", b"", 405),
            ("OPTIONS", "/echo", b"", 204),
            ("GET", "/undeclared", b"", 403),
            ("GET", "/nowhere", b"", 404),
            ("POST", "/echo", b'"' + b"x" * 70_000 + b'"', 413),
        ],
    )
    def test_each_kind_of_answer_has_those_of_the_floor(
        self, listener: str, method: str, path: str, body: bytes, status: int
    ) -> None:
        client = ListenerClient(listener, urlconf="tests.sample")
        answer = client.raw(method, path, body, headers={"X-Request-ID": "mine"})
        assert answer.status_code == status
        assert {name: answer.headers.get(name) for name in SECURITY} == SECURITY
        assert answer.headers["X-Request-ID"] == "mine"
        assert answer.headers["Cache-Control"] == "no-store"
        if status == 204:
            assert "Content-Length" not in answer.headers
        elif method != "HEAD":
            assert answer.headers["Content-Length"] == str(len(answer.content))

    def test_json_is_called_json_and_nothing_is_called_nothing(self) -> None:
        assert Response({"a": 1}).headers["Content-Type"] == "application/json"
        assert ProblemResponse({"a": 1}).headers["Content-Type"] == "application/problem+json"
        assert (Response(status=204).content, "Content-Type" in Response().headers) == (b"", False)
        assert Response(False).content == b"false"

    def test_those_of_one_answer_are_not_those_of_the_next(self) -> None:
        changed = Response({}, headers={"Cache-Control": "public", "Idempotency-Replayed": "true"})
        changed.headers["Content-Type"] = "text/plain"
        del changed.headers["Referrer-Policy"]
        assert changed.headers["Cache-Control"] == "public"
        assert dict(Response({}).headers.items()) == {
            "Content-Type": "application/json", "Cache-Control": "no-store", **SECURITY}  # fmt: skip
        assert "Idempotency-Replayed" not in ProblemResponse({}).headers

    def test_a_line_break_in_one_is_refused(self) -> None:
        with pytest.raises(ValueError, match="newlines"):
            Response({}, headers={"Idempotency-Replayed": "true\r\nSet-Cookie: a=b"})


class TestLine:
    @pytest.mark.parametrize(
        ("call", "told"),
        [
            ("POST /echo", ("/echo", 400, "public")),
            ("DELETE /echo", ("/echo", 405, "public")),
            ("OPTIONS /echo", ("/echo", 204, "public")),
            ("GET /undeclared", ("/undeclared", 403, None)),
            ("GET /text/secret", ("/text/<str:text>", 405, "public")),
            ("GET /nowhere", (None, 404, None)),
        ],
    )
    def test_a_refusal_has_one_with_its_request_id_the_second_time_too(
        self, client: ListenerClient, capsys: pytest.CaptureFixture[str], call: str, told: tuple[Any, ...]
    ) -> None:
        method, path = call.split()
        for request_id in ("first", "second"):
            client.raw(method, path, b"[]", headers={"X-Request-ID": request_id})
            lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
            (line,) = [line for line in lines if line["event"] == "request"]
            assert (line["route"], line["status"], line["tier"]) == told
            assert line["request_id"] == request_id


class TestParts:
    @pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.__qualname__)
    def test_are_what_the_class_line_says(self, view: type[Endpoint]) -> None:
        assert [type(one) for one in view.parts.permissions] == list(view.permission_classes)
        assert [type(one) for one in view.parts.authenticators] == list(view.authentication_classes)
        assert [type(one) for one in view.parts.parsers] == list(view.parser_classes)

    def test_of_a_class_are_not_those_of_its_parent(self) -> None:
        class Stricter(AuthenticatedEndpoint):
            permission_classes = (IsVerified,)

        assert [type(one) for one in AuthenticatedEndpoint.parts.permissions] == [IsAuthenticated]
        assert [type(one) for one in Stricter.parts.permissions] == [IsVerified]
        assert [type(one) for one in VerifiedEndpoint.parts.permissions] == [IsVerified]

    @pytest.mark.django_db
    def test_keep_nothing_of_a_request(self, internal: ListenerClient, service_key: Any) -> None:
        def kept() -> list[dict[str, Any]]:
            return [dict(vars(one)) for view in VIEWS for part in view.parts[:3] for one in part]

        before = kept()
        for key in (service_key("one"), service_key("two")):
            internal.with_key(key).get("/v1/credits/balance")
        internal.with_token("junk").post("/v1/tokens/introspect", {})
        assert kept() == before


class TestRememberedPaths:
    def test_a_path_with_arguments_is_not_remembered(self, client: ListenerClient) -> None:
        for path in ("/echo", "/echo", "/text/one", "/text/two", "/nowhere", "/echo?size=2"):
            client.get(path)
        assert isinstance(client.handler, RememberedPaths)
        assert [path for _, path in client.handler._matches] == ["/echo"]

    def test_a_path_of_another_urlconf_is_another_path(self, client: ListenerClient) -> None:
        assert client.get("/echo").status_code == 200
        client.handler.urlconf = "config.urls.internal"  # type: ignore[attr-defined]
        assert client.get("/echo").status_code == 404

    def test_a_remembered_one_answers_each_method_and_query_by_itself(self, client: ListenerClient) -> None:
        sizes = [client.get(f"/echo?size={size}").json()["size"] for size in (1, 2, 3)]
        assert sizes == [1, 2, 3]
        assert client.delete("/echo").status_code == 405


def test_what_django_does_around_each_request_is_left_to_ours(settings: Any) -> None:
    """In a process of its own, as config/wsgi.py begins: Django's test tools connect its receivers again.

    With DEBUG, or a cache that has something to close, two of them would be needed.
    """
    program = """if True:
        import django
        django.setup()
        from accounts.kit import nudge
        nudge.application()
        from django.core import cache, signals
        import django.db as db
        for signal, receiver in (
            (signals.request_started, db.reset_queries), (signals.request_started, db.close_old_connections),
            (signals.request_finished, db.close_old_connections), (signals.request_finished, cache.close_caches),
        ):
            print(signal.disconnect(receiver))
    """
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True
    )
    assert done.stdout.split() == ["False"] * 4
    assert not settings.DEBUG
    backends = [cache["BACKEND"] for cache in settings.CACHES.values()]
    assert backends == ["django.core.cache.backends.locmem.LocMemCache"]
