"""No input gives a 5xx: malformed credentials, junk bodies, junk in every field of every call."""

import random
import string
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from tests.listeners import ListenerClient
from tests.principals import bearer, example_body, passing_headers, path_of, shape_of
from tests.surface import Route, surface

pytestmark = pytest.mark.django_db

SEED = 20261123
WRITING = [
    route
    for route in surface()
    if route.view is not None and route.method != "GET" and not route.view.raw_body
]
PROTECTED = [
    route for route in surface() if route.tier in {"authenticated", "internal"} and route.method == "GET"
]


def by_name(route: Route) -> str:
    return f"{route.method} {route.path}"


@pytest.fixture(autouse=True)
def _no_limits(settings: Any) -> None:
    settings.RATE_LIMITS_FACTOR = 100_000


HAND_WRITTEN = [
    "", " ", "Bearer", "Bearer ", "Bearer  ", "bearer x", "Bearer x y", "Bearer ..", "Bearer .", "Bearer a.b.c",
    "Bearer \x00", "Bearer \xff\xfe", "Bearer \u0100".encode().decode("latin-1"), "Bearer " + "a" * 60_000,
    "Bearer " + "." * 10_000, "Bearer eyJhbGciOiJub25lIn0.e30.", "Bearer eyJhbGciOiJOb05lIn0.e30.AA",
    "Bearer W10.W10.W10", "Bearer bnVsbA.bnVsbA.AA", "Bearer MQ.MQ.MQ", "Bearer IiI.IiI.IiI", "Bearer eyJ9.eyJ9.eyJ9",
    "Bearer " + "W1" * 5_000 + ".e30.e30", "Basic dTpw", "Basic", "Digest username=x", "Token x",
    "Negotiate", "ApiKey x",
    "Bearer\tx", "Bearer,Bearer", "Bearer null", "Bearer undefined", "Bearer {}", "Bearer ' OR 1=1 --", "Bearer %00",
    "Bearer =", "Bearer ====.====.====", "Bearer \u00a0", "\x7f", "Bearer -.-._", "B" * 60_000,
]  # fmt: skip


def malformed_headers(valid: str) -> Iterator[str]:
    """The worst by hand, then a thousand made from a valid header and from nothing, always the same ones."""
    yield from HAND_WRITTEN
    chance = random.Random(SEED)
    alphabet = string.ascii_letters + string.digits + "._-=+/ {}[]\"'\\\x00\x01\x7f\x80\xff"
    for _ in range(500):
        yield "".join(chance.choices(alphabet, k=chance.randint(0, 300)))
    for _ in range(500):
        spot = chance.randrange(len("Bearer "), len(valid))
        changed = chance.choice([c for c in alphabet if c != valid[spot]])
        yield chance.choice(
            [
                valid[:spot] + changed + valid[spot + 1 :],
                valid[:spot] + chance.choice(".= \x00\xff") + valid[spot:],
                valid[:spot],
                "Bearer " + valid[spot:],
            ]
        )


@pytest.mark.parametrize("route", PROTECTED[:1] + PROTECTED[-1:], ids=by_name)
def test_a_thousand_malformed_credentials(route: Route, make_user: Any) -> None:
    valid = bearer(make_user())["Authorization"]
    name = "HTTP_X_API_KEY" if route.tier == "internal" else "HTTP_AUTHORIZATION"
    client, path = ListenerClient(route.listener), path_of(route)
    for header in malformed_headers(valid):
        answer = client.request(REQUEST_METHOD="GET", PATH_INFO=path, **{name: header})
        if answer.status_code == 200 and _same_signature(header, valid):
            continue
        assert answer.status_code == 401, repr(header)
        assert answer.headers["WWW-Authenticate"], repr(header)
        assert answer.json()["code"] in {"not_authenticated", "access_token_invalid", "api_key_invalid"}


def _same_signature(header: str, valid: str) -> bool:
    """Base64url has spare bits in the last character: another spelling of the same signature is not a forgery."""
    return header[:-1] == valid[:-1]


