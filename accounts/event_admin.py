"""Deliveries of webhooks in the admin: whoever may send mails again may send these again, too."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from accounts.events import subscriptions
from accounts.models import EventDelivery


class DeliveryPages:
    message_user: Any

    def has_send_mails_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("accounts.send_mails"))

    @admin.action(description="Send again", permissions=["send_mails"])
    def send_again(self, request: HttpRequest, chosen: QuerySet[EventDelivery]) -> None:
        ids = list(chosen.values_list("pk", flat=True))
        revived = subscriptions.send_again(ids, actor=_actor(request))
        kind = messages.SUCCESS if revived else messages.WARNING
        self.message_user(
            request, f"{revived} will be sent again. Open ones are under way by themselves.", kind
        )


def _actor(request: HttpRequest) -> str:
    return f"staff {request.user.pk}"
