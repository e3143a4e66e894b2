"""The OpenAPI document, a page to browse and try it, and the page that explains each problem code.

All assets are local and no page contains an inline script: the policy allows 'self' only.
"""

from typing import Any

from django.conf import settings
from django.http import HttpResponse
from django.template.loader import render_to_string
from django.urls import get_urlconf
from rest_framework.request import Request

from accounts.kit.documentation import documented
from accounts.kit.problems import title
from accounts.tiers import PublicEndpoint
from config.openapi import openapi
from config.problem_shapes import every_problem

# Swagger UI sets style attributes and draws its icons from data: URLs.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
START_SCRIPT = """\
window.addEventListener("load", () => {
  SwaggerUIBundle({ url: "/v1/schema", dom_id: "#docs", deepLinking: true, tryItOutEnabled: true });
});
"""


class DocsEndpoint(PublicEndpoint):
    mark = "docs"
    no_store = False
    schema = None  # not part of the document itself


class OpenAPIDocument(DocsEndpoint):
    @documented("Get the OpenAPI 3.1 document")
    def get(self, request: Request) -> HttpResponse:
        return HttpResponse(openapi(get_urlconf() or settings.ROOT_URLCONF), content_type="application/json")


class Docs(DocsEndpoint):
    @documented("Browse and try the API")
    def get(self, request: Request) -> HttpResponse:
        return _page("docs/index.html", {})


class DocsScript(DocsEndpoint):
    @documented("Script of the documentation page")
    def get(self, request: Request) -> HttpResponse:
        return HttpResponse(START_SCRIPT, content_type="text/javascript; charset=utf-8")


class Problems(DocsEndpoint):
    @documented("Problem codes and what they mean")
    def get(self, request: Request) -> HttpResponse:
        return _page("docs/problems.html", {"problems": all_problems()})


def _page(template: str, context: dict[str, Any]) -> HttpResponse:
    return HttpResponse(render_to_string(template, context), headers={"Content-Security-Policy": POLICY})


def all_problems() -> list[dict[str, Any]]:
    """Return each (status, code) that this process knows once, sorted by code."""
    return [
        {
            "code": kind.default_code,
            "title": title(kind.default_code),
            "status": kind.status_code,
            "detail": kind.default_detail,
        }
        for kind in every_problem()
    ]
