"""Calls by services: plans, checkout, cards, subscriptions."""
