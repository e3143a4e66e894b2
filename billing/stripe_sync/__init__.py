"""Background exchange with Stripe: deliveries that come in, changes that go out, reconciliation."""
