"""Service requests that make something at Stripe: the same service, user and key make it once, whatever goes wrong.

There is one row per request, and under it one per attempt. The attempt's id is Stripe's idempotency key; the request's
id is in the metadata of what is made. So an attempt whose answer was lost is repeated under its key; one that Stripe
refused is closed, and the next gets another key. After an attempt with an unknown outcome, an object with the request's
id in its metadata is looked for first (Stripe may have failed after making it, and keeps its keys for a day only).

No lock is held while Stripe is called, only a lease: concurrent repeats wait for its holder, and if the holder crashes,
the lease soon expires.
"""

import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import msgspec
from django.db import transaction
from django.db.models.functions import Now

from accounts.errors import UserNotFound
from accounts.kit import sealing
from accounts.kit.problems import IdempotencyInProgress, Problem
from accounts.models import User
from billing import customers
from billing.errors import BillingFailed, BillingUnavailable, CustomerMissing
from billing.models import BillingAccount, CustomerChange, Plan, Request, RequestAttempt
from billing.stripe import sdk
from billing.stripe.shapes import Object
from credits.ledger.calls import Call, request_bytes

SECONDS = 8.5  # for the whole request: a caller is to have an answer within ten
PATIENCE = 4.0  # for a concurrent request to finish
POLL = 0.1
LEASE = timedelta(seconds=12)
STRIPE_REMEMBERS = timedelta(hours=23)
ALONE = (
    "checkout",
    "subscribe",
    "change",
    "end_trial",
)  # operations that may begin a subscription or a period
UNKNOWN = "unknown"  # the outcome of an attempt that may have made something

Made = tuple[dict[str, Any], str]  # the answer, and the id of the object at Stripe


@dataclass(frozen=True, slots=True, kw_only=True)
class Instruction:
    """A service's request for one user. `fields` are the fields sent, `path` is the id in the path, if any."""

    service: str
    key: str
    user_id: uuid.UUID
    operation: str
    fields: Mapping[str, Any]
    path: str = ""

    @property
    def call(self) -> Call:
        """Return the call whose digest tells a repeat from another request under the same key, as in the ledger."""
        asked = request_bytes(f"billing.{self.operation}", path=self.path, fields=self.fields)
        return Call(service=self.service, key=self.key, request=asked)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """An attempt of a request. `is_repeat` means that an earlier one may have made something."""

    request_id: uuid.UUID
    key: str
    user_id: uuid.UUID
    is_repeat: bool

    @property
    def metadata(self) -> dict[str, str]:
        return {"request": str(self.request_id), "user_id": str(self.user_id)}

    def offer(self, plan: Plan) -> None:
        """Record what is sold, before Stripe is called."""
        Request.objects.filter(pk=self.request_id).update(plan=plan, credits=plan.credits, terms=plan.terms)

    def find(self, list_them: Callable[[], Iterable[Object]]) -> Object | None:
        """Return what an earlier attempt has made, if anything."""
        if not self.is_repeat:
            return None
        own = str(self.request_id)
        return next(
            (item for item in list_them() if (item.get("metadata") or {}).get("request") == own), None
        )


@dataclass(frozen=True, slots=True)
class Outcome:
    status: int
    answer: dict[str, Any]
    replayed: bool = False


def carry_out(
    instruction: Instruction, perform: Callable[[Attempt], Made], *, status: int = 201, alone: bool = False
) -> Outcome:
    """Return the first answer again, or else that of `perform`. A refusal does not use up the key.

    With `alone`, never run beside another request of the same user that could begin a subscription or a period.
    Raises UserNotFound, IdempotencyKeyReused, IdempotencyInProgress, and what `perform` raises.
    """
    with sdk.within(SECONDS):
        try:
            return _try(instruction, perform, status, alone=alone)
        except CustomerMissing:
            if not customers.retire_if_deleted(instruction.user_id):
                raise
            return _try(instruction, perform, status, alone=alone)


def _try(
    instruction: Instruction, perform: Callable[[Attempt], Made], status: int, *, alone: bool
) -> Outcome:
    begun = _begin_or_wait(instruction, alone=alone)
    if isinstance(begun, Outcome):
        return begun
    try:
        made = perform(begun)
    except Problem as problem:
        _end(begun, problem)
        raise
    except BaseException:
        _let_go(begun)
        raise
    return _keep(instruction, begun, made, status)


def answer_context(row: Request) -> str:
    return f"billing.Request.answer:{row.pk}"


# ---------------------------------------------------------------- beginning


