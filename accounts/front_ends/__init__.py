"""Servers of front ends: their keys, and their assertions about the addresses of the people behind them."""
