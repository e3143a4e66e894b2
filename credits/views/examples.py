"""Examples of the credits endpoints' answers, for their documentation."""

USER = "8d0f2c1e-5b7a-4a56-9d38-1c0de5a1f2b3"
TRANSACTION = {
    "id": "0193a7c4-6f2e-7cc1-b0a4-2f6d1e9b8c70",
    "user_id": USER,
    "type": "use",
    "amount": -30,
    "balance_after": 70,
    "held_after": 0,
    "description": "Three pictures",
    "reference": "job-4711",
    "metadata": None,
    "service": "studio",
    "created_at": "2026-11-23T10:00:00.000001Z",
}
ADDED = {
    **TRANSACTION,
    "type": "bonus",
    "amount": 100,
    "balance_after": 100,
    "description": "Welcome",
    "reference": None,
}
REFUNDED = {
    **TRANSACTION,
    "type": "refund",
    "amount": 30,
    "balance_after": 100,
    "refund_of": TRANSACTION["id"],
}
HOLD = {
    "id": "0193a7c5-1d30-7a0e-8c55-7b9f3c2d1e0f",
    "user_id": USER,
    "status": "open",
    "amount": 40,
    "captured": 0,
    "expires_at": "2026-11-23T10:15:00Z",
    "description": None,
    "reference": "job-4712",
    "metadata": None,
    "service": "studio",
    "created_at": "2026-11-23T10:00:00Z",
}
CAPTURED = {
    **HOLD,
    "status": "captured",
    "captured": 25,
    "transaction": {**TRANSACTION, "amount": -25, "balance_after": 75, "hold_id": HOLD["id"]},
}
RELEASED = {
    **HOLD,
    "status": "released",
    "transaction": {
        **TRANSACTION,
        "type": "release",
        "amount": 0,
        "balance_after": 100,
        "hold_id": HOLD["id"],
    },
}
