"""How Stripe is asked and how its objects are read."""
