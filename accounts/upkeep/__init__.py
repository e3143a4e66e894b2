"""Operators' and scheduled work: retention, restores, key rotation, daily statistics."""
