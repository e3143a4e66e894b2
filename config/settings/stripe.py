"""Configures Stripe and billing."""

from config.settings.environment import boolean, choice, decimal, env, integer

# Without a key the service runs, and calls that need Stripe are answered with 503 billing_unavailable.
STRIPE_SECRET_KEY = env.str("STRIPE_SECRET_KEY")
STRIPE_LIVE_MODE = STRIPE_SECRET_KEY.startswith(("sk_live_", "rk_live_"))
# `new;old`: any of them may have signed an event. Without one there is no webhook.
STRIPE_WEBHOOK_SECRETS = env.list("STRIPE_WEBHOOK_SECRETS", between=";")
# The version that the SDK, dj-stripe and this service use; raise it with them, and in the endpoint at Stripe.
STRIPE_API_VERSION = "2026-08-26.dahlia"
STRIPE_API_BASE = env.str("STRIPE_API_BASE").rstrip("/")  # a fake Stripe's, outside production
if STRIPE_API_BASE:
    STRIPE_API_HOST = STRIPE_API_BASE  # dj-stripe's name for it
# Per process: how many calls to Stripe run at once, how many requests may wait for one (each holds a thread), and for
# how many seconds; then 503. It is half of WEB_THREADS: if Stripe does not answer for eight seconds, the other half
# serves requests that do not need it.
STRIPE_CONCURRENCY = integer("STRIPE_CONCURRENCY")
STRIPE_QUEUE = integer("STRIPE_QUEUE")
STRIPE_PATIENCE = decimal("STRIPE_PATIENCE")
# The customer portal's, as created by `manage.py stripe_setup`; if empty, the one saved in the Dashboard.
STRIPE_PORTAL_CONFIGURATION = env.str("STRIPE_PORTAL_CONFIGURATION")
# Where Checkout and the portal may send people back to, besides FRONTEND_URL.
BILLING_RETURN_HOSTS = env.list("BILLING_RETURN_HOSTS")
BILLING_WEBHOOK_LISTENER = choice("BILLING_WEBHOOK_LISTENER")
# In these states of a subscription nothing may be spent; the account's status is then `frozen`.
BILLING_FREEZE_ON = env.list("BILLING_FREEZE_ON")
# If a user has two subscriptions, the later one is automatically ended and refunded, unless something speaks against it
# (billing/stripe_sync/duplicates.py). Off: it is only not renewed.
BILLING_REFUND_DUPLICATES = boolean("BILLING_REFUND_DUPLICATES")

# A disputed payment ends its subscription at once, so that nobody is charged again by a seller whom they have reported
# to their bank.
BILLING_END_DISPUTED = boolean("BILLING_END_DISPUTED")

# dj-stripe mirrors Stripe's objects; its webhook views are not routed (docs/decisions/).
DJSTRIPE_FOREIGN_KEY_TO_FIELD = "id"
DJSTRIPE_SUBSCRIBER_CUSTOMER_KEY = None
