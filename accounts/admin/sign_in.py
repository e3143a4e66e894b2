"""Sign in to the admin: the password, the second step, and their pages.

Until the second step nobody is signed in; the session only knows which half sign-in it is waiting for. Staff without a
factor enrol one with their password and a one-time link from `manage.py staff_enrol`, and in no other way.
"""

import json
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.auth import login as django_login
from django.contrib.auth.views import LoginView
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.safestring import mark_safe
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_variables
from unfold.forms import AuthenticationForm

from accounts import factors
from accounts.errors import InvalidCredentials, MFATokenInvalid, TokenInvalid
from accounts.factors import changes, proofs, totp
from accounts.factors import passkeys as passkey_rows
from accounts.factors.proofs import FactorWrong
from accounts.kit import email_address, typed_codes
from accounts.kit.client import Client, client_of
from accounts.kit.problems import Problem, RateLimited, ServiceUnavailable
from accounts.mail import tokens
from accounts.mail.tokens import Purpose
from accounts.models import MFAToken, User
from accounts.sessions import of_staff
from accounts.sessions.of_staff import LISTENER
from accounts.sign_in import admission, by_factor, by_password, half_sign_ins, staff_enrolment, tries

HALF, NEXT, FACTOR, ENROLLING = "half_sign_in", "half_sign_in_next", "factor", "enrolling"
ROW = "session"  # the id of the row that decides whether this session is live
BACKEND = "django.contrib.auth.backends.ModelBackend"
WRONG = "This code is incorrect or was already used. Use the newest one."
LONGEST = 20_000


@admission.metered("admin", done="mfa_required")
def staff_member(*, email: str, password: str, client: Client) -> User:
    """Return the active member of staff with this address and password.

    Attempts here have their own limits, so that attempts at POST /v1/auth/login cannot lock staff out. Raise
    InvalidCredentials (whatever is wrong), RateLimited or ServiceUnavailable.
    """
    address = email_address.normalize(email)
    with tries.counted(address, client, tries.ADMIN) as one:
        user, _ = by_password.who_knows(
            address, password, client, one, may=lambda user: user.is_staff and user.is_active, detail=LISTENER
        )
        return user


class StaffSignInForm(AuthenticationForm):  # type: ignore[misc]
    """Django's form for the admin, calling `staff_member` instead of the authentication backends."""

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
    """Django's sign-in page, which does not sign anyone in: the second step does."""

    next_page = "admin:index"  # unless another page was requested

    def form_valid(self, form: Any) -> HttpResponse:
        begin(self.request, form.get_user(), next_page=self.get_success_url())
        return HttpResponseRedirect(reverse("admin:factor"))


def begin(request: HttpRequest, user: User, *, next_page: str) -> None:
    """Start the second step, after a correct password."""
    token = half_sign_ins.begin(user, methods=["pwd"], cancel_deletion=False, door=MFAToken.Door.ADMIN)
    request.session.cycle_key()
    request.session[HALF], request.session[NEXT] = str(token.pk), next_page


def waiting(request: HttpRequest) -> MFAToken:
    """Return this browser's half sign-in. Raise MFATokenInvalid."""
    text = request.session.get(HALF)
    token = half_sign_ins.live(door=MFAToken.Door.ADMIN).filter(pk=UUID(text)).first() if text else None
    if token is None or not half_sign_ins.is_of(token, token.user):
        raise MFATokenInvalid
    return token


def passkey_options(token: MFAToken) -> str:
    return json.dumps(passkey_rows.second_factor_options(token))


@admission.metered("admin")
def finish(request: HttpRequest, *, code: str, credential: str) -> str:
    """Sign in, and return where to go next. Raise MFATokenInvalid, FactorWrong or RateLimited."""
    token = waiting(request)
    client = client_of(request)
    proof = by_factor.proof_of(
        token, code=code, credential=_parsed(credential) if credential else None, client=client
    )

    def attempt() -> tuple[User, Any] | None:
        if not half_sign_ins.count_try(token):
            raise MFATokenInvalid
        return _take(token, proof, client)

    user, factor = proofs.judged(token.user, attempt, client=client, guessable=not credential)
    next_page = str(request.session.get(NEXT) or reverse("admin:index"))
    let_in(request, user, factor)
    return next_page


@transaction.atomic
def _take(token: MFAToken, proof: by_factor.Proof, client: Client) -> tuple[User, Any] | None:
    user = User.objects.locked().get(pk=token.user_id)
    row = proof(user)
    if row is None:
        half_sign_ins.require_unused(token)
        return None
    if not (user.is_staff and user.is_active) or not half_sign_ins.use(token, user):
        raise MFATokenInvalid
    by_factor.note_use(user, row, client=client)
    return user, row


def let_in(request: HttpRequest, user: User, factor: Any) -> None:
    """Open the session under a new key; it lasts as long as its row and the factor that opened it.

    Raise MFATokenInvalid if the account has changed since it was checked.
    """
    methods = factors.with_factor(["pwd"], factor.type)
    row_id = of_staff.open_row(user, methods=methods, client=client_of(request))
    if row_id is None:
        raise MFATokenInvalid
    request.session.cycle_key()
    for name in (HALF, NEXT, ENROLLING):
        request.session.pop(name, None)
    django_login(request, user, backend=BACKEND)
    request.session[FACTOR], request.session[ROW] = factor.pk, str(row_id)


def sign_out(request: HttpRequest) -> None:
    """End this session's row."""
    row_id, user = request.session.get(ROW), request.user
    if row_id and isinstance(user, User):
        of_staff.sign_out(UUID(row_id), user.pk, client=client_of(request))


