"""Help texts of fields on the admin's credits pages, for what a field's name does not say."""

GRANT = {
    "source": "The kind of journal entry that gave the credits.",
    "priority": "Grants with a lower number are used first; among equals, the one that expires first.",
    "given": "How many credits there were at first.",
    "left": "Credits that are neither spent nor held.",
    "lost": "Credits that expired before they were spent.",
    "taken_back": "Credits that were taken back, after a refund or a dispute of the payment.",
    "expires_at": "When the credits that are left are lost. Empty: never.",
    "posting": "The journal entry that gave the credits.",
    "service": "The service that gave the credits; billing for purchases, admin for staff.",
}
HOLD = {
    "set_aside": "How many credits were held.",
    "taken": "How many of them were spent. The others went back to their grants.",
    "status": "Open: still held. Captured: spent, in whole or in part. Released or expired: all of it went back.",
    "expires_at": "When the credits go back to their grants if the hold is still open.",
    "posting": "The journal entry that placed the hold.",
    "service": "The service that placed the hold.",
    "drawn_from": "The grants that the credits came from, in the order in which they are spent.",
}
TRANSACTION = {
    "amount": "Credits that the user gained; negative if they were lost. Placing or releasing a hold is 0.",
    "balance": "Credits that the user owned after it, held ones included.",
    "held": "How much of the balance was held after it.",
    "service": "The service that asked for it; billing for purchases, admin for staff.",
    "key": "The Idempotency-Key it was sent with. The same key again gets the same answer and moves nothing.",
    "description": "The text that the user sees. Erased with the account.",
    "reference": "The service's own reference, such as an order number. Erased with the account.",
    "metadata": "Anything else that the service stored with it. Erased with the account.",
    "refund_of": "The entry that it refunds.",
    "hold": "The entry that placed the hold it belongs to.",
    "version": "How the user's hash chain covers the entry. Empty: as in the first version.",
    "unit_price": "Credits per unit of the feature at that time.",
    "feature": "The feature that was used, if its price was charged.",
    "quantity": "How many units of the feature were used.",
    "grants_and_holds": "How many credits it gave to (+) or took from (-) each grant or hold. No. 0 is debt.",
}
FEATURE_PRICE = {
    "feature": "The name that services charge it under. It cannot be changed later.",
    "description": "For staff and services.",
}
