"""Up to a thousand operations in one request and one commit."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Annotated, Any, ClassVar, Literal
from uuid import UUID

import msgspec
from django.conf import settings
from msgspec import UNSET, Meta, UnsetType

from accounts import tiers
from accounts.errors import ScopeMissing
from accounts.kit.documentation import documented
from accounts.kit.problems import Problem, ValidationFailed
from accounts.kit.responses import Response
from accounts.service_keys.registry import ServiceCredential
from accounts.tiers import InternalEndpoint, ServiceRequest
from credits import prices
from credits.answers import HoldAnswer, TransactionAnswer, transaction_answer
from credits.errors import HoldNotFound, TransactionNotFound
from credits.ledger import batch, operations
from credits.ledger.batch import Refusal, Step
from credits.ledger.calls import Call
from credits.models import CreditLot, CreditTransaction, FeaturePrice, placed_by
from credits.views.asked import (
    Credits,
    Description,
    Feature,
    Metadata,
    Moment,
    Quantity,
    Reference,
    Seconds,
    budget_of,
    make_call,
    require_sale,
    sent,
)
from credits.views.examples import TRANSACTION, USER
from credits.views.holds import placed_answer, settled_answer, with_placing

# As in the header, where HTTP drops surrounding spaces: the same key sent alone must name the same call.
Key = Annotated[
    str,
    Meta(
        pattern=r"\A[\x21-\x7e](?:[\x20-\x7e]{0,253}[\x21-\x7e])?\Z",
        description="For this operation only.",
    ),
]


class Entry(msgspec.Struct, tag_field="op", forbid_unknown_fields=True, kw_only=True, frozen=True):
    """One entry of the list: the fields of the single call, and its key."""

    scopes: ClassVar[tuple[str, ...]]
    idempotency_key: Key


class Use(Entry, tag="use", frozen=True):
    scopes = ("credits:use",)
    user_id: UUID
    amount: Credits | None = None
    feature: Feature | None = None
    quantity: Quantity | None = None
    description: Description | None = None
    reference: Reference | None = None
    metadata: Metadata | None = None


class Add(Entry, tag="add", frozen=True):
    scopes = ("credits:add",)
    user_id: UUID
    amount: Credits
    type: Literal["purchase", "bonus", "adjustment"] = "bonus"
    description: Description | None = None
    reference: Reference | None = None
    expires_at: Moment | None = None
    metadata: Metadata | None = None


class Hold(Entry, tag="hold", frozen=True):
    scopes = ("credits:use",)
    user_id: UUID
    amount: Credits
    expires_in: Seconds = int(settings.HOLD_LIFETIME.total_seconds())
    description: Description | None = None
    reference: Reference | None = None
    metadata: Metadata | None = None


class Capture(Entry, tag="capture", frozen=True):
    scopes = ("credits:use",)
    hold_id: UUID
    amount: Credits | None = None
    description: Description | None = None
    reference: Reference | None = None
    metadata: Metadata | None = None


class Release(Entry, tag="release", frozen=True):
    scopes = ("credits:use",)
    hold_id: UUID


class Refund(Entry, tag="refund", frozen=True):
    scopes = ("credits:refund", "credits:add")
    transaction_id: UUID
    amount: Credits | None = None
    description: Description | None = None


class Result(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The outcome of one operation: the status and the body with which the single call would respond."""

    status: int
    replayed: bool
    transaction: TransactionAnswer | UnsetType = UNSET
    hold: HoldAnswer | UnsetType = UNSET
    problem: dict[str, Any] | UnsetType = UNSET


class BatchAnswer(msgspec.Struct):
    results: list[Result]


