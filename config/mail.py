"""The mail backend for development: a file for each message, and its links on the console."""

import re
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from django.conf import settings
from django.core.mail import EmailMessage
from django.core.mail.backends.base import BaseEmailBackend

_LINK = re.compile(r"https?://[^\s<>\"]+")


class FileBackend(BaseEmailBackend):
    """Writes each mail to `<time>-<id>.eml` (RFC 5322) in EMAIL_FILE_PATH, atomically, and prints its subject and
    links.
    """

    def __init__(self, *args: Any, file_path: str | Path | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.directory = Path(file_path or settings.EMAIL_FILE_PATH)  # type: ignore[misc]

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        for message in email_messages:
            path = self._write(message.message().as_bytes(linesep="\r\n"))  # type: ignore[call-arg]
            _show(message, path)
        return len(email_messages)

    def _write(self, raw: bytes) -> Path:
        name = f"{datetime.now(UTC):%Y%m%dT%H%M%S.%f}Z-{uuid4().hex[:8]}.eml"
        with tempfile.NamedTemporaryFile(dir=self.directory, prefix=".", delete=False) as part:
            part.write(raw)
        return Path(part.name).rename(self.directory / name)


def _show(message: EmailMessage, path: Path) -> None:
    """Print the mail for the developer, who is the recipient. Nowhere else are an address and a link printed."""
    lines = [f"mail to {', '.join(message.to)}: {message.subject}", f"  {path}"]
    lines += [f"  {link}" for link in dict.fromkeys(_LINK.findall(str(message.body)))]
    print("\n".join(lines), flush=True)  # noqa: T201
