"""Names the functions through which the apps take part in each other's work, as dotted paths."""

# What other apps do when something happens to an account, in the same transaction (accounts/hooks.py says when).
ACCOUNT_HOOKS = {
    "registered": ["credits.personal.registered"],
    "purged": ["credits.personal.purged"],
    "block_spending": ["credits.ledger.states.block", "billing.personal.stop_buying"],
    "unblock_spending": ["credits.ledger.states.unblock", "billing.personal.buy_again"],
    "remove_sign_in_methods": [
        "accounts.factors.remove_since",
        "accounts.google.accounts.remove_added_since",
    ],
    "proofs": ["accounts.sign_in.reauthentication.methods_of"],
    "close": ["billing.personal.close"],
    "address_changed": ["billing.personal.address_changed"],
    "forfeits": ["credits.personal.forfeits"],
    "erasure_waits_until": ["credits.personal.erasure_waits_until"],
    "erase": [
        "accounts.factors.erase",
        "accounts.google.accounts.erase",
        "credits.personal.erase",
        "billing.personal.erase",
    ],
    "owners": ["credits.personal.owners", "billing.personal.owners"],
}
# Sections of GET /v1/auth/me/export that other apps fill: each is called with `user_id` and returns JSON data.
ACCOUNT_EXPORTS = {
    "second_factors": "accounts.factors.export",
    "google_accounts": "accounts.google.accounts.exported",
    "credit_balance": "credits.personal.balances",
    "credit_transactions": "credits.personal.transactions",
    "subscriptions": "billing.personal.subscriptions",
}
# Text columns sealed with FIELD_ENCRYPTION_KEYS: app.Model.column, and the function that returns a row's context.
SEALED_COLUMNS: dict[str, str] = {
    "mfa.Authenticator.data": "accounts.factors.adapter.context_of",
    "accounts.TOTPEnrolment.secret": "accounts.factors.adapter.context_of",
    "billing.Request.answer": "billing.shop.requests.answer_context",
    "accounts.EventSubscription.secrets": "accounts.events.subscriptions.context_of_secrets",
}
# Called at each /metrics of the internal listener.
METRICS_COLLECTORS = ["accounts.upkeep.queues.standings", "billing.queues.standings"]
# Further checks of `verify_ledger`: functions that yield findings. `of_users` is called for a chunk of users
# (`user_ids`, `using`), `of_all` for all users or one (`user_id`, `using`). See credits/ledger/verify.py.
LEDGER_CHECKS = {
    "of_users": ["billing.settlement.proof.of_users"],
    "of_all": ["billing.settlement.proof.of_all"],
}
