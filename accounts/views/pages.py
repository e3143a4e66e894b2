"""The pages that mailed links lead to where there is no front end: plain HTML, no script, nothing from elsewhere."""

import secrets
from typing import Any

from django.conf import settings
from django.http import HttpResponse
from django.template.loader import render_to_string
from rest_framework.request import Request

from accounts.errors import Problem

FORM = "application/x-www-form-urlencoded"


def is_form(request: Request) -> bool:
    """Whether the request came from one of our pages, and is answered with a page."""
    return bool(request.content_type.partition(";")[0].strip().lower() == FORM)


def refusal(problem: Problem) -> HttpResponse:
    """The page for a form that was refused."""
    status, detail = problem.status_code, problem.detail
    response = page("refused", status=status, service=settings.SERVICE_NAME, detail=detail)
    if problem.retry_after is not None:
        response.headers["Retry-After"] = str(problem.retry_after)
    return response


def page(template: str, *, status: int = 200, **context: Any) -> HttpResponse:
    """The only thing that a page may load is its own style; the only place its form may go to is this service."""
    nonce = secrets.token_urlsafe(16)
    response = HttpResponse(
        render_to_string(f"pages/{template}.html", {**context, "nonce": nonce}), status=status
    )
    response.headers["Content-Security-Policy"] = (
        f"default-src 'none'; style-src 'nonce-{nonce}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
    response.headers["Cache-Control"] = "no-store"
    return response
