"""`$VAR_DIR/dev.env`: the secrets of one development instance, created at its first start and kept from then on."""

import base64
import os
import secrets
import shlex
import tempfile
from collections.abc import Callable
from pathlib import Path

from accounts.service_keys.form import generate

HEADING = "# Secrets of this development instance, made by script/server; remove a line to renew it.\n"


def random_secret() -> str:
    return secrets.token_urlsafe(48)


def key_material() -> str:
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).rstrip(b"=").decode()


MAKERS: dict[str, Callable[[], str]] = {
    "SECRET_KEY": random_secret,
    "JWT_KEYS": lambda: f"access-1:HS256:{key_material()}",
    "REFRESH_TOKEN_KEYS": lambda: f"refresh-1:{key_material()}",
    "MAIL_TOKEN_KEYS": random_secret,
    "LEDGER_DIGEST_KEYS": random_secret,
    "FIELD_ENCRYPTION_KEYS": lambda: f"field-1:{key_material()}",
    "INTERNAL_API_KEY": lambda: generate("dev").text,
    "ADMIN_EMAIL": lambda: "admin@example.com",
    "ADMIN_PASSWORD": lambda: secrets.token_urlsafe(15),
}


def load(path: Path) -> dict[str, str]:
    """Return the file's variables after adding what is missing: all of them at first, new ones after an upgrade."""
    text = path.read_text() if path.exists() else HEADING
    values = parse(text)
    added = {name: make() for name, make in MAKERS.items() if name not in values}
    client_key = added.get("INTERNAL_API_KEY") or values["INTERNAL_API_KEY"]
    # The previous version omitted the scopes.
    if values.get("INTERNAL_API_KEYS") in {None, f"demo={client_key}"}:
        added["INTERNAL_API_KEYS"] = f"demo={client_key}:*"  # a service named demo, with every scope
    if added:
        lines = "".join(f"{name}={shlex.quote(value)}\n" for name, value in added.items())
        replace(path, f"{text.rstrip()}\n{lines}")
    return values | added


def parse(text: str) -> dict[str, str]:
    """Return the variables of `NAME=value` lines, read as a shell does, with comments and blank lines allowed."""
    assignments = shlex.split(text, comments=True)
    return dict(word.split("=", 1) for word in assignments if "=" in word)


def replace(path: Path, text: str) -> None:
    """Replace the file atomically; it is readable only by its owner from the first byte on."""
    with tempfile.NamedTemporaryFile(
        "w", dir=path.parent, prefix=".dev.env-", delete=False
    ) as draft:  # mode 0600
        draft.write(text)
        draft.flush()
        os.fsync(draft.fileno())
    Path(draft.name).replace(path)
