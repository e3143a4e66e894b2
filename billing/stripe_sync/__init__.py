"""Background exchange with Stripe: incoming deliveries, outgoing changes, reconciliation."""
