"""Our own Stripe for tests and development: stateful, on loopback, and strict about its input.

Requests are checked against the parameter types of the installed `stripe` SDK; answers are built from its resource
classes. A parameter that Stripe accepts but this fake does not implement is refused, never ignored.

    python -m tests.fake_stripe --port 8200 --webhook-url http://127.0.0.1:8000/v1/billing/webhook
"""
