"""Find what waits for staff in credits: requests for a second person, and balances that the sweep leaves overdue."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from accounts.admin.sections import listed
from accounts.admin.waiting import Task, of, to_decide
from credits.models import AdjustmentRequest, UserCredit

LATE = timedelta(minutes=10)  # the sweep runs every half minute


def approvals(request: HttpRequest) -> Iterator[Task]:
    rows, page = AdjustmentRequest.objects.all(), "credits_adjustmentrequest"
    yield to_decide(request, rows, words="Adjustments to approve", page=page)


def overdue(request: HttpRequest) -> Iterator[Task]:
    page = listed("credits_usercredit", overdue=1)
    words = "Balances with an overdue grant or hold"
    yield of(late(UserCredit.objects.all()), at="due_at", words=words, page=page)


def late(rows: QuerySet[Any]) -> QuerySet[Any]:
    """Return the balances that the sweep should have dealt with by now."""
    return rows.filter(due_at__lt=timezone.now() - LATE, closed_at__isnull=True)