def passed(request: HttpRequest) -> bool:
    """Return whether this session is live and has shown a factor that its user still has; checked once per request."""
    if not hasattr(request, "_factor_passed"):
        factor_id, row_id, user = request.session.get(FACTOR), request.session.get(ROW), request.user
        found = (
            isinstance(user, User)
            and bool(factor_id and row_id)
            and factors.of(user.pk).filter(pk=factor_id).exists()
            and of_staff.use(UUID(row_id), user.pk)
        )
        request._factor_passed = found  # type: ignore[attr-defined]  # noqa: SLF001 -- our own attribute
    return bool(request._factor_passed)  # type: ignore[attr-defined]  # noqa: SLF001


# ---------------------------------------------------------------- the first factor


def show(request: HttpRequest, user: User) -> totp.Shown:
    """Return a new secret for this browser, once the password was correct as well."""
    request.session.cycle_key()
    request.session[ENROLLING] = str(user.pk)
    return totp.begin_totp(user, session_id=None)


def confirm(request: HttpRequest, text: str, code: str) -> list[str]:
    """Use up the link and sign in; return the recovery codes. Raise TokenInvalid, FactorWrong or RateLimited."""
    token_id, user = staff_enrolment.enrolling(text)
    if request.session.get(ENROLLING) != str(user.pk):
        raise TokenInvalid
    client = client_of(request)

    @transaction.atomic
    def attempt() -> list[str] | None:
        held = User.objects.locked().get(pk=user.pk)
        codes = changes.confirm_first_totp(held, code, client=client)
        if codes is not None and not tokens.use(token_id, Purpose.STAFF_ENROL):
            raise TokenInvalid
        return codes

    codes = proofs.judged(user, attempt, client=client, is_own=False)
    let_in(request, user, factors.of(user.pk, factors.Type.TOTP).get())
    return codes


def _parsed(credential: str) -> dict[str, Any]:
    """Return the JSON object; anything else proves as little as an empty one."""
    try:
        value = json.loads(credential)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


# ---------------------------------------------------------------- pages


class FactorPages:
    """A mixin for the site. Its pages are not behind `admin_view`, which is for signed-in users."""

    each_context: Any

    def factor_urls(self) -> list[URLPattern]:
        return [
            path("factor/", never_cache(self.factor_page), name="factor"),
            path("enrol/", never_cache(self.enrol_page), name="enrol"),
        ]

    @sensitive_variables()
    def factor_page(self, request: HttpRequest) -> HttpResponse:
        problem = None
        try:
            if request.method == "POST":
                sent = {name: request.POST.get(name, "")[:LONGEST] for name in ("code", "credential")}
                return HttpResponseRedirect(finish(request, **sent))
        except FactorWrong:
            problem = WRONG
        except MFATokenInvalid:
            return HttpResponseRedirect(reverse("admin:login"))
        except Problem as refusal:
            return self._refused(request, refusal)
        return self._ask(request, problem)

    def _ask(self, request: HttpRequest, problem: str | None) -> HttpResponse:
        try:
            token = waiting(request)
        except MFATokenInvalid:
            return HttpResponseRedirect(reverse("admin:login"))
        names = factors.names_of(token.user_id)
        options = passkey_options(token) if "passkey" in names else ""
        context = {"title": "Second step", "problem": problem, "names": names, "options": options}
        return self._page(request, "admin/accounts/factor.html", context)

    @sensitive_variables()
    def enrol_page(self, request: HttpRequest) -> HttpResponse:
        """Show the enrolment. Opening the link changes nothing; its forms do. A dead link asks for nothing."""
        text = str(request.POST.get("token") or request.GET.get("token") or "")
        context: dict[str, Any] = {"title": "Second factor", "token": text}
        try:
            _, user = staff_enrolment.enrolling(text)
        except TokenInvalid:
            return self._page(request, "admin/accounts/enrol.html", {**context, "dead": True})
        try:
            if request.method == "POST" and "password" in request.POST:
                context["shown"] = self._begin(request, user)
            elif request.method == "POST":
                codes = confirm(request, text, request.POST.get("code", "")[:64])
                context["codes"] = [typed_codes.grouped(code) for code in codes]
        except FactorWrong:
            context |= {"problem": WRONG, "retry": True}
        except (TokenInvalid, InvalidCredentials) as refusal:
            context["problem"] = str(refusal.detail)
        except Problem as refusal:
            return self._refused(request, refusal)
        return self._page(request, "admin/accounts/enrol.html", context)

    def _begin(self, request: HttpRequest, user: Any) -> dict[str, str]:
        staff = staff_member(
            email=user.email, password=request.POST.get("password", "")[:1024], client=client_of(request)
        )
        shown = show(request, staff)
        picture = shown.qr_svg[shown.qr_svg.index("<svg") :]
        return {"secret": shown.secret, "picture": mark_safe(picture)}  # noqa: S308 -- drawn by us

    def _refused(self, request: HttpRequest, refusal: Problem) -> HttpResponse:
        context = {"title": "Second step", "problem": str(refusal.detail), "names": []}
        response = self._page(request, "admin/accounts/factor.html", context)
        response.status_code = refusal.status_code
        response.headers["Retry-After"] = str(refusal.retry_after or 1)
        return response

    def _page(self, request: HttpRequest, template: str, context: dict[str, Any]) -> HttpResponse:
        response = TemplateResponse(request, template, {**self.each_context(request), **context})
        response.headers["Referrer-Policy"] = "same-origin"
        return response
