"""Balance, adding, using, refunding, and the journal."""

from collections.abc import Iterable
from itertools import chain
from typing import Any, Literal
from uuid import UUID

import msgspec
from django.db.models import QuerySet
from django.http import StreamingHttpResponse
from django.http.response import HttpResponseBase

from accounts import tiers
from accounts.errors import UserNotFound
from accounts.kit.documentation import documented
from accounts.kit.responses import Response
from accounts.tiers import InternalEndpoint, ServiceRequest
from credits import export, history, ledger, prices
from credits.answers import SHOWN, BalanceAnswer, TransactionAnswer, balance_answer, transaction_answer
from credits.errors import (
    AccountContested,
    AccountFrozen,
    AccountSuspended,
    BalanceLimit,
    BudgetExceeded,
    FeatureNotFound,
    InsufficientCredits,
    RefundExceedsUse,
    TransactionNotFound,
    TransactionNotRefundable,
)
from credits.identifiers import SLACK, first_of
from credits.ledger import balance
from credits.models import CreditTransaction, TransactionType
from credits.views.asked import (
    Credits,
    Description,
    Feature,
    Metadata,
    Moment,
    Quantity,
    Reference,
    answer,
    budget_of,
    call_of,
    in_utc,
    require_sale,
)
from credits.views.examples import ADDED, REFUNDED, TRANSACTION, USER


class CreditBalance(InternalEndpoint):
    scope = "credits:read"

    class Query(tiers.Query):
        user_id: UUID
        at: Moment | None = None

        def __post_init__(self) -> None:
            self.at = in_utc(self.at)

    @documented(
        "Get a balance",
        answer=BalanceAnswer,
        problems=(UserNotFound,),
        example={
            "user_id": USER,
            "balance": 170,
            "held": 20,
            "debt": 0,
            "available": 150,
            "expiring": [{"amount": 100, "expires_at": "2026-12-24T00:00:00Z"}],
            "blocked": [],
            "as_of": "2026-11-23T10:00:00Z",
        },
    )
    def get(self, request: ServiceRequest) -> Response:
        """Returns the user's credits, now or at a past time. A user without transactions has 0."""
        query = self.query(request)
        if query.at is None:
            return Response(balance_answer(balance.current(query.user_id), present=True))
        return Response(balance_answer(balance.past(query.user_id, query.at), present=False))


class AddCredits(InternalEndpoint):
    scope = "credits:add"

    class Body(tiers.Body):
        user_id: UUID
        amount: Credits
        type: Literal["purchase", "bonus", "adjustment"] = "bonus"
        description: Description | None = None
        reference: Reference | None = None
        expires_at: Moment | None = None
        metadata: Metadata | None = None

    @documented(
        "Add credits",
        answer=TransactionAnswer,
        status=201,
        idempotent=True,
        problems=(UserNotFound, BalanceLimit, BudgetExceeded),
        body_example={"user_id": USER, "amount": 100, "description": "Welcome"},
        example=ADDED,
    )
    def post(self, request: ServiceRequest) -> Response:
        """Grants credits to the user, once per key. Any that are left expire at `expires_at`, if it is set.

        A `purchase` is one that was paid for elsewhere (an app store, a bank transfer); it also needs the scope
        `credits:sell` and a `reference`. A key with a daily budget can grant no more than that between midnight and
        midnight UTC.
        """
        body = request.data
        require_sale(body.type, body.reference, request.auth.scopes)
        added = ledger.add(
            user_id=body.user_id,
            amount=body.amount,
            type=body.type,
            expires_at=body.expires_at,
            call=call_of(request, "add"),
            budget=budget_of(request.auth),
        )
        return _answer(added)


class UseCredits(InternalEndpoint):
    scope = "credits:use"

    class Body(tiers.Body):
        user_id: UUID
        amount: Credits | None = None
        feature: Feature | None = None
        quantity: Quantity | None = None
        description: Description | None = None
        reference: Reference | None = None
        metadata: Metadata | None = None

    @documented(
        "Use credits",
        answer=TransactionAnswer,
        status=201,
        idempotent=True,
        problems=(
            InsufficientCredits,
            AccountSuspended,
            AccountContested,
            AccountFrozen,
            UserNotFound,
            FeatureNotFound,
        ),
        body_example={
            "user_id": USER,
            "amount": 30,
            "description": "Three pictures",
            "reference": "job-4711",
        },
        example=TRANSACTION,
    )
    def post(self, request: ServiceRequest) -> Response:
        """Takes credits from the user, once per key: the whole amount or nothing. Grants are used in order of
        priority, then expiry.

        Send `amount`, or `feature` and `quantity`, which the price list turns into an amount.
        """
        body = request.data
        charge = prices.charge_of(amount=body.amount, feature=body.feature, quantity=body.quantity)
        call = call_of(request, "use", unit_price=charge.unit_price)
        return _answer(ledger.use(user_id=body.user_id, amount=charge.amount, call=call))


