"""Checks what holds for every answer of every listener: request id, headers, plain 404, one log line."""

import json
import re
from typing import Any

import pytest
from django.test import override_settings

from tests.listeners import ListenerClient

LISTENERS = ["public", "internal", "admin"]


@pytest.fixture
def client() -> ListenerClient:
    return ListenerClient("public", urlconf="tests.sample")


class TestRequestId:
    @pytest.mark.parametrize("given", ["a", "A.b_c-9", "x" * 128])
    def test_a_valid_one_is_kept(self, client: ListenerClient, given: str) -> None:
        assert client.get("/echo", headers={"X-Request-ID": given}).headers["X-Request-ID"] == given

    @pytest.mark.parametrize("given", ["", "x" * 129, "a b", "a\n", "\u00e9", "a;b", "<script>"])
    def test_any_other_is_replaced(self, client: ListenerClient, given: str) -> None:
        made = client.get("/echo", headers={"X-Request-ID": given}).headers["X-Request-ID"]
        assert re.fullmatch(r"[0-9a-f]{32}", made)

    def test_each_request_has_its_own(self, client: ListenerClient) -> None:
        assert client.get("/echo").headers["X-Request-ID"] != client.get("/echo").headers["X-Request-ID"]


@pytest.mark.parametrize("listener", LISTENERS)
@pytest.mark.parametrize("path", ["/livez", "/nowhere", "/a//b"])
def test_security_headers_are_on_every_answer(listener: str, path: str) -> None:
    headers = ListenerClient(listener).get(path).headers
    assert headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["X-Request-ID"]
    assert headers["Content-Length"]
    assert not {"Server", "X-Powered-By", "Allow"} & set(headers)


def test_a_head_is_told_the_length_and_sent_nothing(client: ListenerClient) -> None:
    got, asked = client.get("/echo"), client.head("/echo")
    assert (asked.status_code, asked.content) == (200, b"")
    assert asked.headers["Content-Length"] == got.headers["Content-Length"] == str(len(got.content))


def test_an_answer_without_a_body_has_no_length(client: ListenerClient) -> None:
    assert "Content-Length" not in client.options("/echo").headers


@override_settings(SECURE_HSTS_SECONDS=31536000)
def test_hsts_is_sent_where_tls_is() -> None:
    assert ListenerClient("public").get("/livez", secure=True).headers["Strict-Transport-Security"]


MALFORMED_PATHS = [
    "//echo",
    "/echo//",
    "/./echo",
    "/x/../echo",
    "/echo/.",
    "/echo;a=b",
    "/text/a%00b",
    "/text/%0a",
    "/text/%5c",
]


@pytest.mark.parametrize("path", MALFORMED_PATHS)
def test_a_malformed_path_is_the_plain_404(client: ListenerClient, path: str) -> None:
    same = {"X-Request-ID": "same"}
    plain, found = client.get("/nowhere", headers=same), client.exactly(path, headers=same)
    assert (found.status_code, found.content) == (404, plain.content)
    assert found.headers == plain.headers


@pytest.mark.parametrize("path", ["/echo/", "/ECHO", "/echo%2f", "/text/%ff/x", "/nobody/%c0%ae"])
def test_a_path_has_one_spelling(client: ListenerClient, path: str) -> None:
    assert client.exactly(path).status_code == 404


class TestHost:
    @override_settings(ALLOWED_HOSTS=["auth.example"])
    def test_a_foreign_host_is_refused(self, client: ListenerClient) -> None:
        assert client.get("/echo", headers={"Host": "auth.example"}).status_code == 200
        answer = client.get("/echo", headers={"Host": "evil.example"})
        assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")

    @override_settings(ALLOWED_HOSTS=["auth.example"])
    @pytest.mark.parametrize("path", ["/livez", "/readyz"])
    def test_a_probe_comes_by_address(self, db: None, path: str) -> None:
        assert ListenerClient("public").get(path, headers={"Host": "10.0.0.7:8000"}).status_code == 200


class TestLog:
    def line(self, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
        lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"request"' in line]
        assert len(lines) == 1
        return dict(lines[0])

    def test_one_line_with_the_route_and_never_the_path(
        self, client: ListenerClient, capsys: pytest.CaptureFixture[str]
    ) -> None:
        client.get("/text/ada@example.com?token=hunter2", headers={"X-Request-ID": "r1"})
        line = self.line(capsys)
        assert (line["method"], line["route"], line["status"]) == ("GET", "/text/<str:text>", 405)
        assert (line["request_id"], line["tier"]) == ("r1", "public")
        assert line["milliseconds"] >= 0
        assert not re.search(r"ada@|hunter2|127\.0\.0\.1", json.dumps(line))

    def test_who_called(
        self, internal: ListenerClient, service_key: Any, capsys: pytest.CaptureFixture[str]
    ) -> None:
        key = service_key("shop", "credits:read")
        internal.with_key(key).get("/v1/credits/balance")
        line = self.line(capsys)
        assert (line["service"], line["tier"], line["user"]) == ("shop", "internal", None)
        assert key not in json.dumps(line)

    def test_an_unknown_path_leaves_no_trace_of_itself(
        self, client: ListenerClient, capsys: pytest.CaptureFixture[str]
    ) -> None:
        client.get("/reset/secret-token")
        assert self.line(capsys)["route"] is None


def test_what_monitoring_adds_to_every_call_passes_the_preflight() -> None:
    wanted = ["authorization", "content-type", "idempotency-key", "x-request-id"]
    wanted += ["traceparent", "tracestate", "baggage", "sentry-trace"]
    asked = {"Origin": "https://app.example", "Access-Control-Request-Method": "POST"}
    with override_settings(CORS_ALLOWED_ORIGINS=["https://app.example"]):
        headers = {**asked, "Access-Control-Request-Headers": ", ".join(wanted)}
        answer = ListenerClient("public").options("/v1/auth/login", headers=headers)
        foreign = ListenerClient("public").options(
            "/v1/auth/login", headers={**headers, "Origin": "https://x.test"}
        )
    assert answer.status_code == 200
    assert set(wanted) <= set(answer.headers["Access-Control-Allow-Headers"].split(", "))
    assert "Access-Control-Allow-Origin" not in foreign.headers


def test_cors_is_an_exact_list() -> None:
    client = ListenerClient("public")
    with override_settings(CORS_ALLOWED_ORIGINS=["https://app.example"]):
        ours = client.get("/v1/schema", headers={"Origin": "https://app.example"}).headers
        foreign = client.get("/v1/schema", headers={"Origin": "https://app.example.evil.test"}).headers
    assert ours["Access-Control-Allow-Origin"] == "https://app.example"
    assert "X-Request-ID" in ours["Access-Control-Expose-Headers"]
    assert "Access-Control-Allow-Origin" not in foreign
    assert "Origin" in foreign["Vary"].title()
