"""The ledger: `ledger.use(...)`. Its verbs; holds, refunds and batches have modules of their own beside this one."""

from credits.ledger.verbs import add, adding, adjust, use, use_locked, using

__all__ = ["add", "adding", "adjust", "use", "use_locked", "using"]
