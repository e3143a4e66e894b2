"""Routes of the credits table, all on the internal listener."""

from django.urls import path

from credits.views import alerts, batch, holds, journal

internal_urlpatterns = [
    path("v1/credits/balance", journal.CreditBalance.as_view()),
    path("v1/credits/add", journal.AddCredits.as_view()),
    path("v1/credits/use", journal.UseCredits.as_view()),
    path("v1/credits/refund", journal.RefundCredits.as_view()),
    path("v1/credits/transactions", journal.Transactions.as_view()),
    path("v1/credits/transactions/<id:transaction_id>", journal.Transaction.as_view()),
    path("v1/credits/holds", holds.Holds.as_view()),
    path("v1/credits/holds/<id:hold_id>", holds.Hold.as_view()),
    path("v1/credits/holds/<id:hold_id>/capture", holds.CaptureHold.as_view()),
    path("v1/credits/holds/<id:hold_id>/release", holds.ReleaseHold.as_view()),
    path("v1/credits/batch", batch.Batch.as_view()),
    path("v1/credits/alerts", alerts.Alert.as_view()),
]
