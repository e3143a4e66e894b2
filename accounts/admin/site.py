"""The admin's site: who may come in, and which pages exist."""

from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any

from django.conf import settings
from django.contrib.auth import REDIRECT_FIELD_NAME
from django.contrib.auth.views import LoginView
from django.core.exceptions import ValidationError
from django.db.models import Model
from django.db.models.base import ModelBase
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, reverse
from unfold.forms import AuthenticationForm
from unfold.sites import UnfoldAdminSite

from accounts import audit, passwords
from accounts.admin import sign_in
from accounts.audit import Event
from accounts.errors import InvalidCredentials
from accounts.kit import email_address
from accounts.kit.client import Client, client_of
from accounts.kit.problems import RateLimited, ServiceUnavailable
from accounts.models import User
from accounts.sign_in import admission, by_password
from accounts.staff_pages import FactorPages

LISTENER = {"listener": "admin"}
View = Callable[..., HttpResponse]
# Under `no-referrer` browsers send `Origin: null` with a form, which the CSRF check refuses (Fetch standard, 3.1).
REFERRER_POLICY = "same-origin"


@admission.metered("admin", done="mfa_required")
def staff_member(*, email: str, password: str, client: Client) -> User:
    """The active member of staff with this address and password.

    Tries count against the same limits as those at POST /v1/auth/login, so that this door gives nobody more of them.
    Raises InvalidCredentials (whatever is wrong), RateLimited, ServiceUnavailable.
    """
    address = email_address.normalize(email)
    with by_password.within_limits(address, client):
        user: User | None = User.objects.filter(email=address).first()
        verdict = passwords.verify(password, user.password if user is not None else None)
        if user is None or not verdict.right or not (user.is_staff and user.is_active):
            user_id = user.pk if user is not None else None
            audit.record(Event.SIGN_IN_FAILED, user_id=user_id, client=client, detail=LISTENER)
            raise InvalidCredentials
        return user


class StaffSignInForm(AuthenticationForm):  # type: ignore[misc]
    """Django's form for the admin, asking `staff_member` instead of the authentication backends."""

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = self.cleaned_data
        if len(data.get("password", "")) > settings.PASSWORD_MAX_LENGTH or "username" not in data:
            raise self.get_invalid_login_error()
        try:
            self.user_cache = staff_member(
                email=data["username"], password=data.get("password", ""), client=client_of(self.request)
            )
        except InvalidCredentials:
            raise self.get_invalid_login_error() from None
        except (RateLimited, ServiceUnavailable) as refusal:
            self.refusal = refusal
            raise ValidationError(str(refusal.detail), code=refusal.default_code) from None
        return data


class PasswordStep(LoginView):
    """Django's sign-in page, which signs nobody in: the second step does."""

    def form_valid(self, form: Any) -> HttpResponse:
        sign_in.begin(self.request, form.get_user(), next_page=self.get_success_url())
        return HttpResponseRedirect(reverse("admin:factor"))


class StaffSite(FactorPages, UnfoldAdminSite):  # type: ignore[misc]
    """Only models of settings.ADMIN_MODELS_OF have pages: those that packages bring (dj-stripe's would show API keys
    and let events be edited) have none."""

    login_form = StaffSignInForm

    def register(
        self, model_or_iterable: type[Model] | Iterable[type[Model]], admin_class: Any = None, **options: Any
    ) -> None:
        models = [model_or_iterable] if isinstance(model_or_iterable, ModelBase) else list(model_or_iterable)
        ours = [model for model in models if model._meta.app_label in settings.ADMIN_MODELS_OF]  # noqa: SLF001
        super().register(ours, admin_class, **options)

    def admin_view(self, view: View, cacheable: bool = False) -> View:  # noqa: FBT001, FBT002 -- Django's signature
        return _with_referrer(super().admin_view(view, cacheable))

    def get_urls(self) -> list[URLPattern]:
        return [*self.factor_urls(), *super().get_urls()]

    def has_permission(self, request: HttpRequest) -> bool:
        """Active staff whose session has shown a factor that they still have."""
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


def _with_referrer(view: View) -> View:
    @wraps(view)
    def answer(*args: Any, **options: Any) -> HttpResponse:
        response = view(*args, **options)
        response.headers["Referrer-Policy"] = REFERRER_POLICY
        return response

    return answer


def _answer_as_refused(response: HttpResponse, refusal: RateLimited | ServiceUnavailable | None) -> None:
    """The page says what is wrong to people, status and header to programs: 429 or 503, with Retry-After."""
    if refusal is not None:
        response.status_code = refusal.status_code
        response.headers["Retry-After"] = str(refusal.retry_after or 1)
