"""Changes of the account's address: requested, confirmed by the new mailbox, undone by the old one."""

from collections.abc import Callable
from typing import ClassVar

import msgspec
from django.conf import settings
from django.http import HttpResponse

from accounts import tiers
from accounts.errors import TokenInvalid
from accounts.identity import address_change
from accounts.kit.client import Client, client_of
from accounts.kit.documentation import documented
from accounts.kit.problems import ValidationFailed
from accounts.kit.responses import Response
from accounts.mail import tokens
from accounts.mail.terms import MINUTE, in_units
from accounts.mail.tokens import Purpose
from accounts.models import User
from accounts.tiers import PublicRequest, UserRequest, VerifiedEndpoint
from accounts.views.answers import EMAIL, LINK_EXAMPLE, Detail
from accounts.views.pages import PageEndpoint, is_form, page

WITHIN = in_units(tokens.LIFETIMES[Purpose.CHANGE_EMAIL], MINUTE)
REQUESTED = Detail(
    f"We have sent an email to the new address. Follow the link in it within {WITHIN} minutes."
)


class ChangeEmail(VerifiedEndpoint):
    limits = {"POST": ("change_email",)}
    needs_recent_sign_in = True

    class Body(tiers.Body):
        new_email: str

    @documented(
        "Change your email address",
        answer=Detail,
        status=202,
        example={"detail": REQUESTED.detail},
        body_example={"new_email": "ada@example.org"},
        problems=(ValidationFailed,),
    )
    def post(self, request: UserRequest) -> Response:
        """Emails the new address a link that confirms the change, and the old one a notice with a link to cancel it.

        The response does not reveal whether the new address is taken. The change is void once this session ends.
        """
        address_change.request(request.auth, new_email=request.data.new_email, client=client_of(request))
        return Response(REQUESTED, 202)


class Address(msgspec.Struct):
    email: str


class LinkEndpoint(PageEndpoint):
    """Serves a mailed link: a page whose button posts the token, or a front end that posts it as JSON."""

    purpose: ClassVar[Purpose]

    class Query(tiers.Query):
        token: str = ""

    class Body(tiers.Body):
        token: str

    def _done_before(self, request: PublicRequest) -> User | None:
        """Return the user of a link that was already used, as after a second click."""
        return tokens.user_of_used(request.data.token, self.purpose)

    def answer(self, request: PublicRequest, use: Callable[..., User], *, done: str) -> HttpResponse:
        """Use up the link. A form is answered with the page `done`, or with one that says why not."""
        client: Client = client_of(request)
        try:
            user = use(request.data.token, client=client)
        except TokenInvalid:
            before = self._done_before(request) if is_form(request) else None
            if before is None:
                raise
            user = before
        if is_form(request):
            contested = user.contested_at is not None
            return page(request, done, service=settings.SERVICE_NAME, email=user.email, contested=contested)
        return Response(Address(user.email or ""))


class ConfirmEmailChange(LinkEndpoint):
    limits = {"POST": ("confirm_email_change",)}
    purpose = Purpose.CHANGE_EMAIL

    @documented("Show the page to confirm a new address", answer=str, example="<!doctype html>...")
    def get(self, request: PublicRequest) -> HttpResponse:
        """An HTML page whose button confirms the address. Opening it changes nothing: mail scanners open links."""
        return page(
            request,
            "confirm_email_change",
            service=settings.SERVICE_NAME,
            token=self.query(request).token,
            account=address_change.account_behind(self.query(request).token),
            days=address_change.UNDO_DAYS,
        )

    @documented(
        "Confirm a new address",
        answer=Address,
        example={"email": EMAIL},
        has_pages=True,
        body_example={"token": LINK_EXAMPLE},
        problems=(TokenInvalid,),
    )
    def post(self, request: PublicRequest) -> HttpResponse:
        """Switches the account to the new address and ends every session. A submitted form is answered with a page.

        Refused if the session that requested the change has ended, or the address has since been taken.
        """
        return self.answer(request, address_change.confirm, done="email_changed")


class UndoEmailChange(LinkEndpoint):
    limits = {"POST": ("undo_email_change",)}
    purpose = Purpose.UNDO_EMAIL

    @documented("Show the page to take the old address back", answer=str, example="<!doctype html>...")
    def get(self, request: PublicRequest) -> HttpResponse:
        """An HTML page whose button takes the address back. Opening it changes nothing: mail scanners open links."""
        return page(
            request, "undo_email_change", service=settings.SERVICE_NAME, token=self.query(request).token
        )

    @documented(
        "Take the old address back",
        answer=Address,
        example={"email": EMAIL},
        has_pages=True,
        body_example={"token": LINK_EXAMPLE},
        problems=(TokenInvalid,),
    )
    def post(self, request: PublicRequest) -> HttpResponse:
        """Cancels a pending change of address, or undoes a completed one within 7 days (by default), whatever else has
        changed since.

        Every session ends. Ways to sign in that were added since then, or in the week before, are removed, and a
        pending deletion is cancelled. The password becomes void, and a link to set a new one is emailed to the old
        address. If the new address was used to reset the password, nothing can be spent or bought until staff have
        decided (`account_contested`). A submitted form is answered with a page.
        """
        return self.answer(request, address_change.undo, done="address_restored")
