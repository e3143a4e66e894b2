"""Parts that the credits endpoints share: types of fields, the call on the ledger, the answer to a keyed call."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from msgspec import Meta

from accounts.errors import ScopeMissing
from accounts.kit.problems import ValidationFailed
from accounts.kit.responses import Response
from accounts.service_keys.registry import ServiceCredential
from accounts.tiers import ServiceRequest, idempotency_key
from credits.ledger.budgets import Budget
from credits.ledger.calls import Call, request_bytes
from credits.models import LARGEST_AMOUNT, LONGEST_DESCRIPTION, TransactionType

METADATA_BYTES = 4096
_FIRST, _LAST = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)

Credits = Annotated[int, Meta(ge=1, le=LARGEST_AMOUNT, description="Whole credits.")]
Description = Annotated[str, Meta(max_length=LONGEST_DESCRIPTION)]
Reference = Annotated[str, Meta(max_length=255)]
Metadata = Annotated[dict[str, Any], Meta(description="A JSON object of at most 4 KiB.")]
Moment = Annotated[datetime, Meta(tz=True)]
Feature = Annotated[
    str, Meta(min_length=1, max_length=100, description="A feature with a price, instead of `amount`.")
]
Quantity = Annotated[int, Meta(ge=1, le=10**6)]
Seconds = Annotated[int, Meta(ge=1, le=7 * 24 * 3600)]


def in_utc(moment: datetime | None) -> datetime | None:
    """Return the same instant in UTC or, if UTC has no year for it, the nearest that `datetime` can hold."""
    if moment is None:
        return None
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        return _FIRST if moment.year == 1 else _LAST


def call_of(
    request: ServiceRequest, operation: str, *, path: UUID | str = "", unit_price: int | None = None
) -> Call:
    """Return the ledger call for a request with an Idempotency-Key."""
    service, key = request.auth.service, idempotency_key(request)
    return make_call(service, key, operation, sent(request.data), path=str(path), unit_price=unit_price)


def sent(body: msgspec.Struct) -> dict[str, Any]:
    """Return the fields that were sent; null counts as not sent. Repeats are compared by these."""
    return {name: value for name, value in msgspec.structs.asdict(body).items() if value is not None}


def make_call(
    service: str,
    key: str,
    operation: str,
    fields: Mapping[str, Any],
    *,
    path: str = "",
    unit_price: int | None = None,
) -> Call:
    """Make a call. Raises ValidationFailed for metadata that is too large."""
    if "metadata" in fields and len(msgspec.json.encode(fields["metadata"])) > METADATA_BYTES:
        raise ValidationFailed(("metadata", "too_long", "This must be at most 4 KiB of JSON."))
    return Call(
        service=service,
        key=key,
        request=request_bytes(operation, path=path, fields=fields),
        description=fields.get("description"),
        reference=fields.get("reference"),
        metadata=fields.get("metadata"),
        feature=fields.get("feature"),
        quantity=fields.get("quantity"),
        unit_price=unit_price,
    )


def require_sale(type_: str, reference: str | None, scopes: frozenset[str]) -> None:
    """Let a service book a purchase only if it may sell, and only with a reference: finance counts it as money.

    Raises ScopeMissing, ValidationFailed.
    """
    if type_ != TransactionType.PURCHASE:
        return
    if "credits:sell" not in scopes:
        raise ScopeMissing("A purchase needs the scope credits:sell.")
    if not (reference and reference.strip()):
        raise ValidationFailed(("reference", "required", "A purchase needs a reference to its payment."))


def budget_of(credential: ServiceCredential) -> Budget | None:
    """Return the budget of the key in use, or None if it has none."""
    daily = credential.daily_budget
    return None if daily is None else Budget(f"key:{credential.key_id}", daily)


def answer(payload: Any, *, status: int, replayed: bool) -> Response:
    """Return the answer to a keyed call; a header marks one that was given before."""
    return Response(payload, status=status, headers={"Idempotency-Replayed": "true"} if replayed else None)
