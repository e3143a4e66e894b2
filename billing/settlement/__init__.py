"""Settlement turns payments and subscriptions into credits and a billing status."""
