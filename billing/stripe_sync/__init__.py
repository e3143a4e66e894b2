"""What comes from Stripe and goes to it in the background."""
