"""Plans, purchases, and messages from and to Stripe.

Stripe's own objects are mirrored in dj-stripe's tables, to which nothing here refers: a mirror may lag, be wrong or be
rebuilt. Everything that decides about credits is stored here. Constraints prevent what must never happen: two customers
for one user, two grants for one payment, two trials with one card.
"""

from billing.models.catalogue import FormerPrice, Plan
from billing.models.customers import BillingAccount, CustomerLink, FormerCustomer
from billing.models.payments import Payment, PaymentDay, PaymentLine, Revenue, StrangerPayment, TrialClaim
from billing.models.queues import CustomerChange, InboxEvent, Progress
from billing.models.refunds import RefundRequest
from billing.models.requests import Request, RequestAttempt

__all__ = [
    "BillingAccount",
    "CustomerChange",
    "CustomerLink",
    "FormerCustomer",
    "FormerPrice",
    "InboxEvent",
    "Payment",
    "PaymentDay",
    "PaymentLine",
    "Plan",
    "Progress",
    "RefundRequest",
    "Request",
    "RequestAttempt",
    "Revenue",
    "StrangerPayment",
    "TrialClaim",
]
