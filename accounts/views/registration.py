"""Registration, and confirmation of the address."""

from typing import Annotated

import msgspec
from django.conf import settings
from django.http import HttpResponse
from msgspec import Meta, structs

from accounts import passwords, tiers
from accounts.errors import TokenInvalid
from accounts.identity import refused_registration, signup
from accounts.kit.client import client_of
from accounts.kit.documentation import documented
from accounts.kit.problems import ValidationFailed
from accounts.kit.responses import Response
from accounts.mail import tokens as mail_tokens
from accounts.mail.terms import MINUTE, in_units
from accounts.mail.tokens import Purpose
from accounts.models import User
from accounts.tiers import PublicEndpoint, PublicRequest
from accounts.views.answers import EMAIL, LINK_EXAMPLE, Detail
from accounts.views.pages import PageEndpoint, is_form, page

OF_CODES = (
    f"{mail_tokens.CODE_LENGTH} letters, valid for "
    f"{in_units(mail_tokens.CODE_LIFETIMES[Purpose.VERIFY], MINUTE)} minutes and {mail_tokens.CODE_TRIES} tries."
)
REGISTERED = Detail("We have sent an email to this address. Follow the link in it.")
RESENT = Detail("If this address has not been confirmed yet, we have sent another email to it.")


class Register(PublicEndpoint):
    limits = {"POST": ("register",)}

    class Body(tiers.Body):
        email: str
        password: Annotated[str, Meta(description=passwords.LENGTHS)]
        display_name: str = ""
        locale: Annotated[str, Meta(description="Language of emails.")] = "en"

    @documented(
        "Sign up",
        answer=Detail,
        status=202,
        example={"detail": REGISTERED.detail},
        body_example={"email": EMAIL, "password": "a sentence that only I know", "display_name": "Ada"},
        problems=(ValidationFailed,),
    )
    def post(self, request: PublicRequest) -> Response:
        """Registers an address and emails it a link and a code to confirm it.

        The response is the same if the address is taken; its owner gets a notice instead.
        """
        body = request.data
        signup.register(
            email=body.email,
            password=body.password,
            display_name=body.display_name,
            locale=body.locale,
            client=client_of(request),
        )
        return Response(REGISTERED, 202)


class VerifiedEmail(msgspec.Struct):
    email: str
    email_verified: bool


class VerifyEmail(PageEndpoint):
    limits = {"POST": ("verify_email", "mail_codes")}

    class Query(tiers.Query):
        token: str = ""

    class Body(tiers.Body):
        token: Annotated[str | None, Meta(description="From the link. Send it, or `email` and `code`.")] = (
            None
        )
        email: str | None = None
        code: Annotated[str | None, Meta(description=OF_CODES)] = None

    @documented("Show the page to confirm an address", answer=str, example="<!doctype html>...")
    def get(self, request: PublicRequest) -> HttpResponse:
        """An HTML page whose button confirms the address. Opening it changes nothing: mail scanners open links."""
        return page(request, "verify_email", service=settings.SERVICE_NAME, token=self.query(request).token)

    @documented(
        "Confirm an address",
        answer=VerifiedEmail,
        example={"email": EMAIL, "email_verified": True},
        has_pages=True,
        body_example={"token": LINK_EXAMPLE},
        problems=(TokenInvalid,),
    )
    def post(self, request: PublicRequest) -> HttpResponse:
        """Uses up the emailed link (`token`) or code (`email` and `code`). A submitted form is answered with a page.

        If several people have registered the address, confirming it discards all their passwords, ends every session
        and emails a link to set a new one.
        """
        if not is_form(request):
            user = self._confirm(request)
            return Response(VerifiedEmail(user.email or "", email_verified=True))
        try:
            user = self._confirm(request)
        except TokenInvalid:
            before = signup.confirmed_before(**structs.asdict(request.data))
            if before is None:
                raise
            return _confirmed(request, before, again=True)
        return _confirmed(request, user, again=False)

    def _confirm(self, request: PublicRequest) -> User:
        body, client = request.data, client_of(request)
        if body.token is not None and body.email is None and body.code is None:
            return signup.confirm_by_link(body.token, client=client)
        if body.token is None and body.email is not None and body.code is not None:
            return signup.confirm_by_code(email=body.email, code=body.code, client=client)
        raise ValidationFailed(("token", "required", "Send `token`, or `email` and `code`."))


def _confirmed(request: PublicRequest, user: User, *, again: bool) -> HttpResponse:
    has_password = user.has_usable_password()
    return page(
        request, "email_verified", service=settings.SERVICE_NAME, has_password=has_password, again=again
    )


class RefuseRegistration(PageEndpoint):
    limits = {"POST": ("refuse_registration",)}

    class Query(tiers.Query):
        token: str = ""

    class Body(tiers.Body):
        token: str

    @documented("Show the page to refuse a registration", answer=str, example="<!doctype html>...")
    def get(self, request: PublicRequest) -> HttpResponse:
        """An HTML page whose button ends the registration. Opening it changes nothing."""
        return page(
            request, "refuse_registration", service=settings.SERVICE_NAME, token=self.query(request).token
        )

    @documented(
        "Refuse a registration",
        status=204,
        has_pages=True,
        body_example={"token": LINK_EXAMPLE},
        problems=(TokenInvalid,),
    )
    def post(self, request: PublicRequest) -> HttpResponse:
        """Ends the registration. An account that it created is erased, and the address is free again.

        If someone has signed in to the account, or it owns anything, it is closed instead and erased as if its owner
        had deleted it. A suspended account is left alone.
        """
        is_closed = refused_registration.refuse(request.data.token, client=client_of(request))
        if is_form(request):
            done = "account_disowned" if is_closed else "registration_refused"
            return page(request, done, service=settings.SERVICE_NAME)
        return Response(status=204)


class ResendVerification(PublicEndpoint):
    limits = {"POST": ("resend_verification", "mail_requests")}

    class Body(tiers.Body):
        email: str

    @documented(
        "Request another confirmation mail",
        answer=Detail,
        status=202,
        example={"detail": RESENT.detail},
        body_example={"email": EMAIL},
        problems=(ValidationFailed,),
    )
    def post(self, request: PublicRequest) -> Response:
        """Emails a new link and code if the address is not confirmed yet. The response is always the same."""
        signup.request_verification(email=request.data.email, client=client_of(request))
        return Response(RESENT, 202)
