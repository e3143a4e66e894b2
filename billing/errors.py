"""Billing's refusals; each is a `Problem` of accounts/kit/problems.py.

BillingUnavailable 503       Stripe cannot be reached, fails or is not configured: repeat the call with the same key
+-- BillingFailed            Stripe answered with an error of its own, which it repeats under the same key
PaymentFailed 402            the card was declined
BillingRejected 400          Stripe refuses the request
+-- StripeObjectMissing      the object does not exist
+-- CustomerMissing          the customer was deleted there
SignatureInvalid, EventInvalid 400   of a webhook
PlanNotFound, BillingObjectNotFound 404
AlreadySubscribed, TrialUsed, PaymentOverdue, LastPaymentMethod, ChangePending, CancellationPending 409
PaymentMethodRequired 400
"""

from msgspec import UnsetType

from accounts.kit.problems import NotFound, Problem


class BillingUnavailable(Problem):
    status_code = 503
    default_code = "billing_unavailable"
    default_detail = "The payment provider is not responding. Repeat the call with the same Idempotency-Key."
    retry_after = 5


class BillingFailed(BillingUnavailable):
    """An error inside Stripe. It may have carried the request out; under the same key it would give the same answer."""


class PaymentFailed(Problem):
    """The payment was declined; `decline_code` is Stripe's, if it gives one."""

    status_code = 402
    default_code = "payment_failed"
    default_detail = "The payment was declined."
    members = {"decline_code": str | None | UnsetType}
    example = {"decline_code": "insufficient_funds"}


class BillingRejected(Problem):
    status_code = 400
    default_code = "billing_rejected"
    default_detail = "The payment provider rejected this request."
    members = {"reason": str | None | UnsetType}
    example = {"reason": "parameter_invalid_integer"}


class StripeObjectMissing(BillingRejected):
    """Stripe has no object with this id."""


class CustomerMissing(BillingRejected):
    """The customer of a request was deleted at Stripe."""


class SignatureInvalid(Problem):
    status_code = 400
    default_code = "signature_invalid"
    default_detail = "The signature is missing, wrong, or too old."


class EventInvalid(Problem):
    status_code = 400
    default_code = "event_invalid"
    default_detail = "This event does not belong to this Stripe account and mode."


class PlanNotFound(NotFound):
    default_code = "plan_not_found"
    default_detail = "Plan not found."


class BillingObjectNotFound(NotFound):
    """Raised for another user's object as well: the answer is the same."""

    default_detail = "Object not found."


class AlreadySubscribed(Problem):
    status_code = 409
    default_code = "already_subscribed"
    default_detail = "This user already has a subscription."


class TrialUsed(Problem):
    status_code = 409
    default_code = "trial_used"
    default_detail = "This user or card has already had a trial."


class PaymentOverdue(Problem):
    status_code = 409
    default_code = "payment_overdue"
    default_detail = (
        "An invoice for this user's subscription is unpaid. Credits cannot be spent until it is paid."
    )


class LastPaymentMethod(Problem):
    status_code = 409
    default_code = "last_payment_method"
    default_detail = "This is the only card of a subscription that renews. Store another one or end it first."


class ChangePending(Problem):
    status_code = 409
    default_code = "change_pending"
    default_detail = (
        "Another change to this subscription is waiting for payment. Pay it or let it expire first."
    )


class CancellationPending(Problem):
    status_code = 409
    default_code = "cancellation_pending"
    default_detail = "This subscription is set to end. To keep it and change its plan, set `resume` to true."


class PaymentMethodRequired(Problem):
    default_code = "payment_method_required"
    default_detail = "A trial needs a payment method."
