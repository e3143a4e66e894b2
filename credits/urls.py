"""Routes of the credits table, all on the internal listener."""

from django.urls import path

from credits import views

internal_urlpatterns = [
    path("v1/credits/balance", views.CreditBalance.as_view()),
    path("v1/credits/add", views.AddCredits.as_view()),
    path("v1/credits/use", views.UseCredits.as_view()),
    path("v1/credits/transactions", views.Transactions.as_view()),
    path("v1/credits/transactions/<uuid:transaction_id>", views.Transaction.as_view()),
]
