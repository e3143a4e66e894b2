"""The page of a request that a second member of staff decides, and `<request>/decide/` for those who may.

The model's admin defines which rows there are, and what approving one does.
"""

import uuid
from typing import Any, ClassVar

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from accounts.admin.orders import staff_id
from accounts.approvals import Decision, DecisionRefused
from accounts.kit.problems import Problem


class DecisionPages:
    """A mixin for the admin of a model of requests (accounts/approvals.py). Only decisions change its rows."""

    admin_site: Any
    model: Any
    opts: Any
    get_object: Any
    has_view_permission: Any
    decision_title: ClassVar[str]
    decision_permission: ClassVar[str]
    decision_template: ClassVar[str]
    decision_url: ClassVar[str]  # the name of its URL

    def explain_problem(self, problem: Problem) -> str:
        return str(problem.detail)

    def approve(self, request_id: uuid.UUID, staff_id: uuid.UUID) -> str:
        """Approve and carry out the request, and return a message for staff.

        Raise DecisionRefused, or a Problem if the request stays open.
        """
        raise NotImplementedError

    def refuse(self, request_id: uuid.UUID, staff_id: uuid.UUID) -> str:
        raise NotImplementedError

    def is_open(self, asked: Any) -> bool:
        """Return whether there is something left to decide or to resume."""
        return bool(asked.decision == Decision.PENDING)

    def decision_context(self, asked: Any) -> dict[str, Any]:
        return {}

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.decide)
        here = path("<id:request_id>/decide/", view, name=self.decision_url)
        return [here, *super().get_urls()]  # type: ignore[misc]

    def decide(self, request: HttpRequest, request_id: uuid.UUID) -> HttpResponse:
        if request.method != "POST" or not request.user.has_perm(self.decision_permission):
            raise PermissionDenied
        if not self.model.objects.filter(pk=request_id).exists():
            raise Http404
        decision = self.approve if request.POST.get("decision") == "approve" else self.refuse
        try:
            messages.success(request, decision(request_id, staff_id(request)))
        except Problem as problem:
            reason = self.explain_problem(problem)
            messages.error(request, f"Not approved; the request stays open: {reason}")
        except DecisionRefused as refusal:
            messages.error(request, str(refusal))
        page = f"admin:{self.opts.app_label}_{self.opts.model_name}_change"
        return HttpResponseRedirect(reverse(page, args=[request_id]))

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **options: Any) -> HttpResponse:
        if request.method not in {"GET", "HEAD"} or not self.has_view_permission(request):
            raise PermissionDenied
        asked = self.get_object(request, object_id)
        if asked is None:
            raise Http404
        concerned = staff_id(request) in {asked.requested_by_id, asked.user_id}
        open_ = self.is_open(asked)
        context = {
            **self.admin_site.each_context(request),
            "title": self.decision_title,
            "subtitle": str(asked.user),
            "opts": self.opts,
            "original": asked,
            "asked": asked,
            "own": concerned and open_,
            "may_decide": open_ and not concerned and request.user.has_perm(self.decision_permission),
            **self.decision_context(asked),
        }
        return TemplateResponse(request, self.decision_template, context)
