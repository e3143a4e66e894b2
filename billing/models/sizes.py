"""Of columns that hold what Stripe made."""

STRIPE_ID = 255  # the longest that Stripe promises