class RefundCredits(InternalEndpoint):
    scope = ("credits:refund", "credits:add")

    class Body(tiers.Body):
        transaction_id: UUID
        amount: Credits | None = None
        description: Description | None = None

    @documented(
        "Refund a use",
        answer=TransactionAnswer,
        status=201,
        idempotent=True,
        problems=(
            TransactionNotFound,
            TransactionNotRefundable,
            RefundExceedsUse,
            BalanceLimit,
            BudgetExceeded,
        ),
        body_example={"transaction_id": TRANSACTION["id"], "amount": 30},
        example=REFUNDED,
    )
    def post(self, request: ServiceRequest) -> Response:
        """Returns a use, or part of it, to the grants it came from. The refunds of a use never exceed it in total.

        With the scope `credits:refund` a service can refund its own uses, with `credits:add` any use. Refunding
        another service's use counts against the key's daily budget.
        """
        body = request.data
        refunded = ledger.refund(
            transaction_id=body.transaction_id,
            amount=body.amount,
            own_only="credits:add" not in request.auth.scopes,
            call=call_of(request, "refund"),
            budget=budget_of(request.auth),
        )
        return _answer(refunded)


class Transactions(InternalEndpoint):
    scope = "credits:read"

    class Query(tiers.Query):
        user_id: UUID | None = None
        type: TransactionType | None = None
        reference: str | None = None
        since: Moment | None = None
        until: Moment | None = None

        def __post_init__(self) -> None:
            self.since, self.until = in_utc(self.since), in_utc(self.until)

    @documented(
        "List transactions",
        answer=TransactionAnswer,
        paged=True,
        problems=(UserNotFound,),
        example=TRANSACTION,
    )
    def get(self, request: ServiceRequest) -> HttpResponseBase:
        """Lists one user's transactions, newest first. Without `user_id`, lists what the calling service did for all
        users.

        With `Accept: text/csv`, returns all matching rows as CSV, without pages.
        """
        query = self.query(request)
        unposted, rows = _unposted(query), _journal(query, request.auth.service)
        order = ("-at",) if query.user_id else ("-id",)
        if _prefers_csv(request):
            return _csv(chain(unposted, export.newest_first(rows, order=order)))
        page: Response = self.pages.page(
            rows.values_list(*SHOWN, named=True),  # for 50 rows, making models would be a sixth of the time
            request,
            order=order,
            bound_to={**msgspec.structs.asdict(query), "service": request.auth.service},
            render=transaction_answer,
            ahead=unposted,
            behind=lambda rows, place: history.behind(rows, holder=query.user_id, place=place),
        )
        return page


class Transaction(InternalEndpoint):
    scope = "credits:read"

    @documented(
        "Get a transaction", answer=TransactionAnswer, problems=(TransactionNotFound,), example=TRANSACTION
    )
    def get(self, request: ServiceRequest, transaction_id: UUID) -> Response:
        """Returns one row of the journal."""
        row = CreditTransaction.objects.filter(pk=transaction_id).first()
        if row is None:
            raise TransactionNotFound
        return Response(transaction_answer(row))


def _answer(row: CreditTransaction) -> Response:
    return answer(transaction_answer(row), status=201, replayed=row.replayed)


def _journal(query: Any, service: str) -> QuerySet[CreditTransaction]:
    rows: QuerySet[CreditTransaction] = CreditTransaction.objects.all()
    if query.user_id is None:
        rows = _of_service(service, query)
    filters = {
        "holder_id": query.user_id,
        "type": query.type,
        "reference": query.reference,
        "at__gte": query.since,
        "at__lt": query.until,
    }
    return rows.filter(**{name: value for name, value in filters.items() if value is not None})


def _of_service(service: str, query: Any) -> QuerySet[CreditTransaction]:
    """Return a service's rows. They are read in id order, so a time range is narrowed by id as well."""
    rows: QuerySet[CreditTransaction] = CreditTransaction.objects.filter(service=service)
    if query.since is not None:
        rows = rows.filter(pk__gte=first_of(query.since, away=-SLACK))
    return rows if query.until is None else rows.filter(pk__lt=first_of(query.until, away=SLACK))


def _unposted(query: Any) -> list[CreditTransaction]:
    """Return the matching rows that are due but not in the journal yet, newest first. Raises UserNotFound."""
    now = query.user_id and balance.when_due(query.user_id)
    if now is None:
        return []
    rows = balance.unposted(query.user_id, now)
    return [row for row in reversed(rows) if _matches(row, query)]


def _matches(row: CreditTransaction, query: Any) -> bool:
    return (
        query.type in (None, row.type)
        and query.reference is None
        and (query.since is None or row.at >= query.since)
        and (query.until is None or row.at < query.until)
    )


def _prefers_csv(request: ServiceRequest) -> bool:
    """Return whether `Accept` names CSV before JSON. Parameters such as a charset are ignored."""
    ranges = (f"{one.main_type}/{one.sub_type}" for one in request.accepted_types)
    known = {"text/csv", "text/*", "application/json", "application/*", "*/*"}
    return next((one for one in ranges if one in known), "").startswith("text/")


def _csv(rows: Iterable[CreditTransaction]) -> StreamingHttpResponse:
    headers = {"Content-Disposition": 'attachment; filename="transactions.csv"'}
    return StreamingHttpResponse(export.lines(rows), content_type="text/csv; charset=utf-8", headers=headers)
