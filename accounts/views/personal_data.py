"""The data stored about the signed-in user: the account's activity, and everything at once."""

from datetime import datetime
from typing import Any

import msgspec
from django.http import StreamingHttpResponse
from django.http.response import HttpResponseBase

from accounts import audit
from accounts.audit import Event
from accounts.identity import export
from accounts.kit import throttles
from accounts.kit.client import client_of
from accounts.kit.documentation import documented
from accounts.kit.responses import Response
from accounts.models import AuditEvent
from accounts.tiers import UserRequest, VerifiedEndpoint
from accounts.views import answers


class ActivityItem(msgspec.Struct, kw_only=True):
    """Something that happened to the account, and the device it came from, if any."""

    type: str
    created_at: datetime
    ip: str | None
    user_agent: str


ACTIVITY_EXAMPLE = {
    "type": "signed_in",
    "created_at": "2026-11-23T10:00:00Z",
    "ip": "203.0.113.7",
    "user_agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
}


class MyActivity(VerifiedEndpoint):
    @documented("List your activity", answer=ActivityItem, paged=True, example=ACTIVITY_EXAMPLE)
    def get(self, request: UserRequest) -> Response:
        """Lists sign-ins, including failed ones, and changes to the account, newest first."""
        page: Response = self.pages.page(
            AuditEvent.objects.filter(user=request.user.pk),
            request,
            order=("-created_at", "-id"),
            bound_to={"user": request.user.pk},
            render=activity_item,
        )
        return page


def activity_item(event: AuditEvent) -> ActivityItem:
    return ActivityItem(
        type=event.type, created_at=event.created_at, ip=event.ip, user_agent=event.user_agent
    )


class PersonalData(msgspec.Struct, kw_only=True):
    """Everything stored about a user. More sections may be added. Credits are newest first; the rest is unordered."""

    user: dict[str, Any]
    registrations: list[dict[str, Any]]
    address_changes: list[dict[str, Any]]
    sessions: list[dict[str, Any]]
    activity: list[dict[str, Any]]
    credit_balance: list[dict[str, Any]]
    credit_transactions: list[dict[str, Any]]
    subscriptions: list[dict[str, Any]]


class MyData(VerifiedEndpoint):
    limits = {"GET": ("export",)}
    needs_recent_sign_in = True

    @documented(
        "Export your data",
        answer=PersonalData,
        example={
            "user": {"id": answers.USER_ID, "email": answers.EMAIL, "display_name": "Ada"},
            "registrations": [],
            "address_changes": [],
            "sessions": [],
            "activity": [{"type": "signed_in", "created_at": "2026-11-23T10:00:00Z", "ip": "203.0.113.7"}],
            "credit_balance": [{"user_id": answers.USER_ID, "balance": 170, "held": 20, "debt": 0}],
            "credit_transactions": [],
            "subscriptions": [],
        },
    )
    def get(self, request: UserRequest) -> HttpResponseBase:
        """Returns everything stored about the user as one JSON document."""
        throttles.take(throttles.hit("export", str(request.user.pk)))
        audit.record(
            Event.DATA_EXPORTED,
            user_id=request.user.pk,
            session_id=request.auth.pk,
            client=client_of(request),
        )
        return StreamingHttpResponse(
            export.document(request.user),
            content_type="application/json",
            headers={"Content-Disposition": 'attachment; filename="my-data.json"'},
        )
