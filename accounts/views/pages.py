"""The pages for mailed links where there is no front end: plain HTML, no script, nothing from other hosts.

They use the browser's language if there is a catalogue for it. The API uses English.
"""

import secrets
from typing import Any

import msgspec
from django.conf import settings
from django.http import HttpResponse
from django.template.loader import render_to_string
from django.utils import translation
from django.utils.cache import patch_vary_headers
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop
from django.utils.translation.trans_real import parse_accept_lang_header
from rest_framework.request import Request

from accounts.errors import TokenInvalid
from accounts.kit import brand
from accounts.mail.terms import terms
from accounts.tiers import PublicEndpoint

FORM = "application/x-www-form-urlencoded"

# The refusals of forms, for translation; %(number)s is the setting that the code is about.
REFUSALS = {
    "token_invalid": gettext_noop("The link or code is no longer valid. Request a new one."),
    "rate_limited": gettext_noop("Too many attempts. Try again later."),
    "service_unavailable": gettext_noop("The service is temporarily unavailable. Try again."),
    "validation_error": gettext_noop("Something you typed is not valid. Go back and check it."),
    "unknown_field": gettext_noop("Something you typed is not valid. Go back and check it."),
    "bad_request": gettext_noop("Something you typed is not valid. Go back and check it."),
    "password_too_short": gettext_noop("Use at least %(number)d characters."),
    "password_too_long": gettext_noop("Use at most %(number)d characters."),
    "password_too_common": gettext_noop("This password is on lists that attackers try first."),
    "password_breached": gettext_noop("This password was in a data breach. Choose another one."),
    "password_too_similar": gettext_noop(
        "This is too close to your address, your name or this service's name."
    ),
}


def is_form(request: Request) -> bool:
    """Return whether the request came from one of our pages, and gets a page in response."""
    return bool(request.content_type.partition(";")[0].strip().lower() == FORM)


def words_for(code: str, detail: str) -> str:
    """Return the refusal in the active language, or the API's own text if there is no translation for its code."""
    number = settings.PASSWORD_MIN_LENGTH if code == "password_too_short" else settings.PASSWORD_MAX_LENGTH
    return _(REFUSALS[code]) % {"number": number} if code in REFUSALS else detail


class PageEndpoint(PublicEndpoint):
    """Serves a page whose form posts back to it; a refused form gets a page too."""

    takes_forms = True

    def handle_exception(self, exc: Exception) -> Any:
        """Render the exception as everywhere; a form gets a page that says the same."""
        answer = super().handle_exception(exc)
        return _refusal(self.request, answer) if is_form(self.request) else answer


def _refusal(request: Request, answer: HttpResponse) -> HttpResponse:
    problem = msgspec.json.decode(answer.content)
    with translation.override(language_of(request)):
        detail = words_for(problem["code"], problem["detail"])
    response = page(
        request,
        "refused",
        status=answer.status_code,
        service=settings.SERVICE_NAME,
        detail=detail,
        is_about_link=problem["code"] == TokenInvalid.default_code,
    )
    for name in ("Retry-After", "Allow"):
        if name in answer.headers:
            response.headers[name] = answer.headers[name]
    return response


def page(request: Request, template: str, *, status: int = 200, **context: Any) -> HttpResponse:
    """Render a page that may load only its own style, icon and logo, and submit its form only to this service."""
    nonce = secrets.token_urlsafe(16)
    with translation.override(language_of(request)):
        text = render_to_string(
            f"pages/{template}.html", {**brand.context(), **terms(), **context, "nonce": nonce}
        )
    response = HttpResponse(text, status=status)
    response.headers["Content-Security-Policy"] = (
        f"default-src 'none'; style-src 'nonce-{nonce}'; img-src {brand.image_sources()}; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
    response.headers["Cache-Control"] = "no-store"
    patch_vary_headers(response, ["Accept-Language"])
    return response


def language_of(request: Request) -> str:
    """Return the first language of Accept-Language that has a catalogue; a region (`de-AT`) uses its language's."""
    wanted = parse_accept_lang_header(request.META.get("HTTP_ACCEPT_LANGUAGE", "").lower())
    languages = (tag.partition("-")[0] for tag, _quality in wanted)
    return next((language for language in languages if language in settings.MAIL_LANGUAGES), "en")
