"""The errors that calls to the service can raise."""

from collections.abc import Mapping
from typing import Any


class AuthServiceError(Exception):
    """The base class of every exception in this package."""


class Unreachable(AuthServiceError):
    """No answer came within `patience`. The call may have been carried out: repeat it with the same key to find out."""


class UnexpectedAnswer(AuthServiceError):
    """The answer is not from the service but from a proxy, or from another server at this address."""

    def __init__(self, status: int) -> None:
        super().__init__(f"HTTP {status}, and not a document of the service: is the address right?")
        self.status = status


class TokenRefused(AuthServiceError):
    """The access token is not live: malformed, forged or expired, or its session or user is not active."""


class WebhookRefused(AuthServiceError):
    """The delivery is not signed with one of your secrets, is too old, or is not an event."""


class Problem(AuthServiceError):
    """A refusal by the service (RFC 9457). `problems` has a class for each `code`, with the members that it adds.

    A code newer than this package is a plain Problem. Show people `detail`, and log `request_id`.
    """

    def __init__(self, document: Mapping[str, Any], *, retry_after: float | None = None) -> None:
        super().__init__(f"{document.get('detail', '')} [{document['code']}]")
        self.code: str = document["code"]
        self.status: int = document["status"]
        self.title: str = document.get("title", "")
        self.detail: str = document.get("detail", "")
        self.type: str = document.get("type", "")
        self.request_id: str = document.get("request_id", "")
        self.retry_after = retry_after
        for name, value in document.items():
            if name not in vars(self):
                setattr(self, name, value)


def may_be_done(error: BaseException) -> bool:
    """Return whether a call that ended with this error may have been carried out: it got no answer, or was
    interrupted.
    """
    if isinstance(error, Problem | UnexpectedAnswer):
        is_refusal = 300 <= error.status < 500
        return not is_refusal or getattr(error, "code", None) == "idempotency_in_progress"
    return isinstance(error, AuthServiceError) or not isinstance(error, Exception)
