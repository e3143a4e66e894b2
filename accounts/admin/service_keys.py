"""Making and revoking a service's key in the admin. The key is in the answer to the form, once, and nowhere else."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.http import urlencode
from django.views.decorators.debug import sensitive_variables
from unfold.decorators import action
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from accounts.admin.actions import OrderForm
from accounts.models import ServiceKey
from accounts.service_keys import issuing
from accounts.service_keys.issuing import LONGEST_LIFE_DAYS, IssuedKey, KeyRefused
from accounts.service_keys.registry import SCOPES


class NewKeyForm(forms.Form):
    """Shape only; the rules are those of key_management.create, and its refusals show at the top."""

    service = forms.CharField(max_length=40, widget=UnfoldAdminTextInputWidget, help_text="a-z, 0-9, - and _")
    scopes = forms.MultipleChoiceField(
        choices=[(scope, scope) for scope in sorted(SCOPES)], widget=UnfoldAdminCheckboxSelectMultipleWidget
    )
    expires_in_days = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=LONGEST_LIFE_DAYS,
        widget=UnfoldAdminIntegerFieldWidget,
        help_text="Empty: without an end",
    )
    another = forms.BooleanField(
        required=False, widget=UnfoldBooleanSwitchWidget, label="One more key for a service that exists"
    )
    reason = forms.CharField(
        max_length=500, widget=UnfoldAdminTextInputWidget, help_text="Stays in the audit log"
    )

    issued: IssuedKey | None = None

    def __init__(self, *args: Any, actor: str = "", **options: Any) -> None:
        super().__init__(*args, **options)
        self.actor = actor

    def issue(self) -> bool:
        """Makes the key where the form is valid and no rule forbids it."""
        if not self.is_valid():
            return False
        try:
            self.issued = issuing.create(actor=self.actor, **self.cleaned_data)
        except KeyRefused as refusal:
            self.add_error(None, ValidationError(str(refusal)))
        return self.issued is not None


class KeyPages:
    """The pages that make a key and end keys, for superusers."""

    admin_site: Any
    model: Any

    def key_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.revoke_page)
        return [path("revoke", view, name="accounts_servicekey_revoke")]

    def has_manage_keys_permission(self, request: HttpRequest) -> bool:
        return bool(getattr(request.user, "is_superuser", False))

    @action(description="New key", url_path="new", permissions=["manage_keys"], icon="key")  # type: ignore[untyped-decorator]
    def create_key(self, request: HttpRequest) -> HttpResponse:
        return self._new_key(request)

    @sensitive_variables()
    def _new_key(self, request: HttpRequest) -> HttpResponse:
        if not self.has_manage_keys_permission(request):
            raise PermissionDenied
        form = NewKeyForm(request.POST or None, actor=f"staff {request.user.pk}")
        made = request.method == "POST" and form.issue()
        context = {
            **self.admin_site.each_context(request),
            "title": "New service key",
            "opts": self.model._meta,  # noqa: SLF001 -- Django's documented name
            "form": form,
            "issued": form.issued if made else None,
        }
        return TemplateResponse(request, "admin/accounts/servicekey/new.html", context)

    @admin.action(description="Revoke for good…", permissions=["manage_keys"])
    def revoke(self, request: HttpRequest, chosen: QuerySet[ServiceKey]) -> HttpResponse:
        query = urlencode([("key", pk) for pk in chosen.values_list("pk", flat=True)])
        return HttpResponseRedirect(f"{reverse('admin:accounts_servicekey_revoke')}?{query}")

    def revoke_page(self, request: HttpRequest) -> HttpResponse:
        if not self.has_manage_keys_permission(request):
            raise PermissionDenied
        keys = list(ServiceKey.objects.filter(pk__in=request.GET.getlist("key")).select_related("service"))
        form = OrderForm(request.POST or None)
        if request.method == "POST" and form.is_valid() and keys:
            reason, actor = form.cleaned_data["reason"], f"staff {request.user.pk}"
            ended = sum(issuing.revoke(key_id=key.pk, actor=actor, reason=reason) for key in keys)
            messages.success(request, f"{ended} revoked. Every process refuses them within a second.")
            return HttpResponseRedirect(reverse("admin:accounts_servicekey_changelist"))
        context = {
            **self.admin_site.each_context(request),
            "title": "Revoke keys",
            "opts": self.model._meta,  # noqa: SLF001 -- Django's documented name
            "keys": keys,
            "form": form,
        }
        return TemplateResponse(request, "admin/accounts/servicekey/revoke.html", context)
