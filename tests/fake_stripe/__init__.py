"""A Stripe of our own for tests and development: stateful, on loopback, and strict about what it is sent.

Requests are checked against the parameter types of the installed `stripe` SDK, answers are built from its
resource classes. What Stripe accepts and this fake does not act on is refused, never ignored.

`python -m tests.fake_stripe --port 8200 --webhook-url http://127.0.0.1:8000/v1/billing/webhook`
"""
