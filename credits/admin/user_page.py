"""One user's credits in the admin."""

from collections.abc import Iterator, Sequence
from typing import Any

from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse

from accounts.admin import plots
from accounts.admin.sections import Section, Table, link, listed, time
from accounts.models import User
from credits.ledger import balance
from credits.ledger.balance import Balance
from credits.ledger.past_balances import balance_over_time
from credits.models import CreditLot, CreditTransaction, Grant, Hold, UserCredit

MOST_LOTS = 50
MOST_SHOWN = 10  # on the page that shows everything about a user
RECENT = 20


def context(user: User) -> dict[str, Any]:
    """Return what the page shows, also for a user who never had credits. Bounded, whatever the user has."""
    row = UserCredit.objects.filter(pk=user.pk).first()
    now = balance.current(user.pk) if user.status != User.Status.DELETED else _left_of(user, row)
    journal = CreditTransaction.objects.filter(holder_id=user.pk)
    return {
        "person": user,
        "now": now,
        "alert_below": row.alert_below if row else None,
        "plot": plots.steps(
            [*balance_over_time(user.pk), (now.as_of, now.balance)], label="Balance over time"
        ),
        "grants": list(_live_grants(row)) if row else [],
        "holds": list(open_holds(user)),
        "transactions": journal.order_by("-at")[:RECENT],
        "requests": user.adjustment_requests.filter(decision="pending").select_related("requested_by"),
    }


def section(*, request: HttpRequest, user: User) -> Section:
    """Return the section on credits for the page that shows everything about a user; their own page has more."""
    shown = context(user)
    now = shown["now"]
    figures = {"Balance": f"{now.balance:,}", "Held": f"{now.held:,}", "Available": f"{now.available:,}"}
    if now.debt:
        figures["Debt"] = f"{now.debt:,}"
    if now.blocked:
        figures["Spending blocked"] = ", ".join(now.blocked)
    own_page = reverse("admin:credits_usercredit_change", args=[user.pk])
    adjust = ("Adjust…", reverse("admin:credits_adjust", args=[user.pk]))
    may_adjust = request.user.has_perm("credits.adjust_credits") and user.status != User.Status.DELETED
    return Section(
        title="Credits",
        figures=figures,
        plots=[shown["plot"]],
        tables=[_lots(shown["grants"], shown["holds"]), _journal(shown["transactions"][:MOST_SHOWN])],
        actions=[adjust] if may_adjust else [],
        links=[
            ("All credits", own_page),
            ("All transactions", listed("credits_credittransaction", holder_id=user.pk)),
        ],
        wide=True,
    )


def _lots(grants: Sequence[Grant], holds: Sequence[Hold]) -> Table:
    rows = [
        *(("grant", link(grant.get_source_display(), "credits_grant_change", grant.pk), f"{grant.remaining:,}",
           f"{grant.issued:,}", time(grant.expires_at) or "never") for grant in grants[:MOST_SHOWN]),
        *(("hold", link(hold.service, "credits_hold_change", hold.pk), f"{hold.remaining:,}", f"{hold.issued:,}",
           time(hold.expires_at)) for hold in holds[:MOST_SHOWN]),
    ]  # fmt: skip
    return Table(
        title="Live grants and open holds",
        columns=("Kind", "From", "Left", "Issued", "Until"),
        rows=rows,
        numbers=frozenset({"Left", "Issued"}),
    )


def _journal(rows: Sequence[CreditTransaction]) -> Table:
    return Table(
        title="Recent transactions",
        columns=("At", "Type", "Amount", "Balance", "Service", "Description"),
        rows=[
            (
                link(row.at, "credits_credittransaction_change", row.pk),
                row.get_type_display(),
                f"{row.amount:+,}" if row.amount else "0",
                f"{row.balance:,}",
                row.service,
                row.description,
            )
            for row in rows
        ],
        numbers=frozenset({"Amount", "Balance"}),
        empty="None yet.",
    )


def _live_grants(row: UserCredit) -> Iterator[Grant]:
    """Yield grants in burn order, each with its remainder; the balance row has that of the open grant."""
    live = Grant.objects.filter(
        Q(remaining__gt=0) | Q(pk=row.open_lot), holder_id=row.pk, kind=CreditLot.Kind.GRANT
    )
    for lot in live.order_by(*CreditLot.BURN_ORDER)[:MOST_LOTS]:
        lot.remaining = left_of(lot, row)
        if lot.remaining:
            yield lot


def left_of(lot: CreditLot, row: UserCredit | None) -> int:
    return row.open_left if row is not None and row.open_lot == lot.pk else lot.remaining


def open_holds(user: User) -> QuerySet[Hold]:
    holds = Hold.objects.filter(holder_id=user.pk, kind=CreditLot.Kind.HOLD, remaining__gt=0)
    return holds.order_by("expires_at")[:MOST_LOTS]


def _left_of(user: User, row: UserCredit | None) -> Balance:
    """Return what is left of an erased user, who is no longer visible to other services."""
    row = row or UserCredit(holder_id=user.pk, at=user.created_at)
    return Balance(user_id=user.pk, as_of=row.at, balance=row.balance, held=row.held, debt=row.debt)
