"""Refusals that any service has: the base class of all, and those of HTTP itself.

    Problem                      any refusal: a status, a stable code, a sentence for people, optional fields
    +-- Unauthenticated 401      with the challenge of its tier
    +-- NotFound 404
    +-- RateLimited 429, ServiceUnavailable 503
    +-- ValidationFailed 400     one entry for each field
    +-- IdempotencyKey... 400, 409, 422; CursorInvalid 400

The exception handler in the settings renders each as RFC 9457 `application/problem+json`.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec
from rest_framework.exceptions import APIException

Fault = tuple[str, str, str]  # field, code, sentence: one entry of a `validation_error`


_PROPER = {
    "api": "API",
    "google": "Google",
    "id": "ID",
    "json": "JSON",
    "mfa": "MFA",
    "oauth": "OAuth",
    "totp": "TOTP",
}


def title(code: str) -> str:
    """Return a code as a title: "mfa_token_invalid" becomes "MFA token invalid"."""
    words = [_PROPER.get(word, word) for word in code.split("_")]
    return " ".join([words[0][0].upper() + words[0][1:], *words[1:]])


class FieldProblem(msgspec.Struct):
    """One entry of the `errors` of a `validation_error` or an `unknown_field`."""

    field: str
    code: str
    detail: str


class Problem(APIException):
    """A refusal. `extra` holds the members that its class adds to the problem document.

    `members` names them with their types, and `example` gives each a value; both appear in the OpenAPI document.
    """

    status_code = 400
    default_code = "bad_request"
    default_detail = "The request cannot be carried out."
    retry_after: int | None = None
    headers: ClassVar[Mapping[str, str]] = {}  # additional response headers
    members: ClassVar[Mapping[str, Any]] = {}
    example: ClassVar[Mapping[str, Any]] = {}

    def __init__(self, detail: str | None = None, *, retry_after: int | None = None, **extra: Any) -> None:
        super().__init__(detail)
        self.extra = extra
        if retry_after is not None:
            self.retry_after = retry_after

    def document(self, request_id: str | None) -> dict[str, Any]:
        """Return the problem document (RFC 9457). `type` is the code's entry on the page of problems."""
        code = self.default_code
        fields = {
            "type": f"/docs/problems#{code}",
            "title": title(code),
            "status": self.status_code,
            "code": code,
            "detail": str(self.detail),
            "request_id": request_id,
        }
        return {**fields, **self.extra, **fields}


class Unauthenticated(Problem):
    """A 401; the challenge of the tier is sent as `WWW-Authenticate` (RFC 9110, 11.6.1)."""

    status_code = 401
    challenge = 'Bearer realm="api"'


class NotFound(Problem):
    status_code = 404
    default_code = "not_found"
    default_detail = "Nothing was found at this address."


class RateLimited(Problem):
    status_code = 429
    default_code = "rate_limited"
    default_detail = "Too many attempts. Try again later."


class ServiceUnavailable(Problem):
    status_code = 503
    default_code = "service_unavailable"
    default_detail = "The service is temporarily unavailable. Try again."
    retry_after = 1


class InternalError(Problem):
    status_code = 500
    default_code = "internal_error"
    default_detail = "Something went wrong on our side. Include the request_id when you report it."


class ValidationFailed(Problem):
    """A 400 `validation_error`; `errors` lists {"field", "code", "detail"}."""

    default_code = "validation_error"
    default_detail = "The request has invalid fields."
    members = {"errors": list[FieldProblem]}
    example = {"errors": [{"field": "amount", "code": "too_small", "detail": "Expected `int` >= 1."}]}

    def __init__(self, *errors: Fault) -> None:
        super().__init__(
            errors=[{"field": field, "code": code, "detail": detail} for field, code, detail in errors]
        )


class UnknownField(ValidationFailed):
    default_code = "unknown_field"
    default_detail = "Unknown field in the request body."
    example = {"errors": [{"field": "colour", "code": "unknown_field", "detail": "Unknown field."}]}


class IdempotencyKeyRequired(Problem):
    default_code = "idempotency_key_required"
    default_detail = "Send an Idempotency-Key header, so that the call can be repeated safely."


class IdempotencyKeyInvalid(Problem):
    default_code = "idempotency_key_invalid"
    default_detail = "The Idempotency-Key must be 1 to 255 printable ASCII characters."


class IdempotencyKeyReused(Problem):
    status_code = 422
    default_code = "idempotency_key_reused"
    default_detail = "This Idempotency-Key was used for another request. Use a new key for a new request."


class IdempotencyInProgress(Problem):
    status_code = 409
    default_code = "idempotency_in_progress"
    default_detail = "A request with this Idempotency-Key is still being processed. Repeat it in a moment."
    retry_after = 1


class CursorInvalid(Problem):
    default_code = "cursor_invalid"
    default_detail = "The cursor does not belong to this list with these filters."
