"""One trial for a user, and one for a card, ever: two rows that only one of all attempts can insert.

Before a trial begins, it is claimed (`claim`) under the name of a holder, which Stripe is told; settling the trial's
invoice uses it up (`give`). A refusal by Stripe releases the claim, so that it does not cost the trial. In Checkout
nothing can be claimed beforehand: there `give` does both.
"""

import hashlib
import uuid

from django.conf import settings
from django.db import transaction

from billing.errors import TrialUsed
from billing.models import BillingAccount, Payment, TrialClaim
from credits.ledger.calls import mac_key

ELIGIBLE, USED, IN_TRIAL, HAD_SUBSCRIPTION = "eligible", "trial_used", "in_trial", "had_subscription"
# A first payment that was never made leaves none of these behind.
BEGUN = (BillingAccount.Status.ACTIVE, BillingAccount.Status.PAST_DUE, BillingAccount.Status.FROZEN)
REASONS = (ELIGIBLE, USED, IN_TRIAL, HAD_SUBSCRIPTION)


def eligibility(user_id: uuid.UUID) -> str:
    """Return whether this user can have a trial, as one of REASONS. The card may still rule it out."""
    status = BillingAccount.objects.filter(pk=user_id).values_list("status", flat=True).first()
    if status == BillingAccount.Status.TRIALING:
        return IN_TRIAL
    if TrialClaim.objects.filter(
        kind=TrialClaim.Kind.USER, digest__in=_digests(str(user_id)), given=True
    ).exists():
        return USED
    begun = status in BEGUN or Payment.objects.filter(user=user_id, kind=Payment.Kind.SUBSCRIPTION).exists()
    return HAD_SUBSCRIPTION if begun else ELIGIBLE


@transaction.atomic
def claim(*, user_id: uuid.UUID, fingerprint: str, holder: str) -> None:
    """Reserve the trial for `holder`, which may claim again. Raises TrialUsed.

    A claim of the same user that led to nothing gives way; another user's claim with the same card does not.
    """
    earlier = _take(TrialClaim.Kind.USER, str(user_id), holder, gives_way=None)
    if fingerprint:
        _take(TrialClaim.Kind.CARD, fingerprint, holder, gives_way=earlier)


def _take(kind: str, subject: str, holder: str, *, gives_way: str | None) -> str:
    """Return the claim's previous holder.

    `gives_way` is the only other holder whose ungiven claim may be taken over; None allows any.
    """
    digests = _digests(subject)
    if not TrialClaim.objects.filter(kind=kind, digest__in=digests).exists():
        row = TrialClaim(kind=kind, digest=digests[0], holder=holder)
        TrialClaim.objects.bulk_create([row], ignore_conflicts=True)
    held = TrialClaim.objects.select_for_update().filter(kind=kind, digest__in=digests).order_by("pk").first()
    if held is None:
        raise TrialUsed
    before = held.holder
    if before == holder:
        return before
    if held.given or (gives_way is not None and before != gives_way):
        raise TrialUsed
    TrialClaim.objects.filter(pk=held.pk).update(holder=holder)
    return before


def give(*, user_id: uuid.UUID, fingerprint: str, holder: str) -> bool:
    """Begin the trial, in the caller's transaction. Return False if this user or this card has had one."""
    try:
        claim(user_id=user_id, fingerprint=fingerprint, holder=holder)
    except TrialUsed:
        return False
    TrialClaim.objects.filter(holder=holder).update(given=True)
    return True


def release(*, holder: str) -> None:
    """Release a claim after a refusal by Stripe: the trial is there for the next attempt."""
    TrialClaim.objects.filter(holder=holder, given=False).delete()


def _digests(subject: str) -> list[bytes]:
    """Return keyed digests, so that a dump does not reveal the card; under every configured key, newest first."""
    return [
        hashlib.blake2b(subject.encode(), digest_size=32, key=mac_key(key), person=b"trial").digest()
        for key in settings.LEDGER_DIGEST_KEYS
    ]