class Batch(InternalEndpoint):
    scope = ()  # each operation is checked for the scope of its own call
    body_limit = settings.LARGE_BODY_LIMIT

    class Body(tiers.Body):
        operations: Annotated[
            list[Use | Add | Hold | Capture | Release | Refund], Meta(min_length=1, max_length=batch.LARGEST)
        ]

    @documented(
        "Run a batch",
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
        """Runs the operations in the order given, each with its own key, scope and result, in one commit.

        A refused operation does not stop the others. If any is malformed, the whole request is refused with 400 and
        nothing is done.
        """
        rows = batch.perform_all(steps_of(request.data.operations, request.auth))
        holds_by_id = _holds_of(rows)
        request_id = getattr(request, "request_id", None)
        return Response(BatchAnswer([_result(row, holds_by_id, request_id) for row in rows]))


def steps_of(entries: Sequence[Entry], credential: ServiceCredential) -> list[Step | Refusal]:
    """Return each entry's step for the ledger, with its user, price, hold or use looked up."""
    known = Known(entries, credential)
    return [
        _step(entry, make_call_of(entry, credential.service, index), known)
        for index, entry in enumerate(entries)
    ]


class Known:
    """The rows that the entries refer to, read in one query of each kind."""

    def __init__(self, entries: Sequence[Any], credential: ServiceCredential) -> None:
        self.credential, self.budget = credential, budget_of(credential)
        hold_ids = {entry.hold_id for entry in entries if isinstance(entry, Capture | Release)}
        use_ids = {entry.transaction_id for entry in entries if isinstance(entry, Refund)}
        features = {entry.feature for entry in entries if isinstance(entry, Use) and entry.feature}
        own_holds = CreditLot.objects.filter(placed_by(hold_ids), service=credential.service)
        self.holds = {hold.transaction_id: hold for hold in own_holds} if hold_ids else {}
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


def make_call_of(entry: Entry, service: str, index: int) -> Call:
    """Return the call that the same request makes when sent alone, so that either repeats the other."""
    fields = {name: value for name, value in sent(entry).items() if name != "idempotency_key"}
    path = str(fields.pop("hold_id", ""))
    name = str(entry.__struct_config__.tag)
    try:
        return make_call(service, entry.idempotency_key, name, fields, path=path)
    except ValidationFailed as fault:
        raise ValidationFailed(
            *(
                (f"operations[{index}].{each['field']}", each["code"], each["detail"])
                for each in fault.extra["errors"]
            )
        ) from fault


def _step(entry: Entry, call: Call, known: Known) -> Step | Refusal:
    kind = entry.type if isinstance(entry, Add) else str(entry.__struct_config__.tag)
    if known.credential.scopes.isdisjoint(entry.scopes):
        return Refusal(kind, ScopeMissing())
    try:
        return _STEPS[type(entry)](entry, call, known)
    except Problem as problem:
        return Refusal(kind, problem)


def _use(entry: Use, call: Call, known: Known) -> Step:
    charge = prices.charge_of(
        amount=entry.amount, feature=entry.feature, quantity=entry.quantity, known=known.prices
    )
    call = replace(call, unit_price=charge.unit_price)
    return Step(entry.user_id, operations.use(amount=charge.amount, call=call))


def _add(entry: Add, call: Call, known: Known) -> Step:
    require_sale(entry.type, entry.reference, known.credential.scopes)
    added = operations.add(
        amount=entry.amount, call=call, type=entry.type, expires_at=entry.expires_at, budget=known.budget
    )
    return Step(entry.user_id, added)


def _hold(entry: Hold, call: Call, known: Known) -> Step:
    lifetime = timedelta(seconds=entry.expires_in)
    return Step(entry.user_id, operations.hold(amount=entry.amount, lifetime=lifetime, call=call))


def _capture(entry: Capture, call: Call, known: Known) -> Step:
    hold = known.hold(entry.hold_id)
    return Step(hold.holder_id, operations.capture(hold, amount=entry.amount, call=call))


def _release(entry: Release, call: Call, known: Known) -> Step:
    hold = known.hold(entry.hold_id)
    return Step(hold.holder_id, operations.release(hold, call=call))


def _refund(entry: Refund, call: Call, known: Known) -> Step:
    use = known.use(entry.transaction_id)
    refunded = operations.refund(use, amount=entry.amount, call=call, budget=known.budget)
    return Step(use.holder_id, refunded)


_STEPS: dict[type[Entry], Callable[[Any, Call, Known], Step]] = {
    Use: _use,
    Add: _add,
    Hold: _hold,
    Capture: _capture,
    Release: _release,
    Refund: _refund,
}


def _holds_of(rows: Sequence[CreditTransaction | Problem]) -> dict[UUID, CreditLot]:
    """Return the holds that the rows placed or settled, each with the row that placed it."""
    settling = [row for row in rows if isinstance(row, CreditTransaction) and row.hold]
    holds = with_placing().filter(
        holder_id__in={row.holder_id for row in settling}, transaction_id__in={row.hold for row in settling}
    )
    return {hold.transaction_id: hold for hold in holds} if settling else {}


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
