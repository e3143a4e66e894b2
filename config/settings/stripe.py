"""Configures Stripe and billing."""

from config.settings.environment import boolean, choice, decimal, env, integer

# Without a key the service runs, and what needs Stripe answers 503 billing_unavailable.
STRIPE_SECRET_KEY = env.str("STRIPE_SECRET_KEY")
STRIPE_LIVE_MODE = STRIPE_SECRET_KEY.startswith(("sk_live_", "rk_live_"))
# `new;old`: any of them may have signed an event. Without one the webhook does not exist.
STRIPE_WEBHOOK_SECRETS = env.list("STRIPE_WEBHOOK_SECRETS", between=";")
# The version that the SDK, dj-stripe and we speak; to be raised with them, and in the endpoint at Stripe.
STRIPE_API_VERSION = "2026-08-26.dahlia"
STRIPE_API_BASE = env.str("STRIPE_API_BASE").rstrip("/")  # of a fake Stripe, outside production
if STRIPE_API_BASE:
    STRIPE_API_HOST = STRIPE_API_BASE  # dj-stripe's name for it
# Per process: calls of Stripe at once, requests that may wait for one (each holds a thread), and for how many seconds;
# else 503. Half of WEB_THREADS: a Stripe that is silent for eight seconds leaves the other half to those who need none.
STRIPE_CONCURRENCY = integer("STRIPE_CONCURRENCY")
STRIPE_QUEUE = integer("STRIPE_QUEUE")
STRIPE_PATIENCE = decimal("STRIPE_PATIENCE")
# Of the customer portal, as `manage.py stripe_setup` makes it; empty: what was saved in the Dashboard.
STRIPE_PORTAL_CONFIGURATION = env.str("STRIPE_PORTAL_CONFIGURATION")
# Where Checkout and the portal may send people back to, besides FRONTEND_URL.
BILLING_RETURN_HOSTS = env.list("BILLING_RETURN_HOSTS")
BILLING_WEBHOOK_LISTENER = choice("BILLING_WEBHOOK_LISTENER")
# In these states of a subscription nothing may be spent; the account's status is then `frozen`.
BILLING_FREEZE_ON = env.list("BILLING_FREEZE_ON")
# Of two subscriptions of one user the later one is ended and refunded by itself, where nothing speaks against it
# (billing/stripe_sync/duplicates.py). Off: it only renews no more.
BILLING_REFUND_DUPLICATES = boolean("BILLING_REFUND_DUPLICATES")

# A payment of a subscription that is disputed ends it at once: nobody is charged again by whom their bank was asked.
BILLING_END_DISPUTED = boolean("BILLING_END_DISPUTED")

# dj-stripe mirrors Stripe's objects; its webhook views are not routed (docs/decisions/).
DJSTRIPE_FOREIGN_KEY_TO_FIELD = "id"
DJSTRIPE_SUBSCRIBER_CUSTOMER_KEY = None