def _begin_or_wait(instruction: Instruction, *, alone: bool) -> Attempt | Outcome:
    if not User.objects.filter(pk=instruction.user_id).exclude(status=User.Status.DELETED).exists():
        raise UserNotFound
    until = time.monotonic() + PATIENCE
    while (begun := _begin(instruction, alone=alone)) is None:
        if time.monotonic() > until:
            raise IdempotencyInProgress
        time.sleep(POLL)
    return begun


@transaction.atomic
def _begin(instruction: Instruction, *, alone: bool) -> Attempt | Outcome | None:
    """Begin an attempt, or return the answer of an earlier one; None while another process is working on it."""
    if alone and _is_another_at_it(instruction):
        return None
    row = _row(instruction)
    if row.status is not None:
        instruction.call.require_same_request(bytes(row.digest))
        return Outcome(row.status, _opened(row), replayed=True)
    if _is_leased(row):
        instruction.call.require_same_request(bytes(row.digest))
        return None
    return _attempt(instruction, row)


def _row(instruction: Instruction) -> Request:
    """Return the request's row, made if there is none yet, and locked."""
    names = {"service": instruction.service, "user_id": instruction.user_id, "key": instruction.key}
    fresh = Request(**names, digest=instruction.call.digest, operation=instruction.operation)
    Request.objects.bulk_create([fresh], ignore_conflicts=True)
    return Request.objects.select_for_update(no_key=True).get(**names)


def _is_leased(row: Request) -> bool:
    return Request.objects.filter(pk=row.pk, leased_until__gt=Now()).exists()


def _is_another_at_it(instruction: Instruction) -> bool:
    """Return whether another such request runs. With the account row locked, neither of two can miss the other."""
    BillingAccount.objects.bulk_create([BillingAccount(pk=instruction.user_id)], ignore_conflicts=True)
    BillingAccount.objects.select_for_update(no_key=True).get(pk=instruction.user_id)
    others = Request.objects.filter(
        user=instruction.user_id, operation__in=ALONE, leased_until__gt=Now()
    ).exclude(service=instruction.service, key=instruction.key)
    return others.exists()


def _attempt(instruction: Instruction, row: Request) -> Attempt:
    unclear = RequestAttempt.objects.filter(request=row, refusal__in=["", UNKNOWN])
    is_repeat = unclear.exists()
    if is_repeat:
        instruction.call.require_same_request(bytes(row.digest))
    unclear.filter(closed_at=None, started_at__lt=Now() - STRIPE_REMEMBERS).update(
        closed_at=Now(), refusal=UNKNOWN
    )
    attempt, _ = RequestAttempt.objects.get_or_create(request=row, closed_at=None)
    Request.objects.filter(pk=row.pk).update(
        leased_until=Now() + LEASE, digest=instruction.call.digest, operation=instruction.operation
    )
    return Attempt(request_id=row.pk, key=str(attempt.pk), user_id=instruction.user_id, is_repeat=is_repeat)


# ---------------------------------------------------------------- ending


def _end(attempt: Attempt, problem: Problem) -> None:
    """Close an attempt that was refused, or that met an error inside Stripe.

    Stripe would repeat such an error under the same key, and it is unknown what was made. If Stripe was not reached,
    the attempt stays open.
    """
    if isinstance(problem, BillingFailed):
        _close(attempt, refusal=UNKNOWN)
    elif not isinstance(problem, BillingUnavailable):
        _close(attempt, refusal=problem.default_code)
    _let_go(attempt)


def _close(attempt: Attempt, *, refusal: str) -> None:
    RequestAttempt.objects.filter(pk=attempt.key).update(closed_at=Now(), refusal=refusal)


def _let_go(attempt: Attempt) -> None:
    Request.objects.filter(pk=attempt.request_id).update(leased_until=None)


@transaction.atomic
def _keep(instruction: Instruction, attempt: Attempt, made: Made, status: int) -> Outcome:
    """Store the answer for repeats, sealed, since it may open a checkout or a payment.

    If the user may no longer buy anything, have what was made undone.
    """
    answer, stripe_object = made
    row = Request(pk=attempt.request_id)
    text = msgspec.json.encode(answer).decode()
    Request.objects.filter(pk=row.pk).update(
        leased_until=None,
        status=status,
        stripe_object=stripe_object,
        answer=sealing.seal(text, context=answer_context(row)),
    )
    _close(attempt, refusal="")
    if instruction.operation in ALONE and not customers.may_buy(attempt.user_id):
        customers.enqueue(CustomerChange.Kind.STOP_BUYING, user_id=attempt.user_id)
    return Outcome(status, answer)


def _opened(row: Request) -> dict[str, Any]:
    text = sealing.open(str(row.answer), context=answer_context(row))
    answer: dict[str, Any] = msgspec.json.decode(text)
    return answer
