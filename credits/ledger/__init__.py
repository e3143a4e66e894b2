"""The ledger and its verbs, one word each: `ledger.use(...)`.

add          give credits as a grant
use          spend credits
adjust       correct a balance, up or down
hold         set credits aside
capture      spend what a hold set aside
release      give a hold back
refund       give back a use
charge_back  take back a grant
restore      undo a chargeback

A single call is `ledger.use(...)`. As one step of a batch, under a lock that is already held, the same word is an
operation: `operations.use(...)`. What happens automatically when it falls due (a grant expires, a hold is released) is
a sweep.
"""

from credits.ledger.verbs import add, adjust, capture, charge_back, hold, refund, release, restore, use

__all__ = ["add", "adjust", "capture", "charge_back", "hold", "refund", "release", "restore", "use"]
