"""Google ID tokens that must be refused, each with the refusal that the contract names for it."""

import base64
import json
import time
from collections.abc import Iterator
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.fake_google.providers import Provider

Refusal = tuple[int, str]

INVALID = (401, "id_token_invalid")
UNVERIFIED = (403, "google_email_not_verified")
FOREIGN_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


class Later:
    """A number of seconds from now, computed when the token is made."""

    def __init__(self, seconds: int) -> None:
        self.seconds = seconds


BAD_CLAIMS: dict[str, tuple[dict[str, Any], Refusal]] = {
    "issuer of someone else": ({"iss": "https://evil.test"}, INVALID),
    "issuer missing": ({"iss": None}, INVALID),
    "issuer a list": ({"iss": ["https://evil.test"]}, INVALID),
    "issuer with a slash more": ({"iss": "{url}/"}, INVALID),
    "audience of someone else": ({"aud": "evil.apps.test"}, INVALID),
    "audience missing": ({"aud": None}, INVALID),
    "audience empty": ({"aud": []}, INVALID),
    "audience also someone else": ({"aud": ["{web}", "evil.apps.test"]}, INVALID),
    "audience a number": ({"aud": 5}, INVALID),
    "asked for by someone else": ({"azp": "evil.apps.test"}, INVALID),
    "asked for by a list": ({"azp": ["{web}"]}, INVALID),
    "several audiences, asked for by nobody": (
        {"aud": ["{web}", "{native}"], "azp": None},
        INVALID,
    ),
    "expired": ({"exp": Later(-40), "iat": Later(-3600)}, INVALID),
    "expiry missing": ({"exp": None}, INVALID),
    "expiry a text": ({"exp": "9999999999"}, INVALID),
    "expiry true": ({"exp": True}, INVALID),
    "expiry without end": ({"exp": 1e400}, INVALID),
    "expiry beyond all calendars": ({"exp": 10**18}, INVALID),
    "expiry in two days": ({"exp": Later(2 * 86_400)}, INVALID),
    "issued in the future": ({"iat": Later(120)}, INVALID),
    "issue time missing": ({"iat": None}, INVALID),
    "not yet": ({"nbf": Later(120)}, INVALID),
    "subject missing": ({"sub": None}, INVALID),
    "subject empty": ({"sub": ""}, INVALID),
    "subject a number": ({"sub": 108}, INVALID),
    "subject endless": ({"sub": "1" * 192}, INVALID),
    "subject with a NUL": ({"sub": "1\0"}, INVALID),
    "nonce missing": ({"nonce": None}, INVALID),
    "nonce altered": ({"nonce": "altered"}, INVALID),
    "nonce a list": ({"nonce": ["a"]}, INVALID),
    "nonce another's signature": ({"nonce": "AAAA.1.BBBB"}, INVALID),
    "address not verified": ({"email_verified": False}, UNVERIFIED),
    "address verified by a text": ({"email_verified": "true"}, UNVERIFIED),
    "address not verified by a text": ({"email_verified": "false"}, UNVERIFIED),
    "address verified by a number": ({"email_verified": 1}, UNVERIFIED),
    "verification missing": ({"email_verified": None}, UNVERIFIED),
    "address missing": ({"email": None}, UNVERIFIED),
    "address empty": ({"email": ""}, UNVERIFIED),
    "address no address": ({"email": "a\r\nBcc: b@evil.test"}, UNVERIFIED),
    "address a list": ({"email": ["a@gmail.test"]}, UNVERIFIED),
}


def made(
    google: Provider, claims: dict[str, Any], good_nonce: str, *, subject: str = "600"
) -> dict[str, Any]:
    """Return a good set of claims with these changes."""
    changes = {name: _filled_in(google, value) for name, value in claims.items()}
    return google.claims(subject, **{"nonce": good_nonce, **changes})


def _filled_in(google: Provider, value: Any) -> Any:
    if isinstance(value, Later):
        return int(time.time()) + value.seconds
    if isinstance(value, list):
        return [_filled_in(google, one) for one in value]
    if isinstance(value, str):
        web, native = google.clients
        return value.replace("{url}", google.url).replace("{web}", web).replace("{native}", native)
    return value


def encoded(part: Any) -> str:
    raw = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def forgeries(google: Provider, claims: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield every way in which header, key and signature of good claims can be wrong."""
    genuine = google.forge(claims)
    header, payload, signature = genuine.split(".")
    public = jwt.PyJWK({name: google.key[name] for name in ("kty", "n", "e")}, "RS256").key
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    kid = google.key["kid"]
    curve = ec.generate_private_key(ec.SECP256R1())
    signing = google.signing
    yield "another key", google.forge(claims, key=FOREIGN_KEY)
    yield "unknown key id", google.forge(claims, header={"kid": "unknown"})
    yield "no key id", jwt.encode(claims, signing, "RS256")
    for spelling in ("none", "None", "NONE", "nOnE"):
        yield f"alg {spelling}", f"{encoded({'alg': spelling, 'kid': kid})}.{payload}."
    secret = jwt.get_algorithm_by_name("HS256")
    start = f"{encoded({'alg': 'HS256', 'typ': 'JWT', 'kid': kid})}.{payload}"
    yield "HS256 with the public key", f"{start}.{encoded(secret.sign(start.encode(), pem))}"
    yield "ES256", jwt.encode(claims, curve, "ES256", headers={"kid": kid})
    yield "RS512", jwt.encode(claims, signing, "RS512", headers={"kid": kid})
    yield "PS256", jwt.encode(claims, signing, "PS256", headers={"kid": kid})
    yield (
        "its own key along",
        google.forge(
            claims,
            key=FOREIGN_KEY,
            header={"jwk": {"kty": "RSA"}, "jku": "https://evil.test", "x5u": "https://evil.test"},
        ),
    )
    yield "an unknown crit", google.forge(claims, header={"crit": ["x"], "x": 1})
    yield "no signature", f"{header}.{payload}."
    yield "a flipped bit", f"{header}.{payload}.{'A' if signature[0] != 'A' else 'B'}{signature[1:]}"
    yield "other claims", f"{header}.{encoded({**claims, 'sub': '601'})}.{signature}"
    yield "claims a list", f"{header}.{encoded(['x'])}.{signature}"
    yield "a deep header", f"{encoded(b'[' * 3000)}.{payload}.{signature}"
    yield "a deep payload", f"{header}.{encoded(b'[' * 3000)}.{signature}"
    yield "key id a list", f"{encoded({'alg': 'RS256', 'kid': ['x']})}.{payload}.{signature}"
    yield "endless", genuine + "A" * 9000
    yield from (
        (text[:12], text) for text in ("", "x", "a.b", "a.b.c", "....", "\u00e9.\u00e9.\u00e9", "null")
    )
