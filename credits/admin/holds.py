"""Releasing holds of any service in the admin, with a reason; nobody can release a hold of their own."""

from collections.abc import Sequence
from typing import Any

from django.contrib import messages
from django.http import HttpRequest

from accounts.admin.orders import Given, Order, OrderForm, id_field, reason_field, staff_id
from accounts.kit.problems import Problem
from credits.admin.names import with_address
from credits.ledger import holds
from credits.models import CreditLot, Hold

MOST_AT_ONCE = 100
OF_ONES_OWN = "You cannot release your own hold."


class LedgerForm(OrderForm):
    """Passes `request_id` on to the ledger, which carries out the same request once, however often it is sent."""

    id_name = "request_id"
    order_id = None  # type: ignore[assignment]  # Django: leaves the field out
    reason = reason_field("Kept in the journal permanently.")
    request_id = id_field()


class ReleaseOrder(Order):
    def find(self, request: HttpRequest, **where: Any) -> Sequence[Hold]:
        texts = [text for text in request.GET.getlist("hold") if text.isdecimal() and len(text) < 19]
        found = Hold.objects.filter(kind=CreditLot.Kind.HOLD, pk__in=texts[:MOST_AT_ONCE])
        return list(with_address(found).order_by("pk"))


def _release_each(given: Given) -> None:
    """Release each hold separately: those settled since the page was opened are named, and the others released."""
    for hold in given.subject:
        if hold.holder_id == staff_id(given.request):
            messages.error(given.request, f"Hold {hold.pk}: {OF_ONES_OWN}")
            continue
        try:
            holds.release_for_staff(
                hold_id=hold.transaction_id, staff_id=staff_id(given.request), **given.fields,
                key=f"release-{given.form_id}-{hold.pk}",
            )  # fmt: skip
        except Problem as problem:
            messages.error(given.request, f"Hold {hold.pk}: {problem.detail}")
        else:
            done = f"Hold {hold.pk}: {hold.issued:,} credits returned to their grants."
            messages.success(given.request, done)


ORDERS = {
    "release": ReleaseOrder(
        title="Release holds",
        permission="credits.release_hold",
        template="admin/credits/hold/release.html",
        path="release/",
        name="credits_release",
        back_to="credits_hold_changelist",
        form=LedgerForm,
        asks_others=True,
        carry_out=_release_each,
    )
}