JUNK = [
    b"", b"{", b"[", b"null", b"1", b'""', b"true", b"[]", b"{}", b"\x00", b"\xff\xfe", b"{}{}", b"NaN", b'{"a":1}',
    b'{"":""}', b"[" * 60_000, b'{"a":' * 10_000, b'"' + b"x" * 60_000 + b'"', b'{"a":"\\ud800"}', b'{"a":"\\u0000"}',
    b'{"__proto__":{}}', b'{"id":1,"id":2}', b"\xef\xbb\xbf{}", b"<xml/>", b"a=b", b"9" * 60_000, b"-", b" " * 60_000,
]  # fmt: skip


@pytest.mark.parametrize("route", WRITING, ids=by_name)
def test_junk_bodies(route: Route, make_user: Any, service_key: Any) -> None:
    headers = passing_headers(route, make_user=make_user, service_key=service_key)
    client, path = ListenerClient(route.listener), path_of(route)
    for body in JUNK:
        for content_type in (
            "application/json",
            "application/x-www-form-urlencoded",
            "text/plain",
            "",
            "\x00/;;=",
        ):
            answer = client.raw(route.method, path, body, content_type=content_type, headers=headers)
            assert answer.status_code < 500, (body[:40], content_type)
    malformed = client.raw(route.method, path, b"{", headers=headers)
    assert malformed.json()["code"] in {"malformed_json", "not_authenticated", "session_revoked"}


WRONG_VALUES: list[Any] = [
    None, True, 0, -1, 2**63 - 1, 1.5, -0.0, 1e18, "", " ", "x" * 5_000, "\U0010ffff", "\u202e", "a\nb",
    "a\r\nSet-Cookie: x",
    [], {}, [[]], [None], {"a": [{}]}, "00000000-0000-0000-0000-000000000000", "9999-12-31T23:59:59.999999-23:59",
    "0001-01-01T00:00:00+23:59", "2026-02-30T00:00:00Z", "' OR 1=1 --", "%00", "../../etc/passwd", "{{7*7}}", "@",
    "a@b@c",
    "\ufeff@\ufeff.com", "x@" + "a." * 200 + "com", "x@xn--0.com", "x@[::1]", "\u1e9e@stra\u00dfe.de",
]  # fmt: skip


@pytest.mark.parametrize("route", [route for route in WRITING if example_body(route)], ids=by_name)
def test_junk_in_every_field(route: Route, make_user: Any, service_key: Any) -> None:
    """Each field of the documented example in turn, the others right: so the junk gets as far as it can."""
    headers = passing_headers(route, make_user=make_user, service_key=service_key)
    client, path, example = ListenerClient(route.listener), path_of(route), dict(example_body(route))
    if "user_id" in example:
        example["user_id"] = str(make_user().pk)
    for field in msgspec.structs.fields(shape_of(route)):
        for number, value in enumerate(WRONG_VALUES):
            body = msgspec.json.encode({**example, field.encode_name: value})
            key = {"Idempotency-Key": f"{field.encode_name}-{number}"}
            answer = client.raw(route.method, path, body, headers={**headers, **key})
            assert answer.status_code < 500, (field.encode_name, value)


@pytest.mark.parametrize(
    "route", [route for route in surface() if route.view and route.view.Query], ids=by_name
)
def test_junk_in_every_query_parameter(route: Route, make_user: Any, service_key: Any) -> None:
    headers = passing_headers(route, make_user=make_user, service_key=service_key)
    client, path = ListenerClient(route.listener), path_of(route)
    names = [field.encode_name for field in msgspec.structs.fields(route.view.Query)]
    for name in [*names, "limit", "cursor", "user__password__startswith", "_connector", "ordering"]:
        for value in [*(value for value in WRONG_VALUES if isinstance(value, str)), "\x00", "1" * 5_000]:
            answer = client.get(path, {name: value}, headers=headers)
            assert answer.status_code < 500, (name, value)


@pytest.mark.parametrize("key", ["", " ", "x" * 256, "\u00e9", "a\x00b", "a\nb", "\x7f"])
def test_a_malformed_idempotency_key_is_refused(internal: ListenerClient, service_key: Any, key: str) -> None:
    answer = internal.with_key(service_key()).post(
        "/v1/credits/use",
        {"user_id": "8d0f2c1e-5b7a-4a56-9d38-1c0de5a1f2b3", "amount": 1},
        HTTP_IDEMPOTENCY_KEY=key,
    )
    expected = (201, 402, 404) if key == " " else (400,)
    assert answer.status_code in expected, answer.content
