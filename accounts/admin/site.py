"""The admin site: who may enter, and which pages exist."""

from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.contrib import admin
from django.contrib.auth import REDIRECT_FIELD_NAME
from django.core.exceptions import BadRequest
from django.db.models import Model
from django.db.models.base import ModelBase
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, reverse
from django.utils.module_loading import autodiscover_modules
from unfold.sites import UnfoldAdminSite

from accounts.admin import sign_in
from accounts.admin.sign_in import FactorPages, PasswordStep, StaffSignInForm
from accounts.kit.problems import RateLimited, ServiceUnavailable

View = Callable[..., HttpResponse]
# With `no-referrer`, browsers send `Origin: null` with a form, which the CSRF check refuses (Fetch standard, 3.1).
REFERRER_POLICY = "same-origin"


def load_pages() -> None:
    """Have each app register its pages on the site, unless it has already done so."""
    autodiscover_modules("admin.rows", register_to=admin.site)


class StaffSite(FactorPages, UnfoldAdminSite):  # type: ignore[misc]
    """A site on which only models of settings.ADMIN_MODELS_OF have pages.

    Other packages' models have none: dj-stripe's would show API keys, and allow events to be edited.
    """

    login_form = StaffSignInForm
    index_title = "Overview"

    def register(
        self, model_or_iterable: type[Model] | Iterable[type[Model]], admin_class: Any = None, **options: Any
    ) -> None:
        models = [model_or_iterable] if isinstance(model_or_iterable, ModelBase) else list(model_or_iterable)
        ours = [model for model in models if model._meta.app_label in settings.ADMIN_MODELS_OF]  # noqa: SLF001
        super().register(ours, admin_class, **options)

    def admin_view(self, view: View, cacheable: bool = False) -> View:  # noqa: FBT001, FBT002 -- Django's signature
        return _without_nul(_with_referrer(super().admin_view(view, cacheable)))

    def get_urls(self) -> list[URLPattern]:
        load_pages()
        return [*self.factor_urls(), *super().get_urls()]

    def has_permission(self, request: HttpRequest) -> bool:
        """Return whether this is active staff whose session has shown a factor that they still have."""
        return bool(super().has_permission(request)) and sign_in.passed(request)

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        if request.method == "GET" and self.has_permission(request):
            return HttpResponseRedirect(reverse("admin:index"))
        context = {
            **self.each_context(request),
            "title": "Log in",
            "subtitle": None,
            "app_path": request.get_full_path(),
            "username": "",
            **({} if REDIRECT_FIELD_NAME in request.GET else {REDIRECT_FIELD_NAME: reverse("admin:index")}),
            **(extra_context or {}),
        }
        response: Any = PasswordStep.as_view(
            extra_context=context, authentication_form=self.login_form, template_name="admin/login.html"
        )(request)
        if isinstance(response, TemplateResponse) and response.context_data:
            _answer_as_refused(response, getattr(response.context_data.get("form"), "refusal", None))
        response.headers["Referrer-Policy"] = REFERRER_POLICY
        answer: HttpResponse = response
        return answer

    def logout(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        if request.method == "POST":
            sign_in.sign_out(request)
        response: HttpResponse = super().logout(request, extra_context)
        return response


def _with_referrer(view: View) -> View:
    @wraps(view)
    def answer(*args: Any, **options: Any) -> HttpResponse:
        response = view(*args, **options)
        response.headers["Referrer-Policy"] = REFERRER_POLICY
        return response

    return answer


def _without_nul(view: View) -> View:
    """Refuse NUL, which no column contains and PostgreSQL does not accept in a query. Lists answer 400."""

    @wraps(view)
    def answer(request: HttpRequest, *args: Any, **options: Any) -> HttpResponse:
        if any("\0" in text for name, texts in request.GET.lists() for text in (name, *texts)):
            raise BadRequest
        return view(request, *args, **options)

    return answer


def stale_form(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Answer a form whose CSRF token is outdated because a sign-in in another tab created a new one.

    The sign-in pages start again, with their original destination. Other pages, and forms from other sites, get 403.
    """
    signing_in = {reverse(f"admin:{name}") for name in ("login", "factor")}
    if "incorrect" in reason and request.path in signing_in:
        asked = request.POST.get(REDIRECT_FIELD_NAME) or request.GET.get(REDIRECT_FIELD_NAME)
        query = f"?{urlencode({REDIRECT_FIELD_NAME: asked})}" if asked else ""
        return HttpResponseRedirect(f"{request.path}{query}")
    response = TemplateResponse(request, "admin/stale.html", {"title": "Reload this page"}, status=403)
    response.headers["Referrer-Policy"] = REFERRER_POLICY
    return response.render()


def _answer_as_refused(response: HttpResponse, refusal: RateLimited | ServiceUnavailable | None) -> None:
    """Set the status for programs that the page shows to people: 429 or 503, with Retry-After."""
    if refusal is not None:
        response.status_code = refusal.status_code
        response.headers["Retry-After"] = str(refusal.retry_after or 1)
