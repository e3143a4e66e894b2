"""How a user is created, reached and closed."""
