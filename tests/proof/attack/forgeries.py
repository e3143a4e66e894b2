"""Access tokens that were never issued, made from one that was (RFC 8725): each is a 401, and none causes an error."""

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator
from typing import Any

from calls import Caller
from crowd import tokens_of
from instance import Instance
from mail_sink import MailSink
from people import caller, login
from report import Report

ALGORITHMS: tuple[Any, ...] = (
    "none",
    "None",
    "NONE",
    "nOnE",
    "",
    "HS384",
    "HS512",
    "RS256",
    "ES256",
    "EdDSA",
    "hs256",
    None,
    1,
    [],
)
HEADERS: dict[str, Any] = {
    "embedded jwk": {"jwk": {"kty": "oct", "k": "c2VjcmV0"}},
    "jku": {"jku": "http://127.0.0.1:9/keys"},
    "x5u": {"x5u": "http://127.0.0.1:9/chain"},
    "x5c": {"x5c": ["AAAA"]},
    "unknown crit": {"crit": ["exp"], "exp": 1},
    "b64 false": {"crit": ["b64"], "b64": False},
    "unknown kid": {"kid": "../../dev/null"},
    "kid as SQL": {"kid": "x' OR '1'='1"},
    "kid missing": {"kid": None},
    "another typ": {"typ": "JWT"},
    "refresh typ": {"typ": "rt+jwt"},
}
CLAIMS: dict[str, Any] = {
    "another user": {"sub": "00000000-0000-4000-8000-000000000000"},
    "another session": {"sid": "00000000-0000-4000-8000-000000000000"},
    "later exp": {"exp": 4102444800},
    "exp as text": {"exp": "4102444800"},
    "no exp": {"exp": None},
    "another iss": {"iss": "evil"},
    "aud as list": {"aud": ["ecosystem"]},
    "token version": {"tv": -1},
}


def access_tokens(instance: Instance, _sink: MailSink, report: Report) -> None:
    tokens = tokens_of(login(instance, instance.people(1)[0]).body)
    device = caller(instance)
    report.require(
        opens(device, tokens["access_token"]) == 200, "the genuine token does not open the account"
    )
    answers: dict[int | None, int] = {}
    for name, forged in forgeries(tokens):
        status = opens(device, forged)
        answers[status] = answers.get(status, 0) + 1
        report.require(status == 401, f"{name}: answered {status}")
    report.line(
        "forged tokens", sum(answers.values()), *(f"{count} x {status}" for status, count in answers.items())
    )
    report.require(opens(device, tokens["access_token"]) == 200, "the genuine token was ended by them")


def opens(device: Caller, token: str) -> int | None:
    return device.get("/v1/auth/me", {"Authorization": f"Bearer {token}"}).status


def forgeries(tokens: dict[str, str]) -> Iterator[tuple[str, str]]:
    genuine = tokens["access_token"]
    head, body, signature = genuine.split(".")
    header, claims = decoded(head), decoded(body)
    yield "the refresh token", tokens["refresh_token"]
    yield "no signature", f"{head}.{body}."
    yield "two parts", f"{head}.{body}"
    yield "four parts", f"{genuine}.{signature}"
    for algorithm in ALGORITHMS:
        changed = encoded({**header, "alg": algorithm})
        for name, last in (
            ("empty", ""),
            ("kept", signature),
            ("by an empty key", signed(f"{changed}.{body}", b"")),
        ):
            yield f"alg {algorithm!r}, signature {name}", f"{changed}.{body}.{last}"
    for name, change in HEADERS.items():
        yield name, f"{encoded(merged(header, change))}.{body}.{signature}"
    for name, change in CLAIMS.items():
        yield name, f"{head}.{encoded(merged(claims, change))}.{signature}"
    for secret in (b"", b"secret", b"test", b"changeme", b"auth-service", b"{}", head.encode()):
        yield f"signed with {secret!r}", f"{head}.{body}.{signed(f'{head}.{body}', secret)}"
    for place in range(len(genuine)):
        other = "A" if genuine[place] != "A" else "B"
        yield f"character {place} changed", f"{genuine[:place]}{other}{genuine[place + 1 :]}"


def merged(part: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    """Return the part with the changes; a change of None removes the member."""
    return {name: value for name, value in {**part, **change}.items() if value is not None}


def decoded(segment: str) -> dict[str, Any]:
    part: dict[str, Any] = json.loads(base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4)))
    return part


def encoded(part: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()


def signed(text: str, secret: bytes) -> str:
    return base64.urlsafe_b64encode(hmac.digest(secret, text.encode(), hashlib.sha256)).rstrip(b"=").decode()
