"""Routes of billing. The webhook is on one listener only, which a setting chooses."""

from django.conf import settings
from django.urls import path

from billing.views import webhook

_WEBHOOK = "v1/billing/webhook"
_is_internal = settings.BILLING_WEBHOOK_LISTENER == "internal"

public_urlpatterns = [] if _is_internal else [path(_WEBHOOK, webhook.Webhook.as_view())]

internal_urlpatterns = [
    *([path(_WEBHOOK, webhook.ForwardedWebhook.as_view())] if _is_internal else []),
]
