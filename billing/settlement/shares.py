"""Share out a payment's money among its lines: pure arithmetic on a snapshot.

What was received, less refunds and disputes, is shared in proportion to what each line cost after discounts and with
tax. Then credit notes take from the lines that they name. So a fee buys no credits, and a partial refund takes the same
part of each line.

A proration moves money from an earlier period. The unused rest of the old price pays for the new one first, so that
what was actually paid buys credits at the new plan's rate; any of it left over makes the other lines cheaper, and that
amount is not paid again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from billing.stripe.snapshots import Line, Snapshot


@dataclass(frozen=True, slots=True)
class Share:
    due: int  # after discounts, before credit notes
    received: int
    covered: int  # what is left of what was received


def shares(snapshot: Snapshot) -> dict[str, Share]:
    """Return the share of each line that can buy something, by its id."""
    dues = _dues(snapshot.lines)
    weights = _weights(snapshot.lines, dues, rest=snapshot.rest)
    received = _shared_out(max(0, snapshot.received), weights)
    left = _left(snapshot, weights)
    return {key: Share(due, min(due, received[key]), min(due, left[key])) for key, due in dues.items()}


def _dues(lines: Sequence[Line]) -> dict[str, int]:
    """Return what each line cost. Negative lines that are not prorations are discounts on the others that are not."""
    prorated = {line.id: line.amount for line in lines if line.is_proration and line.amount > 0}
    whole = {line.id: line.amount for line in lines if not line.is_proration and line.amount >= 0}
    discount = -sum(line.amount for line in lines if not line.is_proration and line.amount < 0)
    off = _shared_out(min(discount, sum(whole.values())), whole)
    return {key: amount - off[key] for key, amount in whole.items()} | prorated


REST = ""  # the part that no line names, such as shipping


def _weights(lines: Sequence[Line], dues: Mapping[str, int], *, rest: int) -> dict[str, int]:
    prorated = {line.id: dues[line.id] for line in lines if line.is_proration and line.id in dues}
    unused = -sum(line.amount for line in lines if line.is_proration and line.amount < 0)
    left = max(0, sum(prorated.values()) - unused)
    return {**dues, **_shared_out(left, prorated), REST: max(0, rest)}


def _left(snapshot: Snapshot, weights: Mapping[str, int]) -> dict[str, int]:
    """Return what is left of each line. Anything credit notes took beyond that is taken from the other lines."""
    before = _shared_out(max(0, snapshot.received - snapshot.lost), weights)
    noted = _noted(snapshot, weights)
    left = {key: max(0, before[key] - noted[key]) for key in weights}
    too_much = _shared_out(max(0, sum(left.values()) - snapshot.kept), left)
    return {key: left[key] - too_much[key] for key in left}


def _noted(snapshot: Snapshot, weights: Mapping[str, int]) -> dict[str, int]:
    """Return what credit notes took from each line; the part without a line is shared out."""
    of_all = _shared_out(snapshot.notes.get(REST, 0), weights)
    return {key: of_all[key] + snapshot.notes.get(key, 0) for key in weights}


def _shared_out(amount: int, weights: Mapping[str, int]) -> dict[str, int]:
    """Share out an amount in proportion, to the last unit: by largest remainder, the earlier of two equals first."""
    total = sum(weights.values())
    if not total:
        return dict.fromkeys(weights, 0)
    parts = {key: divmod(amount * weight, total) for key, weight in weights.items()}
    missing = amount - sum(whole for whole, _ in parts.values())
    richest = sorted(parts, key=lambda key: -parts[key][1])[:missing]
    return {key: whole + (key in richest) for key, (whole, _) in parts.items()}
