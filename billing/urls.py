"""Routes of billing. The webhook is on one listener only, chosen by a setting."""

from django.conf import settings
from django.urls import path

from billing.views import buying, keeping, webhook

_WEBHOOK = "v1/billing/webhook"
_is_internal = settings.BILLING_WEBHOOK_LISTENER == "internal"

public_urlpatterns = [] if _is_internal else [path(_WEBHOOK, webhook.Webhook.as_view())]

internal_urlpatterns = [
    path("v1/billing/plans", buying.Plans.as_view()),
    path("v1/billing/checkout-sessions", buying.CheckoutSessions.as_view()),
    path("v1/billing/checkout-sessions/<str:session_id>", buying.CheckoutSession.as_view()),
    path("v1/billing/portal-sessions", buying.PortalSessions.as_view()),
    path("v1/billing/setup-intents", buying.SetupIntents.as_view()),
    path("v1/billing/payment-methods", keeping.PaymentMethods.as_view()),
    path("v1/billing/payment-methods/<str:payment_method_id>", keeping.PaymentMethod.as_view()),
    path(
        "v1/billing/payment-methods/<str:payment_method_id>/default", keeping.DefaultPaymentMethod.as_view()
    ),
    path("v1/billing/subscriptions", keeping.Subscriptions.as_view()),
    path("v1/billing/subscriptions/<str:subscription_id>/change", keeping.ChangeSubscription.as_view()),
    path("v1/billing/subscriptions/<str:subscription_id>/change-preview", keeping.ChangePreview.as_view()),
    path("v1/billing/subscriptions/<str:subscription_id>/cancel", keeping.CancelSubscription.as_view()),
    path("v1/billing/subscriptions/<str:subscription_id>/end-trial", keeping.EndTrial.as_view()),
    path("v1/billing/subscriptions/<str:subscription_id>/resume", keeping.ResumeSubscription.as_view()),
    path("v1/billing/invoices", keeping.Invoices.as_view()),
    path("v1/billing/invoices/<str:invoice_id>/pay", keeping.PayInvoice.as_view()),
    path("v1/billing/trial-eligibility", keeping.TrialEligibility.as_view()),
    path("v1/billing/status", keeping.BillingStatus.as_view()),
    *([path(_WEBHOOK, webhook.ForwardedWebhook.as_view())] if _is_internal else []),
]
