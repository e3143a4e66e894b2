"""How a user comes to be, is reached and is closed."""
