"""The page of the link that stops the removal of second factors that staff have scheduled."""

from django.conf import settings
from django.http import HttpResponse

from accounts.errors import TokenInvalid
from accounts.factors import resets
from accounts.kit.documentation import documented
from accounts.mail.tokens import Purpose
from accounts.tiers import PublicRequest
from accounts.views.address import Address, LinkEndpoint
from accounts.views.answers import EMAIL, LINK_EXAMPLE
from accounts.views.pages import page


class CancelMFAReset(LinkEndpoint):
    limits = {"POST": ("cancel_mfa_reset",)}
    purpose = Purpose.KEEP_FACTORS

    @documented("Show the page to keep the second factor", answer=str, example="<!doctype html>...")
    def get(self, request: PublicRequest) -> HttpResponse:
        """An HTML page whose button keeps the factors. Opening it changes nothing: mail scanners open links."""
        return page(
            request, "cancel_mfa_reset", service=settings.SERVICE_NAME, token=self.query(request).token
        )

    @documented(
        "Keep the second factor",
        answer=Address,
        example={"email": EMAIL},
        body_example={"token": LINK_EXAMPLE},
        problems=(TokenInvalid,),
        has_pages=True,
    )
    def post(self, request: PublicRequest) -> HttpResponse:
        """Cancels staff's pending removal of all second factors. A submitted form is answered with a page."""
        return self.answer(request, resets.keep, done="mfa_reset_cancelled")
