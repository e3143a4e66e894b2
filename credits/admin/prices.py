"""Prices of features in the admin: only the superuser sets and removes them, each time with a reason."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db import transaction
from django.http import HttpRequest

from accounts import audit
from accounts.admin.lists import counted, moment
from accounts.admin.orders import EditedByOrder, OrderForm, actor
from accounts.audit import Event
from credits.admin import field_help
from credits.models import LARGEST_AMOUNT, FeaturePrice


class PriceForm(forms.ModelForm, OrderForm):  # type: ignore[type-arg]
    class Meta:
        help_texts = field_help.FEATURE_PRICE

    def clean_credits(self) -> int:
        """Say what a price can be; otherwise the refusal would only name the constraint."""
        credits: int = self.cleaned_data["credits"]
        if not 1 <= credits <= LARGEST_AMOUNT:
            raise forms.ValidationError(f"A unit costs from 1 to {LARGEST_AMOUNT:,} credits.")
        return credits


@admin.register(FeaturePrice)
class FeaturePriceAdmin(EditedByOrder):
    """Shows prices to those who may view them. Each change is audited with the previous price."""

    form = PriceForm
    delete_confirmation_template = "admin/credits/featureprice/remove.html"
    list_display = ("feature", "price", "description", "changed")
    price, changed = counted("credits"), moment("changed_at")
    search_fields = ("feature", "description")
    ordering = ("feature",)

    def get_readonly_fields(self, request: HttpRequest, obj: FeaturePrice | None = None) -> tuple[str, ...]:
        """Make the name read-only, since it is the key: another name is another price."""
        return ("feature", "changed_at") if obj else ("changed_at",)

    @transaction.atomic
    def save_model(self, request: HttpRequest, obj: FeaturePrice, form: Any, change: bool) -> None:  # noqa: FBT001 -- Django's signature
        before = FeaturePrice.objects.filter(pk=obj.pk).values_list("credits", flat=True).first()
        super().save_model(request, obj, form, change)
        reason = form.cleaned_data["reason"]
        _audit(Event.PRICE_CHANGED, request, obj, before=before, credits=obj.credits, reason=reason)

    @transaction.atomic
    def delete_model(self, request: HttpRequest, obj: FeaturePrice) -> None:
        super().delete_model(request, obj)
        _audit(Event.PRICE_REMOVED, request, obj, before=obj.credits, reason=request.POST["reason"].strip())


def _audit(event: Event, request: HttpRequest, price: FeaturePrice, **detail: Any) -> None:
    detail = {"feature": price.feature, **detail}
    audit.record(event, user_id=None, actor=actor(request), detail=detail)
