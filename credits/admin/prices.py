"""Prices of features in the admin: the superuser's to set and to take away, each time with a reason."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from unfold.admin import ModelAdmin
from unfold.widgets import UnfoldAdminTextInputWidget

from accounts import audit
from accounts.admin.lists import counted, moment
from accounts.audit import Event
from credits.models import FeaturePrice

LONGEST_REASON = 500


class PriceForm(forms.ModelForm):  # type: ignore[type-arg]
    reason = forms.CharField(
        max_length=LONGEST_REASON, widget=UnfoldAdminTextInputWidget, help_text="Stays in the audit log"
    )


@admin.register(FeaturePrice)
class FeaturePriceAdmin(ModelAdmin):  # type: ignore[misc]
    """Whoever may view prices sees them. Each change is audited with the price before."""

    form = PriceForm
    delete_confirmation_template = "admin/credits/featureprice/remove.html"
    list_display = ("feature", "price", "description", "changed")
    price, changed = counted("credits"), moment("changed_at")
    search_fields = ("feature", "description")
    ordering = ("feature",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return _is_superuser(request)

    def has_change_permission(self, request: HttpRequest, obj: FeaturePrice | None = None) -> bool:
        return _is_superuser(request)

    def has_delete_permission(self, request: HttpRequest, obj: FeaturePrice | None = None) -> bool:
        return _is_superuser(request)

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """No removal of many at once, which asks for no reason."""
        return {
            name: rest for name, rest in super().get_actions(request).items() if name != "delete_selected"
        }

    def get_readonly_fields(self, request: HttpRequest, obj: FeaturePrice | None = None) -> tuple[str, ...]:
        """The name is the key: another name is another price."""
        return ("feature", "changed_at") if obj else ("changed_at",)

    @transaction.atomic
    def save_model(self, request: HttpRequest, obj: FeaturePrice, form: Any, change: bool) -> None:  # noqa: FBT001 -- Django's signature
        before = FeaturePrice.objects.filter(pk=obj.pk).values_list("credits", flat=True).first()
        super().save_model(request, obj, form, change)
        reason = form.cleaned_data["reason"]
        _audit(Event.PRICE_CHANGED, request, obj, before=before, credits=obj.credits, reason=reason)

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if request.method == "POST" and self.has_delete_permission(request) and not _reason(request):
            messages.error(request, "A reason is needed. Nothing was removed.")
            return HttpResponseRedirect(request.path)
        response: HttpResponse = super().delete_view(request, object_id, extra_context)
        return response

    @transaction.atomic
    def delete_model(self, request: HttpRequest, obj: FeaturePrice) -> None:
        super().delete_model(request, obj)
        _audit(Event.PRICE_REMOVED, request, obj, before=obj.credits, reason=_reason(request))


def _reason(request: HttpRequest) -> str:
    return request.POST.get("reason", "").strip()[:LONGEST_REASON]


def _audit(event: Event, request: HttpRequest, price: FeaturePrice, **detail: Any) -> None:
    detail = {"feature": price.feature, **detail}
    audit.record(event, user_id=None, actor=f"staff {request.user.pk}", detail=detail)


def _is_superuser(request: HttpRequest) -> bool:
    return bool(getattr(request.user, "is_superuser", False))
