"""Create, limit and revoke a service's keys in the admin. A key appears once, in the response to the form."""

from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.views.decorators.debug import sensitive_variables
from unfold.decorators import action
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from accounts.admin.orders import (
    Given,
    Order,
    OrderForm,
    OrderPages,
    ask,
    is_superuser,
    reason_field,
)
from accounts.models import ServiceKey
from accounts.service_keys import issuing
from accounts.service_keys.issuing import LARGEST_BUDGET, LONGEST_LIFE_DAYS, IssuedKey, KeyRefused
from accounts.service_keys.registry import SCOPES

# Example calls for a new key; the first that its scopes allow is shown.
CALLS = {
    "credits:read": "/v1/credits/transactions?limit=1",
    "billing:read": "/v1/billing/plans",
    "events:read": "/v1/events?limit=1",
    "users:read": f"/v1/users/{UUID(int=0)}",
}


def budget_field() -> forms.IntegerField:
    return forms.IntegerField(
        required=False,
        min_value=0,
        max_value=LARGEST_BUDGET,
        widget=UnfoldAdminIntegerFieldWidget,
        help_text="Credits that the key may grant per day (UTC). Leave empty for no limit.",
    )


class NewKeyForm(OrderForm):
    """Checks only the shape; the rules are in issuing.create, and its refusals show at the top."""

    service = forms.CharField(
        max_length=40, widget=UnfoldAdminTextInputWidget, help_text="May contain a-z, 0-9, - and _."
    )
    scopes = forms.MultipleChoiceField(
        choices=[(scope, scope) for scope in sorted(SCOPES)], widget=UnfoldAdminCheckboxSelectMultipleWidget
    )
    expires_in_days = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=LONGEST_LIFE_DAYS,
        widget=UnfoldAdminIntegerFieldWidget,
        help_text="Leave empty for a key that does not expire.",
    )
    daily_budget = budget_field()
    another = forms.BooleanField(
        required=False, widget=UnfoldBooleanSwitchWidget, label="Another key for an existing service"
    )
    reason = reason_field()


class BudgetForm(OrderForm):
    daily_budget = budget_field()


@sensitive_variables()
def _create(given: Given) -> dict[str, IssuedKey | str]:
    issued = issuing.create(actor=given.actor, **given.fields)
    call = next((path for scope, path in CALLS.items() if scope in issued.scopes), "/livez")
    return {"issued": issued, "call": call}


def _revoke(given: Given) -> str:
    ended = sum(
        issuing.revoke(key_id=key.pk, actor=given.actor, reason=given.fields["reason"])
        for key in given.subject
    )
    return f"{ended} revoked. Every process rejects them within a second."


def _set_budget(given: Given) -> str:
    changed = sum(
        issuing.set_budget(key_id=key.pk, actor=given.actor, **given.fields) for key in given.subject
    )
    return f"{changed} changed. Takes effect within a second."


class OfChosenKeys(Order):
    def find(self, request: HttpRequest, **where: Any) -> list[ServiceKey]:
        chosen = ServiceKey.objects.filter(pk__in=request.GET.getlist("key"))
        return list(chosen.select_related("service"))


LIST = "accounts_servicekey_changelist"
ORDERS: dict[str, Order] = {
    "new": Order(
        title="New service key",
        template="admin/accounts/servicekey/new.html",
        back_to=LIST,
        form=NewKeyForm,
        refusals=(KeyRefused,),
        carry_out=_create,
    ),
    "budget": OfChosenKeys(
        title="Set a daily budget",
        button="Set",
        template="admin/accounts/servicekey/budget.html",
        path="budget",
        back_to=LIST,
        form=BudgetForm,
        refusals=(KeyRefused,),
        carry_out=_set_budget,
    ),
    "revoke": OfChosenKeys(
        title="Revoke keys",
        button="Revoke",
        template="admin/accounts/servicekey/revoke.html",
        path="revoke",
        back_to=LIST,
        carry_out=_revoke,
    ),
}


class KeyPages(OrderPages):
    """The pages to create, limit and revoke keys, for superusers."""

    orders = ORDERS

    def has_manage_keys_permission(self, request: HttpRequest) -> bool:
        return is_superuser(request)

    @action(description="New key", url_path="new", permissions=["manage_keys"], icon="key")  # type: ignore[untyped-decorator]
    def create_key(self, request: HttpRequest) -> HttpResponse:
        return self.order_page(request, verb="new")

    @admin.action(description="Set a daily budget…", permissions=["manage_keys"])
    def budget(self, request: HttpRequest, chosen: QuerySet[ServiceKey]) -> HttpResponse:
        return ask("accounts_servicekey_budget", "key", chosen)

    @admin.action(description="Revoke…", permissions=["manage_keys"])
    def revoke(self, request: HttpRequest, chosen: QuerySet[ServiceKey]) -> HttpResponse:
        return ask("accounts_servicekey_revoke", "key", chosen)
