"""Calls to Stripe, and the reading of its objects."""
