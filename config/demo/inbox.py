"""The mails that development writes to files, shown to developers instead of a real mailbox."""

import re
from collections.abc import Iterator
from email import message_from_bytes, policy
from email.utils import parseaddr
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseNotFound, JsonResponse
from django.views.decorators.http import require_safe

LINK = re.compile(r"https?://[^\s<>\"]+")
CODE = re.compile(r"^\s*([B-DF-HJ-NP-TV-Z]{4}-[B-DF-HJ-NP-TV-Z]{4})\s*$", re.MULTILINE)
MOST_READ = 200
MOST_SHOWN = 10


@require_safe
def read(request: HttpRequest) -> HttpResponse:
    """List the newest mails to `?to=`, for this machine only: they let their reader sign in as anyone."""
    if not ip_address(request.META["REMOTE_ADDR"]).is_loopback:
        return HttpResponseNotFound()
    found = mails_to(request.GET.get("to", "").strip().casefold(), Path(settings.EMAIL_FILE_PATH))  # type: ignore[misc]
    shown = [mail for mail, _ in zip(found, range(MOST_SHOWN), strict=False)]
    return JsonResponse({"results": shown}, headers={"Cache-Control": "no-store"})


def mails_to(address: str, directory: Path) -> Iterator[dict[str, Any]]:
    """Yield the mails to an address, newest first: file names start with the time."""
    for path in sorted(directory.glob("*.eml"), reverse=True)[:MOST_READ]:
        message: Any = message_from_bytes(path.read_bytes(), policy=policy.default)
        if parseaddr(message["To"])[1].casefold() == address:
            text = message.get_body(("plain",)).get_content()
            code = CODE.search(text)
            yield {
                "subject": str(message["Subject"]),
                "text": text,
                "links": list(dict.fromkeys(LINK.findall(text))),
                "code": code[1] if code else None,
                "file": path.name,
            }
