"""The ledger as one would write it on a napkin: lists, no database, no lock, no journal. It measures the real one."""

from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

PRIORITY = {"trial": 10, "bonus": 20, "adjustment": 40, "purchase": 50}
Part = Any  # [grant, credits]
NEVER = 10**9
REFUND_LIFE = 30 * 24 * 3600


@dataclass
class Grant:
    number: int
    priority: int
    expires: int
    issued: int
    left: int
    expired: int = 0
    charged: int = 0
    # By chargebacks and not restored, in order; from None what became debt.
    taken_from: list[Part] = field(default_factory=list)

    @property
    def room(self):
        return self.issued - self.expired - self.charged - self.left


@dataclass
class Hold:
    expires: int
    drawn: list[Part]
    amount: int
    open: bool = True


@dataclass
class Use:
    burnt: list[Part]
    refunded: int = 0

    @property
    def amount(self):
        return sum(credits for _, credits in self.burnt)


class Refused(Exception):
    pass


class Napkin:
    """One user. Times are whole seconds."""

    def __init__(self):
        self.now = 0
        self.grants, self.holds, self.uses = [], [], []
        self.debt = 0

    @property
    def live(self):
        return sorted((g for g in self.grants if g.left), key=lambda g: (g.priority, g.expires, g.number))

    @property
    def available(self):
        return 0 if self.debt else sum(grant.left for grant in self.grants)

    @property
    def held(self):
        return sum(hold.amount for hold in self.holds if hold.open)

    @property
    def balance(self):
        return sum(grant.left for grant in self.grants) + self.held - self.debt

    def tick(self, seconds):
        self.now += seconds
        self.settle_due()

    def settle_due(self):
        while due := [x for x in [*self.live, *(h for h in self.holds if h.open)] if x.expires <= self.now]:
            first = min(due, key=lambda x: x.expires)
            if isinstance(first, Hold):
                self.close(first, 0, at=first.expires)
            else:
                first.expired += first.left
                first.left = 0

    def give(self, amount, kind, expires=NEVER):
        paid = min(amount, self.debt)
        self.debt -= paid
        self.grants.append(Grant(len(self.grants), PRIORITY[kind], expires, amount, amount - paid))

    def draw(self, amount):
        drawn = []
        for grant in self.live:
            taken = min(amount, grant.left)
            if taken:
                grant.left -= taken
                amount -= taken
                drawn.append([grant, taken])
        return drawn

    def use(self, amount):
        if amount > self.available:
            raise Refused
        self.uses.append(Use(self.draw(amount)))

    def hold(self, amount, life):
        if amount > self.available:
            raise Refused
        self.holds.append(Hold(self.now + life, self.draw(amount), amount))

    def close(self, hold, captured, at=None):
        if not hold.open or captured > hold.amount:
            raise Refused
        hold.open = False
        burnt, back = [], []
        for grant, credits in hold.drawn:
            kept = min(credits, captured)
            captured -= kept
            burnt.append([grant, kept])
            back.append([grant, credits - kept])
        self.come_back(back, at=self.now if at is None else at, revive=False)
        if any(credits for _, credits in burnt):
            self.uses.append(Use([part for part in burnt if part[1]]))
        self.settle_due()

    def come_back(self, parts, at, revive):
        for grant, credits in parts:
            paid = min(credits, self.debt)
            self.debt -= paid
            back = 0 if revive and grant.expires <= at else min(credits - paid, grant.room)
            grant.left += back
            self.replace(grant, credits - paid - back, at)

    def replace(self, grant, credits, at):
        if credits:
            expires = max(grant.expires, at + REFUND_LIFE)
            self.grants.append(Grant(len(self.grants), grant.priority, expires, credits, credits))

    def repay(self, grant, credits):
        """Others may have paid the debt by now: the grant never held these credits."""
        paid = min(credits, self.debt)
        self.debt -= paid
        self.replace(grant, credits - paid, self.now)

    def refund(self, use, amount):
        if not 0 < amount <= use.amount - use.refunded:
            raise Refused
        parts = cut(list(reversed(use.burnt)), use.refunded, amount)
        use.refunded += amount
        self.come_back(parts, at=self.now, revive=True)
        self.settle_due()

    def charge_back(self, grant, amount):
        taken = min(amount, grant.issued - grant.expired - grant.charged)
        if taken <= 0:
            return
        grant.charged += taken
        own = min(taken, grant.left)
        grant.left -= own
        parts = [[grant, own]] if own else []
        parts += self.draw(taken - own)
        if missing := taken - sum(credits for _, credits in parts):
            self.debt += missing
            parts.append([None, missing])
        grant.taken_from += parts

    def restore(self, grant, amount):
        back = min(amount, grant.charged)
        if back <= 0:
            return
        parts = cut(list(reversed(grant.taken_from)), 0, back)
        grant.taken_from = cut(grant.taken_from, 0, grant.charged - back)
        grant.charged -= back
        for source, credits in parts:
            if source is None:
                self.repay(grant, credits)
            else:
                self.come_back([[source, credits]], at=self.now, revive=True)
        self.settle_due()


def cut(parts, skip, take):
    """`take` credits of a list, after its first `skip`."""
    ends = list(accumulate(credits for _, credits in parts))
    spans = zip(parts, [0, *ends], ends, strict=False)
    inside = [[grant, min(end, skip + take) - max(start, skip)] for (grant, _), start, end in spans]
    return [part for part in inside if part[1] > 0]
