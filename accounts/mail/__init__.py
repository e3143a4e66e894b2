"""Mails: their kinds, the links and codes in them, the outbox and its delivery."""
