"""Work of operators and of the clock: retention, restores, key rotation, counted days."""
