"""Tasks that await a person's decision or repair, at the top of the admin's first page.

Each app adds functions to ADMIN_WAITING, with the permission that a task needs. They take the request and yield a Task
for each kind, read from an index, even if nothing is waiting.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from django.conf import settings
from django.db.models import Count, Min, Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html

from accounts.admin.orders import staff_id
from accounts.admin.sections import Section, Table, age, allowed, listed
from accounts.approvals import Decision
from accounts.models import EventDelivery, OutboxMessage, User


class Task(NamedTuple):
    """A number of things of one kind and the seconds that the oldest has waited; `page` lists them."""

    words: str
    number: int
    oldest: float
    page: str


def section(request: HttpRequest) -> Section | None:
    """Return the tasks of this member of staff, or None for one without permission for any."""
    sources = list(allowed(settings.ADMIN_WAITING, request))
    if not sources:
        return None
    tasks = [task for source in sources for task in source(request) if task.number]
    rows = [
        (format_html('<a href="{}">{}</a>', task.page, task.words), f"{task.number:,}", age(task.oldest))
        for task in sorted(tasks, key=lambda task: -task.oldest)
    ]
    table = Table(
        columns=("Task", "How many", "Oldest"),
        rows=rows,
        numbers=frozenset({"How many", "Oldest"}),
        empty="Nothing is waiting for you.",
    )
    return Section(title="Waiting for you", tables=[table], wide=True)


def of(rows: QuerySet[Any], *, at: str, words: str, page: str) -> Task:
    """Return the task of handling these rows, each of which has waited since the time in its column `at`."""
    found = rows.aggregate(number=Count("*"), since=Min(at))
    waited = (timezone.now() - found["since"]).total_seconds() if found["since"] else 0.0
    return Task(words, found["number"], waited, page)


def to_decide(request: HttpRequest, requests: QuerySet[Any], *, words: str, page: str) -> Task:
    """Return the task of deciding requests (accounts/approvals.py) that this person neither made nor benefits from."""
    me = staff_id(request)
    others = requests.filter(decision=Decision.PENDING).exclude(Q(requested_by=me) | Q(user=me))
    return of(others, at="requested_at", words=words, page=listed(page, decision__exact=Decision.PENDING))


def mails(request: HttpRequest) -> Iterator[Task]:
    rows = OutboxMessage.objects.filter(dead_at__isnull=False)
    page = listed("accounts_outboxmessage", ended="dead")
    yield of(rows, at="dead_at", words="Emails that could not be sent", page=page)


def deliveries(request: HttpRequest) -> Iterator[Task]:
    if not request.user.has_perm("accounts.view_eventdelivery"):
        return
    rows = EventDelivery.objects.filter(dead_at__isnull=False)
    page = listed("accounts_eventdelivery", dead_at__isempty=0)
    yield of(rows, at="dead_at", words="Webhooks that were not accepted", page=page)


def contests(request: HttpRequest) -> Iterator[Task]:
    rows = User.objects.filter(contested_at__isnull=False)
    page = listed("accounts_user", contested_at__isempty=0)
    yield of(rows, at="contested_at", words="Contested accounts to settle", page=page)
