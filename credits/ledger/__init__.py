"""The ledger and its verbs: `ledger.use(...)`. Holds, refunds and batches have modules of their own here."""

from credits.ledger.verbs import add, adding, adjust, use, use_locked, using

__all__ = ["add", "adding", "adjust", "use", "use_locked", "using"]
