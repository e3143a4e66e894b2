"""Help texts of fields on the admin's billing pages, for what a field's name does not say."""

from accounts.admin.field_help import QUEUED

KINDS = (
    "Pack, subscription or trial: what was bought. Proration: a plan was changed at Stripe. "
    "Nothing: its price gives no credits. Open: no plan has its price yet."
)
# Fields of plans that are missing here have their help text in the model.
PLAN = {
    "code": "The name by which services buy it.",
    "name": "The name that buyers see.",
    "kind": "A pack is bought once. A subscription renews.",
    "interval": "How long a period of the subscription is. Empty for a pack.",
    "trial_days": "Empty: no trial.",
    "stripe_price": "The id of the price at Stripe: price_... Subscriptions at a former price keep renewing.",
    "active": "Off: no longer for sale. Existing subscriptions keep renewing.",
}
PAYMENT = {
    "kind": KINDS,
    "plan": "The plan of its main line, which gives the most credits.",
    "quantity": "The quantity of its main line.",
    "worth": "The credits of its main line, before refunds and disputes.",
    "expires_at": "When those credits expire. Empty: never.",
    "left": "The sum that was paid, less refunds and open or lost disputes.",
    "back": "The sum of its refunds and credit notes.",
    "contested": "The sum of its disputes at Stripe.",
    "on_balance": "The sum that a change of plan moved to the customer's balance at Stripe.",
    "settled_at": "When its plan and credits were fixed. Later changes to the plan do not affect them.",
    "id": "The id of the invoice at Stripe, or of the payment intent if there is none.",
    "payment_intent": "The payment intent that paid it.",
    "bought": "Each thing that was bought, how many of its credits are paid for, and how much of its price was kept.",
    "version": "How often it has been compared with Stripe.",
}
LINE = {
    "line": "The id of the line at Stripe. Empty: it stands for the whole payment.",
    "price": "The id of the price at Stripe.",
    "kind": KINDS,
    "worth": "The credits it gives when it is paid for in full.",
    "price_due": "The price after discounts, with tax.",
    "kept": "How much of it was paid and kept.",
    "expires_at": "When its credits expire. Empty: never.",
    "granted_by": "The journal entry that gave the credits.",
}
STRANGER_PAYMENT = {
    "id": "The id of the invoice at Stripe, or of the payment intent if there is none.",
    "customer": "The customer's id at Stripe. Empty: the buyer was a guest.",
    "seen_at": "When this service found it.",
    "user": "The user whose payment it is, once that is known.",
}
INBOX_EVENT = {
    **QUEUED,
    "created": "When it happened, by Stripe's clock.",
    "livemode": "Off: it comes from Stripe's test mode.",
    "customer": "The id of the customer it is about.",
    "about": "The payment or customer that is looked up at Stripe because of it.",
    "settled_at": "When credits and billing status were brought up to date.",
    "mirrored_at": "When the copy of Stripe's object was brought up to date.",
    "done_at": "When both had been done.",
}
CUSTOMER_CHANGE = {
    **QUEUED,
    "kind": (
        "The update for Stripe. Stop buying: no unfinished purchase can be paid. End at period: nothing "
        "renews."
    ),
    "subscription": "The subscription it ends. Empty: it is about the customer.",
    "done_at": "When Stripe had received it.",
}
