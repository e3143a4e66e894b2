"""The admin's sidebar, in order of use: people first."""

from typing import Any

from django.apps import apps
from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils.text import capfirst

GROUPS = {
    "People": (
        "accounts.User",
        "accounts.Session",
        "accounts.AuditEvent",
        "accounts.OutboxMessage",
        "accounts.MailToken",
        "accounts.PendingRegistration",
        "accounts.AddressChange",
        "accounts.FactorReset",
    ),
    "Credits": (
        "credits.CreditDay",
        "credits.UserCredit",
        "credits.CreditTransaction",
        "credits.Grant",
        "credits.Hold",
        "credits.AdjustmentRequest",
        "credits.FeaturePrice",
    ),
    "Billing": (
        "billing.Revenue",
        "billing.BillingAccount",
        "billing.Payment",
        "billing.PaymentLine",
        "billing.RefundRequest",
        "billing.StrangerPayment",
        "billing.Plan",
        "billing.InboxEvent",
        "billing.CustomerChange",
    ),
    "Services": (
        "accounts.Service",
        "accounts.ServiceKey",
        "accounts.EventSubscription",
        "accounts.EventDelivery",
        "accounts.ServiceEvent",
        "accounts.SigningKeyUse",
        "accounts.AccountDay",
    ),
}


def groups(request: HttpRequest) -> list[dict[str, Any]]:
    """Return the sidebar's groups that this member of staff may see, for django-unfold's SIDEBAR."""
    made = [{"title": title, "items": _items(request, models)} for title, models in GROUPS.items()]
    return [group for group in made if group["items"]]


def _items(request: HttpRequest, models: tuple[str, ...]) -> list[dict[str, Any]]:
    registered = [apps.get_model(name) for name in models]
    return [
        {
            "title": capfirst(model._meta.verbose_name_plural),  # noqa: SLF001 -- Django's documented name
            "link": reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist"),  # noqa: SLF001
        }
        for model in registered
        if admin.site.get_model_admin(model).has_view_permission(request)
    ]
