"""What operators and the clock do: retention, restores, key rotation, counted days."""
