"""The admin's first page: the tasks of this member of staff, then the state of the service.

It reads daily statistics and queues, never the tables with millions of rows.
"""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django.conf import settings
from django.db import connection
from django.db.models import Max
from django.http import HttpRequest
from django.utils.module_loading import import_string

from accounts.admin import plots, waiting
from accounts.admin.sections import Section, Table, age, collect, listed
from accounts.models import AccountDay

SHOWN_DAYS = 30
Measure = AccountDay.Measure
# The planner's statistics: accurate to a few percent, at no cost.
USERS = "SELECT greatest(reltuples, 0)::bigint FROM pg_class WHERE oid = 'accounts_user'::regclass"
FEW = 100_000  # up to this many are counted exactly


def context(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Return the page's context, for django-unfold's DASHBOARD_CALLBACK."""
    today = datetime.now(UTC).date()
    first = waiting.section(request)
    shown = collect(settings.ADMIN_FIRST_PAGE, request, today=today)
    return {**context, "sections": shown if first is None else [first, *shown]}


def people(*, request: HttpRequest, today: date) -> Section:
    days = _days_to(today)
    counted = {
        (row.day, row.measure): row.count
        for row in AccountDay.objects.filter(day__gte=days[0], day__lte=today)
    }

    def per_day(measure: str) -> list[tuple[date, int]]:
        return [(day, counted.get((day, measure), 0)) for day in days]

    live = [
        (datetime.combine(day, time(), UTC), counted[day, Measure.SESSIONS])
        for day in days
        if (day, Measure.SESSIONS) in counted
    ]
    figures = {
        "Users": _users(),
        "Active sessions": f"{live[-1][1]:,}" if live else "0",
        "Signed up today": f"{counted.get((today, Measure.REGISTERED), 0):,}",
        "Signed in today": f"{counted.get((today, Measure.SIGNED_IN), 0):,}",
        "Refused today": f"{counted.get((today, Measure.REFUSED), 0):,}",
    }
    return Section(
        title="People",
        figures=figures,
        plots=[
            plots.bars(per_day(Measure.REGISTERED), label="Sign-ups per day"),
            plots.bars(per_day(Measure.SIGNED_IN), label="Sign-ins per day"),
            plots.bars(per_day(Measure.REFUSED), label="Sign-ins refused per day"),
            plots.steps(live, label="Active sessions at the end of each day"),
        ],
        links=[("Users", listed("accounts_user")), ("Sessions", listed("accounts_session"))],
        note=_as_of(),
        wide=True,
    )


def queues(*, request: HttpRequest, today: date) -> Section:
    """Show what is queued, by the functions that /metrics calls too."""
    standings = [
        (name, waiting, oldest, dead)
        for path in settings.METRICS_COLLECTORS
        for name, waiting, oldest, dead in import_string(path)()
    ]
    table = Table(
        columns=("Queue", "Waiting", "Oldest", "Given up"),
        rows=[
            (name.replace("_", " "), f"{waiting:,}", age(oldest) if waiting else "", f"{dead:,}")
            for name, waiting, oldest, dead in standings
        ],
        numbers=frozenset({"Waiting", "Oldest", "Given up"}),
    )
    days = _days_to(today)
    mails = AccountDay.objects.filter(measure=Measure.MAILS, day__gte=days[0])
    counted = dict(mails.values_list("day", "count"))
    plot = plots.bars([(day, counted.get(day, 0)) for day in days], label="Emails per day")
    links = [
        ("Emails queued", listed("accounts_outboxmessage", ended="waiting")),
        ("Emails given up", listed("accounts_outboxmessage", ended="dead")),
    ]
    return Section(title="Queues", tables=[table], plots=[plot], links=links)


def _days_to(today: date) -> list[date]:
    return [today - timedelta(days=number) for number in reversed(range(SHOWN_DAYS))]


def _users() -> str:
    with connection.cursor() as cursor:
        cursor.execute(USERS)
        estimated = cursor.fetchone()[0]
        if estimated > FEW:
            return f"about {estimated:,}"
        cursor.execute("SELECT count(*) FROM accounts_user")
        return f"{cursor.fetchone()[0]:,}"


def _as_of() -> str:
    last = AccountDay.objects.aggregate(last=Max("counted_at"))["last"]
    if last is None:
        return "Not counted yet. The worker counts every two minutes while worker and beat are running."
    return f"Counted {last:%Y-%m-%d %H:%M:%S} UTC; the worker counts every two minutes. Days are in UTC."
