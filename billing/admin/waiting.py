"""Find what waits for staff in billing: money without credits, refunds to approve, and Stripe events given up."""

from collections.abc import Iterator

from django.db.models import Q
from django.http import HttpRequest

from accounts.admin.sections import listed
from accounts.admin.waiting import Task, of, to_decide
from accounts.models import User
from billing.models import InboxEvent, PaymentLine, RefundRequest, StrangerPayment


def payments(request: HttpRequest) -> Iterator[Task]:
    strangers = StrangerPayment.objects.filter(assigned_at__isnull=True)
    page = listed("billing_strangerpayment", assigned_at__isempty=1)
    yield of(strangers, at="seen_at", words="Payments by unknown customers", page=page)
    lines = PaymentLine.objects.exclude(payment__user__status=User.Status.DELETED)
    unknown = lines.filter(kind=PaymentLine.Kind.OPEN)
    page = listed("billing_paymentline", kind=PaymentLine.Kind.OPEN)
    yield of(unknown, at="created_at", words="Paid lines without a plan", page=page)
    kept = lines.exclude(kind=PaymentLine.Kind.OPEN).filter(Q(covered__gt=0) | Q(due=0))
    nothing = kept.filter(granted_by__isnull=True, credits__gt=0)
    yield of(
        nothing,
        at="created_at",
        words="Paid lines without credits so far",
        page=listed("billing_paymentline"),
    )


def refunds(request: HttpRequest) -> Iterator[Task]:
    rows, page = RefundRequest.objects.all(), "billing_refundrequest"
    yield to_decide(request, rows, words="Refunds to approve", page=page)


def inbox(request: HttpRequest) -> Iterator[Task]:
    rows = InboxEvent.objects.filter(dead_at__isnull=False, done_at__isnull=True)
    page = listed("billing_inboxevent", dead_at__isempty=0)
    yield of(rows, at="dead_at", words="Stripe events that were given up", page=page)
