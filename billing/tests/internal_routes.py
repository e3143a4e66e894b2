"""The internal listener of a process that was started with BILLING_WEBHOOK_LISTENER=internal."""

from django.urls import path

from billing.views.webhook import ForwardedWebhook

urlpatterns = [path("v1/billing/webhook", ForwardedWebhook.as_view())]
