"""The billing endpoints' side of a request: field types, ids in paths, instructions, and common refusals."""

import re
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from accounts.errors import AccountContested, AccountSuspended, UserNotFound
from accounts.tiers import Query, ServiceRequest, idempotency_key
from billing.errors import BillingObjectNotFound, BillingRejected, BillingUnavailable
from billing.shop.requests import Instruction

OF_EVERY_ORDER = (UserNotFound, AccountSuspended, AccountContested, BillingUnavailable, BillingRejected)
SCOPES = {"GET": "billing:read", "POST": "billing:write", "DELETE": "billing:write"}

PlanCode = Annotated[str, Meta(min_length=1, max_length=64, description="`code` of GET /v1/billing/plans.")]
ChangeMoment = Literal["now", "period_end"]
Quantity = Annotated[int, Meta(ge=1, le=1000)]
Url = Annotated[
    str, Meta(min_length=1, max_length=2000, description="https, at one of BILLING_RETURN_HOSTS.")
]
PaymentMethodId = Annotated[
    str, Meta(pattern=r"\A[A-Za-z0-9_]{1,255}\Z", description="The id of a stored card: `pm_...`.")
]
_ID = re.compile(r"[A-Za-z0-9_]{1,255}")


class OfUser(Query):
    """The user concerned: everything belongs to one user, and nobody else's is shown."""

    user_id: UUID


def stripe_id(text: str) -> str:
    """Return a Stripe id from a path. Raises BillingObjectNotFound for a text that cannot be one."""
    if not _ID.fullmatch(text):
        raise BillingObjectNotFound
    return text


def instruction_of(request: ServiceRequest, operation: str, *, path: str = "") -> Instruction:
    """Return the instruction of a request with an Idempotency-Key. Null counts as not sent."""
    body: Any = request.data
    sent = msgspec.structs.asdict(body).items()
    fields = {name: value for name, value in sent if value is not None and value is not msgspec.UNSET}
    return Instruction(
        service=request.auth.service,
        key=idempotency_key(request),
        user_id=body.user_id,
        operation=operation,
        fields=fields,
        path=path,
    )
