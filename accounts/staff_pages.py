"""Pages of the admin before anyone is signed in: the second step, and enrolling the first factor by a link."""

from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.safestring import mark_safe
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_variables

from accounts import factors
from accounts.admin import sign_in
from accounts.errors import InvalidCredentials, MFATokenInvalid, TokenInvalid
from accounts.factors.proofs import FactorWrong
from accounts.kit.client import client_of
from accounts.kit.problems import Problem

WRONG = "This is not right, or was used before. Use the newest code."
LONGEST = 20_000


class FactorPages:
    """Mixed into the site. None of them is behind `admin_view`: that is for who is signed in."""

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
                return HttpResponseRedirect(sign_in.finish(request, **sent))
        except FactorWrong:
            problem = WRONG
        except MFATokenInvalid:
            return HttpResponseRedirect(reverse("admin:login"))
        except Problem as refusal:
            return self._refused(request, refusal)
        return self._ask(request, problem)

    def _ask(self, request: HttpRequest, problem: str | None) -> HttpResponse:
        try:
            token = sign_in.waiting(request)
        except MFATokenInvalid:
            return HttpResponseRedirect(reverse("admin:login"))
        names = factors.names_of(token.user_id)
        options = sign_in.passkey_options(token) if "passkey" in names else ""
        context = {"title": "Second step", "problem": problem, "names": names, "options": options}
        return self._page(request, "admin/accounts/factor.html", context)

    @sensitive_variables()
    def enrol_page(self, request: HttpRequest) -> HttpResponse:
        """A link that is opened changes nothing; its forms do."""
        text = str(request.POST.get("token") or request.GET.get("token") or "")
        context: dict[str, Any] = {"title": "Second factor", "token": text}
        try:
            _, user = sign_in.enrolling(text)
            if request.method == "POST" and "password" in request.POST:
                context["shown"] = self._begin(request, user)
            elif request.method == "POST":
                context["codes"] = sign_in.confirm(request, text, request.POST.get("code", "")[:64])
        except FactorWrong:
            context |= {"problem": WRONG, "retry": True}
        except (TokenInvalid, InvalidCredentials) as refusal:
            context["problem"] = str(refusal.detail)
        except Problem as refusal:
            return self._refused(request, refusal)
        return self._page(request, "admin/accounts/enrol.html", context)

    def _begin(self, request: HttpRequest, user: Any) -> dict[str, str]:
        from accounts.admin.site import staff_member  # the site mixes this class in

        staff = staff_member(
            email=user.email, password=request.POST.get("password", "")[:1024], client=client_of(request)
        )
        shown = sign_in.show(request, staff)
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
