"""What a payment or a subscription means for a user."""
