"""Reading the service's responses: the document, or the exception that it stands for."""

import json
from collections.abc import Mapping
from datetime import UTC, date, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from uuid import UUID

import httpx

from auth_service_client.errors import Problem, UnexpectedAnswer
from auth_service_client.problems import BY_CODE


def read(response: httpx.Response) -> Any:
    """Return the response's document, or None if it has none. Raise the Problem or UnexpectedAnswer that it stands
    for.
    """
    if response.status_code == 204:
        return None
    document = _document(response)
    if response.is_success and document is not None:
        return document
    if not _is_problem(document):
        raise UnexpectedAnswer(response.status_code)
    raise problem_of(document, retry_after=retry_after(response))


def _is_problem(document: Any) -> bool:
    """Return whether it is the service's refusal, not a gateway's, whose `code` may be a number and which has no
    `status`.
    """
    if not isinstance(document, dict):
        return False
    return isinstance(document.get("code"), str) and isinstance(document.get("status"), int)


def problem_of(document: Mapping[str, Any], *, retry_after: float | None = None) -> Problem:
    """Return the exception for a problem document, such as the one in a batch's result."""
    return BY_CODE.get(document["code"], Problem)(document, retry_after=retry_after)


def retry_after(response: httpx.Response) -> float | None:
    """Return the seconds in `Retry-After`, which proxies may write as a date. None if it is missing or malformed."""
    text = response.headers.get("Retry-After", "")
    if text.isdecimal():
        return float(text)
    try:
        return max(0.0, (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError, OverflowError):
        return None


def code_of(response: httpx.Response) -> str | None:
    document = _document(response)
    return document.get("code") if isinstance(document, dict) else None


def _document(response: httpx.Response) -> Any:
    try:
        return response.json()
    except ValueError:
        return None


def encoded(value: Mapping[str, Any]) -> bytes:
    """Return the JSON of a body, with UUIDs and datetimes in the form that the contract requires."""
    return json.dumps(value, default=_text, ensure_ascii=False, separators=(",", ":")).encode()


def in_header(name: str, value: str) -> str:
    """Return a header's value. Raise ValueError, without quoting the value, if no header can carry it."""
    if not (value.isascii() and value.isprintable() and value == value.strip()):
        raise ValueError(f"{name} has a line feed, or another character that no header can have.")
    return value


def query_of(value: Mapping[str, Any]) -> dict[str, str]:
    """Return a query without the parameters that are None."""
    return {name: _in_query(one) for name, one in value.items() if one is not None}


def _in_query(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return _text(value) if isinstance(value, UUID | date) else str(value)


def _text(value: Any) -> str:
    if isinstance(value, datetime) and value.tzinfo is None:
        raise ValueError("A datetime needs a time zone.")
    if isinstance(value, UUID | date):
        return str(value) if isinstance(value, UUID) else value.isoformat()
    raise TypeError(f"{type(value).__name__} cannot be sent as JSON.")
