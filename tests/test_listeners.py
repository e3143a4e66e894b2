"""On the public port an internal or admin path is the plain 404: in every spelling, with every right, byte for byte."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.listeners import ListenerClient
from tests.principals import api_key, bearer, path_of
from tests.surface import routes_of, surface

pytestmark = pytest.mark.django_db

PUBLIC = {route.path for route in routes_of("public")}
HIDDEN = sorted(
    {path_of(route) for route in surface() if route.path not in PUBLIC and route.view is not None}
    | {"/admin/", "/admin/login/", "/metrics"}
)


def spellings(path: str) -> Iterator[str]:
    first, _, rest = path.lstrip("/").partition("/")
    yield from (
        path,
        path + "/",
        "/" + path,
        path.upper(),
        path.title(),
        f"/.{path}",
        f"/./{path.lstrip('/')}",
    )
    yield from (
        f"/{first}//{rest}",
        f"/{first}/./{rest}",
        f"/{first}/x/../{rest}",
        f"/{first};x/{rest}",
        f"{path};x=1",
    )
    yield from (
        f"/{first}%2f{rest}",
        path.replace("/", "%2f"),
        f"/%2e{path}",
        path.replace("/", "\\"),
        f"{path}%00",
    )
    yield from (
        f"{path}%20",
        f"{path}.json",
        f"{path}?x",
        f"http://127.0.0.1:8001{path}",
        f"/%c0%af{path}",
        f"{path}#",
    )
    yield from (
        f"/livez/..{path}",
        f"/livez{path}",
        f"/docs/../{path}",
        f"/static/..{path}",
        f"/static/{path}",
    )


TRICKS = [
    {},
    {"X-Original-URL": "{path}"},
    {"X-Rewrite-URL": "{path}"},
    {"X-Forwarded-Prefix": "/v1", "X-Forwarded-Host": "127.0.0.1:8001", "X-Forwarded-Port": "8001"},
    {"X-Forwarded-For": "127.0.0.1", "X-Real-IP": "127.0.0.1", "Forwarded": "for=127.0.0.1;host=internal"},
    {"Host": "127.0.0.1:8001"},
    {"X-HTTP-Method-Override": "GET", "X-Listener": "internal"},
]


@pytest.fixture
def holder(make_user: Any, service_key: Any) -> dict[str, str]:
    """Let every caller hold every right there is."""
    return {
        **bearer(make_user(is_staff=True, is_superuser=True)),
        **api_key(service_key()),
        "X-Request-ID": "same",
    }


@pytest.fixture
def plain(public: ListenerClient) -> Any:
    return public.exactly("/nowhere", headers={"X-Request-ID": "same"})


@pytest.mark.parametrize("path", HIDDEN)
def test_every_spelling_is_the_plain_404(
    public: ListenerClient, holder: dict[str, str], plain: Any, path: str
) -> None:
    for spelling in spellings(path):
        answer = public.exactly(spelling, headers=holder)
        assert (answer.status_code, answer.content) == (404, plain.content), spelling
        assert answer.headers == plain.headers, spelling


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
def test_in_every_method(public: ListenerClient, holder: dict[str, str], plain: Any, method: str) -> None:
    for path in HIDDEN:
        answer = public.exactly(path, method=method, headers=holder)
        assert (answer.status_code, answer.content) == (404, plain.content), path


@pytest.mark.parametrize("trick", TRICKS, ids=lambda trick: ",".join(trick) or "none")
def test_no_header_leads_there(
    public: ListenerClient, holder: dict[str, str], plain: Any, trick: dict[str, str]
) -> None:
    for path in HIDDEN:
        headers = {name: text.format(path=path) for name, text in trick.items()}
        for asked in (path, "/nowhere"):
            answer = public.exactly(asked, headers={**holder, **headers})
            assert (answer.status_code, answer.content) == (404, plain.content), (asked, trick)


def test_a_script_name_leads_nowhere(public: ListenerClient, holder: dict[str, str], plain: Any) -> None:
    """A server may take SCRIPT_NAME from its environment: what is before the path does not become part of it."""
    for prefix, path in (("/v1", "/credits/balance"), ("/v1/credits", "/balance"), ("/admin", "/"), ("", "")):
        answer = public.request(
            REQUEST_METHOD="GET", SCRIPT_NAME=prefix, PATH_INFO=path, HTTP_X_REQUEST_ID="same"
        )
        assert (answer.status_code, answer.content) == (404, plain.content)
