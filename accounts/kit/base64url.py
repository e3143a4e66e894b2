"""Base64url without padding, in its canonical form only (RFC 4648, 5; RFC 7515, 2)."""

import base64


def encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def decode(text: bytes) -> bytes:
    """Decode the text. Raise ValueError unless it is canonical, so that no two texts have the same value."""
    raw = base64.urlsafe_b64decode(text + b"=" * (-len(text) % 4))
    if base64.urlsafe_b64encode(raw).rstrip(b"=") != text:
        raise ValueError("not canonical base64url")
    return raw
