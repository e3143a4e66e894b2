"""Passwords: a forgotten one, a new one by the mailed link, and a change by a signed-in user."""

from typing import Annotated

from django.conf import settings
from django.http import HttpResponse
from django.utils import translation
from msgspec import Meta

from accounts import passwords, tiers
from accounts.errors import ReauthenticationFailed, ReauthenticationRequired, TokenInvalid
from accounts.kit.client import client_of
from accounts.kit.documentation import documented
from accounts.kit.problems import ValidationFailed
from accounts.kit.responses import Response
from accounts.mail import tokens
from accounts.mail.tokens import Purpose
from accounts.sign_in import password_change, password_reset
from accounts.tiers import PublicRequest, UserRequest, VerifiedEndpoint
from accounts.views.answers import EMAIL, LINK_EXAMPLE, Detail
from accounts.views.pages import PageEndpoint, is_form, language_of, page, words_for

REQUESTED = Detail("If this address has an account, we have sent an email to it. Follow the link in it.")
NewPassword = Annotated[str, Meta(description=passwords.LENGTHS)]


class PasswordResetRequest(PageEndpoint):
    limits = {"POST": ("password_reset_request", "mail_requests")}

    class Body(tiers.Body):
        email: str

    @documented("Show the page to request a password reset", answer=str, example="<!doctype html>...")
    def get(self, request: PublicRequest) -> HttpResponse:
        """An HTML page with a form to request the email."""
        return page(request, "password_reset_request", service=settings.SERVICE_NAME)

    @documented(
        "Request a password reset",
        answer=Detail,
        status=202,
        example={"detail": REQUESTED.detail},
        has_pages=True,
        body_example={"email": EMAIL},
    )
    def post(self, request: PublicRequest) -> HttpResponse:
        """Emails a link to set a new password if the address has an account. The response is always the same."""
        password_reset.request(email=request.data.email, client=client_of(request))
        if is_form(request):
            return page(request, "password_reset_requested", status=202, service=settings.SERVICE_NAME)
        return Response(REQUESTED, 202)


class PasswordReset(PageEndpoint):
    limits = {"POST": ("password_reset",)}

    class Query(tiers.Query):
        token: str = ""

    class Body(tiers.Body):
        token: str
        new_password: NewPassword

    @documented("Show the page to set a new password", answer=str, example="<!doctype html>...")
    def get(self, request: PublicRequest) -> HttpResponse:
        """An HTML page whose form takes the new password. Opening it changes nothing: mail scanners open links."""
        token = self.query(request).token
        if tokens.user_of_used(token, Purpose.RESET):
            return _done(request, again=True)
        return _form(request, token)

    @documented(
        "Set a new password",
        status=204,
        has_pages=True,
        body_example={"token": LINK_EXAMPLE, "new_password": "a sentence that only I know"},
        problems=(TokenInvalid,),
    )
    def post(self, request: PublicRequest) -> HttpResponse:
        """Uses up the emailed link. Every session ends, and the address counts as verified; second factors stay.

        If the password is refused, the link still works. A submitted form is answered with a page.
        """
        body = request.data
        try:
            password_reset.reset(token=body.token, new_password=body.new_password, client=client_of(request))
        except ValidationFailed as problem:
            if is_form(request):
                return _form(request, body.token, status=400, faults=problem.extra["errors"])
            raise
        except TokenInvalid:
            if is_form(request) and tokens.user_of_used(body.token, Purpose.RESET):
                return _done(request, again=True)
            raise
        if is_form(request):
            return _done(request, again=False)
        return Response(status=204)


def _done(request: PublicRequest, *, again: bool) -> HttpResponse:
    return page(request, "password_was_reset", service=settings.SERVICE_NAME, again=again)


class ChangePassword(VerifiedEndpoint):
    limits = {"POST": ("change_password", "wrong_proofs")}

    class Body(tiers.Body):
        new_password: NewPassword
        current_password: Annotated[
            str | None,
            Meta(description="Omit it if the account has no password; the sign-in must then be recent."),
        ] = None

    @documented(
        "Change your password",
        status=204,
        body_example={
            "current_password": "a sentence that only I know",
            "new_password": "another sentence that only I know",
        },
        problems=(ReauthenticationFailed, ReauthenticationRequired),
    )
    def post(self, request: UserRequest) -> Response:
        """Every other session ends; this one stays. Ten wrong passwords cause a pause."""
        body = request.data
        password_change.change(
            request.auth,
            current_password=body.current_password,
            new_password=body.new_password,
            client=client_of(request),
        )
        return Response(status=204)


def _form(
    request: PublicRequest, token: str, *, status: int = 200, faults: list[dict[str, str]] | None = None
) -> HttpResponse:
    with translation.override(language_of(request)):
        least = words_for("password_too_short", "")
        refusals = [words_for(fault["code"], fault["detail"]) for fault in faults or []]
    return page(
        request,
        "password_reset",
        status=status,
        service=settings.SERVICE_NAME,
        token=token,
        account=password_reset.account_behind(token),
        least=least,
        min_length=settings.PASSWORD_MIN_LENGTH,
        faults=refusals,
    )
