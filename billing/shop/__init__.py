"""What services ask for: plans, checkout, cards, subscriptions."""
