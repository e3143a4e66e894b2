"""POST /v1/billing/webhook: Stripe's events. The signature is the credential; on the internal listener, a key too."""

import msgspec
from django.conf import settings
from rest_framework.request import Request

from accounts.kit.documentation import documented
from accounts.kit.problems import NotFound
from accounts.kit.responses import Response
from accounts.tiers import Endpoint, InternalEndpoint, PublicEndpoint
from billing.errors import EventInvalid, SignatureInvalid
from billing.stripe_sync import intake


class Received(msgspec.Struct):
    received: bool


class ReceiveEvent(Endpoint):
    """Base of the webhooks on both listeners."""

    mark = "signature"
    raw_body = True
    body_limit = settings.LARGE_BODY_LIMIT

    @documented(
        "Receive a Stripe event",
        answer=Received,
        example={"received": True},
        problems=(SignatureInvalid, EventInvalid, NotFound),
    )
    def post(self, request: Request) -> Response:
        """For Stripe only. The request must have been signed with one of the endpoint's secrets (`Stripe-Signature`)
        within the last five minutes. The event is stored once and processed after the response.
        """
        if not settings.STRIPE_WEBHOOK_SECRETS:
            raise NotFound
        intake.receive(request._request.body, request.META.get("HTTP_STRIPE_SIGNATURE", ""))  # noqa: SLF001
        return Response(Received(received=True))


class Webhook(ReceiveEvent, PublicEndpoint):
    """On the public listener, where Stripe reaches it."""


class ForwardedWebhook(ReceiveEvent, InternalEndpoint):
    """On the internal listener, for a gateway that forwards the raw body: BILLING_WEBHOOK_LISTENER=internal."""

    scope = "billing:webhook"
