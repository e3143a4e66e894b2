"""Servers of front ends: their keys, and what they say about the addresses of the people behind them."""
