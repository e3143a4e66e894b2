"""Calls that services make: plans, checkout, cards, subscriptions."""
