"""Up to a thousand operations in one request and one commit."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Annotated, Any, ClassVar, Literal
from uuid import UUID

import msgspec
from django.conf import settings
from msgspec import UNSET, Meta, UnsetType
from rest_framework.response import Response

from accounts import tiers
from accounts.errors import ScopeMissing
from accounts.kit.documentation import documented
from accounts.kit.problems import Problem, ValidationFailed
from accounts.service_keys.registry import ServiceCredential
from accounts.tiers import InternalEndpoint, ServiceRequest
from credits import ledger, prices
from credits.errors import HoldNotFound, TransactionNotFound
from credits.ledger import batch, holds, refunds
from credits.ledger.batch import Order
from credits.ledger.calls import Call
from credits.models import CreditLot, CreditTransaction, FeaturePrice, TransactionType
from credits.views.answers import TRANSACTION, USER, HoldAnswer, TransactionAnswer, transaction_answer
from credits.views.holds import placed_answer, settled_answer, with_placing
from credits.views.requests import (
    Credits,
    Description,
    Feature,
    Metadata,
    Moment,
    Quantity,
    Reference,
    Seconds,
    make_call,
    sent,
)

Key = Annotated[str, Meta(pattern=r"\A[\x20-\x7e]{1,255}\Z", description="Belongs to this operation alone.")]


class Operation(msgspec.Struct, tag_field="op", forbid_unknown_fields=True, kw_only=True, frozen=True):
    """One entry of the list: the fields of the single call, and its key."""

    scopes: ClassVar[tuple[str, ...]]
    idempotency_key: Key


class Use(Operation, tag="use", frozen=True):
    scopes = ("credits:use",)
    user_id: UUID
    amount: Credits | None = None
    feature: Feature | None = None
    quantity: Quantity | None = None
    description: Description | None = None
    reference: Reference | None = None
    metadata: Metadata | None = None


class Add(Operation, tag="add", frozen=True):
    scopes = ("credits:add",)
    user_id: UUID
    amount: Credits
    type: Literal["purchase", "bonus", "adjustment"] = "bonus"
    description: Description | None = None
    reference: Reference | None = None
    expires_at: Moment | None = None
    metadata: Metadata | None = None


class Hold(Operation, tag="hold", frozen=True):
    scopes = ("credits:use",)
    user_id: UUID
    amount: Credits
    expires_in: Seconds = int(holds.DEFAULT_LIFETIME.total_seconds())
    description: Description | None = None
    reference: Reference | None = None
    metadata: Metadata | None = None


class Capture(Operation, tag="capture", frozen=True):
    scopes = ("credits:use",)
    hold_id: UUID
    amount: Credits | None = None
    description: Description | None = None
    reference: Reference | None = None
    metadata: Metadata | None = None


class Release(Operation, tag="release", frozen=True):
    scopes = ("credits:use",)
    hold_id: UUID


class Refund(Operation, tag="refund", frozen=True):
    scopes = ("credits:refund", "credits:add")
    transaction_id: UUID
    amount: Credits | None = None
    description: Description | None = None


class Result(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What became of one operation: the status that the single call answers with, and its answer."""

    status: int
    replayed: bool
    transaction: TransactionAnswer | UnsetType = UNSET
    hold: HoldAnswer | UnsetType = UNSET
    problem: dict[str, Any] | UnsetType = UNSET


class BatchAnswer(msgspec.Struct):
    results: list[Result]


class Batch(InternalEndpoint):
    scope = ()  # each operation is judged by the scope of its own call
    body_limit = settings.LARGE_BODY_LIMIT

    class Body(tiers.Body):
        operations: Annotated[
            list[Use | Add | Hold | Capture | Release | Refund], Meta(min_length=1, max_length=batch.LARGEST)
        ]

    @documented(
        "Carry out many operations",
        answer=BatchAnswer,
        body_example={
            "operations": [
                {"op": "use", "idempotency_key": "job-4711", "user_id": USER, "amount": 30},
                {"op": "add", "idempotency_key": "gift-1", "user_id": USER, "amount": 100},
            ]
        },
        example={
            "results": [
                {"status": 201, "replayed": False, "transaction": TRANSACTION},
                {
                    "status": 403,
                    "replayed": False,
                    "problem": {
                        "type": "/docs/problems#scope_missing",
                        "status": 403,
                        "code": "scope_missing",
                    },
                },
            ]
        },
    )
    def post(self, request: ServiceRequest) -> Response:
        """Each operation stands alone, in the order of the list, with its own key, scope and result; one commit.

        A fault of form in any of them refuses the whole request with 400, and nothing is done.
        """
        operations = request.data.operations
        rows = batch.perform_all(orders_of(operations, request.auth))
        holds_by_id = _holds_of(rows)
        request_id = getattr(request, "request_id", None)
        return Response(BatchAnswer([_result(row, holds_by_id, request_id) for row in rows]))


def orders_of(operations: Sequence[Operation], credential: ServiceCredential) -> list[Order]:
    """What the ledger is to do for each operation: found are its user, its price, its hold or its use."""
    known = Known(operations, credential)
    return [
        _order(operation, make_call_of(operation, credential.service, index), known)
        for index, operation in enumerate(operations)
    ]


