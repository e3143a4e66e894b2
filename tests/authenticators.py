"""Gives tests what people hold in their hands: an authenticator app, and a passkey in software that may also lie."""

import hashlib
import hmac
import json
import secrets
import struct
import time
from base64 import b32decode, urlsafe_b64decode, urlsafe_b64encode
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from fido2.cose import ES256
from fido2.webauthn import Aaguid, AttestationObject, AttestedCredentialData, AuthenticatorData

FLAG = AuthenticatorData.FLAG
NO_FLAG = FLAG(0)


def code_of(secret: str, *, steps: int = 0) -> str:
    """The six digits that an app shows now, or so many steps of 30 s from now (RFC 6238)."""
    counter = struct.pack(">Q", int(time.time()) // 30 + steps)
    digest = hmac.digest(b32decode(secret), counter, hashlib.sha1)
    start = digest[-1] & 15
    return f"{(int.from_bytes(digest[start : start + 4]) & 0x7FFFFFFF) % 1_000_000:06d}"


def next_code(secret: str) -> str:
    """The one after: right already, and not the one that has enrolled the app a moment ago."""
    return code_of(secret, steps=1)


def wrong_code(secret: str) -> str:
    near = {code_of(secret, steps=steps) for steps in range(-3, 4)}
    return next(code for number in range(100) if (code := f"{number:06d}") not in near)


def encoded(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def decoded(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


class SoftPasskey:
    """One discoverable credential. Arguments of `make` and `sign` let it say what an honest one would not."""

    def __init__(self) -> None:
        self.credential_id = secrets.token_bytes(32)
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.user_handle = b""
        self.sign_count = 0

    def make(self, options: dict[str, Any], **lies: Any) -> dict[str, Any]:
        """Answer PublicKeyCredentialCreationOptions."""
        self.user_handle = decoded(options["user"]["id"])
        public_key = ES256.from_cryptography_key(self.key.public_key())
        made = AttestedCredentialData.create(Aaguid.NONE, self.credential_id, public_key)
        data = self._data(lies, FLAG.AT, bytes(made))
        client_data = self._client_data("webauthn.create", options["challenge"], lies)
        return self._answer(
            clientDataJSON=encoded(client_data),
            attestationObject=encoded(AttestationObject.create("none", data, {})),
        )

    def sign(self, options: dict[str, Any], *, count: int | None = None, **lies: Any) -> dict[str, Any]:
        """Answer PublicKeyCredentialRequestOptions."""
        if count is not None:
            self.sign_count = count
        data = self._data(lies)
        client_data = self._client_data("webauthn.get", options["challenge"], lies)
        signed = data + hashlib.sha256(client_data).digest()
        signature = lies.get("key", self.key).sign(signed, ec.ECDSA(hashes.SHA256()))
        return self._answer(
            clientDataJSON=encoded(client_data),
            authenticatorData=encoded(data),
            signature=encoded(lies.get("signature", signature)),
            userHandle=encoded(lies.get("user_handle", self.user_handle)),
        )

    def _data(self, lies: dict[str, Any], more: FLAG = NO_FLAG, made: bytes = b"") -> AuthenticatorData:
        rp_id = lies["rp_id"] if "rp_id" in lies else _relying_party().name()
        flags = lies.get("flags", FLAG.UP | FLAG.UV) | more
        name = hashlib.sha256(rp_id.encode()).digest()
        data: AuthenticatorData = AuthenticatorData.create(name, flags, self.sign_count, made)
        return data

    def _client_data(self, kind: str, challenge: str, lies: dict[str, Any]) -> bytes:
        data = {
            "type": lies.get("type", kind),
            "challenge": lies.get("challenge", challenge),
            "origin": lies["origin"] if "origin" in lies else next(iter(_relying_party().origins())),
            "crossOrigin": lies.get("cross_origin", False),
        }
        return json.dumps(data).encode()

    def _answer(self, **response: str) -> dict[str, Any]:
        name = encoded(self.credential_id)
        return {
            "id": name,
            "rawId": name,
            "type": "public-key",
            "response": response,
            "clientExtensionResults": {},
        }


def _relying_party() -> Any:
    """Import it when it is asked: programs that attack the service say what a passkey is for, and have no settings."""
    from accounts.factors import relying_party

    return relying_party