class Known:
    """What operations refer to, read by one query for each kind."""

    def __init__(self, operations: Sequence[Any], credential: ServiceCredential) -> None:
        self.credential = credential
        hold_ids = {operation.hold_id for operation in operations if isinstance(operation, Capture | Release)}
        use_ids = {operation.transaction_id for operation in operations if isinstance(operation, Refund)}
        features = {
            operation.feature for operation in operations if isinstance(operation, Use) and operation.feature
        }
        own_holds = CreditLot.objects.filter(kind=CreditLot.Kind.HOLD, service=credential.service)
        self.holds = (
            {hold.transaction_id: hold for hold in own_holds.filter(transaction__in=hold_ids)}
            if hold_ids
            else {}
        )
        self.uses = CreditTransaction.objects.in_bulk(use_ids) if use_ids else {}
        self.prices = FeaturePrice.objects.in_bulk(features) if features else {}

    def hold(self, hold_id: UUID) -> CreditLot:
        if hold_id not in self.holds:
            raise HoldNotFound
        return self.holds[hold_id]

    def use(self, transaction_id: UUID) -> CreditTransaction:
        use = self.uses.get(transaction_id)
        own_only = "credits:add" not in self.credential.scopes
        if use is None or (own_only and use.service != self.credential.service):
            raise TransactionNotFound
        return use


def make_call_of(operation: Operation, service: str, index: int) -> Call:
    """The same call as the single request makes, so that either repeats the other."""
    fields = {name: value for name, value in sent(operation).items() if name != "idempotency_key"}
    path = str(fields.pop("hold_id", ""))
    name = str(operation.__struct_config__.tag)
    try:
        return make_call(service, operation.idempotency_key, name, fields, path=path)
    except ValidationFailed as fault:
        raise ValidationFailed(
            *(
                (f"operations[{index}].{each['field']}", each["code"], each["detail"])
                for each in fault.extra["errors"]
            )
        ) from fault


def _order(operation: Operation, call: Call, known: Known) -> Order:
    kind = operation.type if isinstance(operation, Add) else _KINDS[type(operation)]
    if known.credential.scopes.isdisjoint(operation.scopes):
        return Order(call, problem=ScopeMissing(), kind=kind)
    try:
        return replace(_ORDERS[type(operation)](operation, call, known), kind=kind)
    except Problem as problem:
        return Order(call, problem=problem, kind=kind)


def _use(operation: Use, call: Call, known: Known) -> Order:
    amount = prices.amount_of(
        amount=operation.amount, feature=operation.feature, quantity=operation.quantity, known=known.prices
    )
    return Order(call, operation.user_id, ledger.using(amount=amount, call=call))


def _add(operation: Add, call: Call, known: Known) -> Order:
    adding = ledger.adding(
        amount=operation.amount, call=call, type=operation.type, expires_at=operation.expires_at
    )
    return Order(call, operation.user_id, adding)


def _hold(operation: Hold, call: Call, known: Known) -> Order:
    lifetime = timedelta(seconds=operation.expires_in)
    return Order(
        call, operation.user_id, holds.placing(amount=operation.amount, lifetime=lifetime, call=call)
    )


def _capture(operation: Capture, call: Call, known: Known) -> Order:
    hold = known.hold(operation.hold_id)
    return Order(call, hold.user_id, holds.capturing(hold, amount=operation.amount, call=call))


def _release(operation: Release, call: Call, known: Known) -> Order:
    hold = known.hold(operation.hold_id)
    return Order(call, hold.user_id, holds.releasing(hold, call=call))


def _refund(operation: Refund, call: Call, known: Known) -> Order:
    use = known.use(operation.transaction_id)
    return Order(call, use.user_id, refunds.refunding(use, amount=operation.amount, call=call))


_KINDS: dict[type[Operation], str] = {
    Use: TransactionType.USE,
    Hold: TransactionType.HOLD,
    Capture: "capture",
    Release: TransactionType.RELEASE,
    Refund: TransactionType.REFUND,
}
_ORDERS: dict[type[Operation], Callable[[Any, Call, Known], Order]] = {
    Use: _use,
    Add: _add,
    Hold: _hold,
    Capture: _capture,
    Release: _release,
    Refund: _refund,
}


def _holds_of(rows: Sequence[CreditTransaction | Problem]) -> dict[UUID, CreditLot]:
    """The holds that the rows placed or settled, with the rows that placed them."""
    ids = {row.hold for row in rows if isinstance(row, CreditTransaction) and row.hold}
    return {hold.transaction_id: hold for hold in with_placing().filter(transaction__in=ids)} if ids else {}


def _result(
    row: CreditTransaction | Problem, holds_by_id: dict[UUID, CreditLot], request_id: str | None
) -> Result:
    if isinstance(row, Problem):
        return Result(status=row.status_code, replayed=False, problem=row.document(request_id))
    if row.hold is None:
        return Result(status=201, replayed=row.replayed, transaction=transaction_answer(row))
    hold = holds_by_id[row.hold]
    if row.pk == hold.transaction_id:
        return Result(status=201, replayed=row.replayed, hold=placed_answer(hold))
    return Result(status=200, replayed=row.replayed, hold=settled_answer(hold, row))
