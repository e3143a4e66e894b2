"""A customer's balance, which pays their invoices and is changed by them: below zero it is a credit.

https://docs.stripe.com/billing/customer/balance
"""

from typing import Any

from tests.fake_stripe.listing import page
from tests.fake_stripe.routing import PAGE, route
from tests.fake_stripe.store import Store, merged
from tests.fake_stripe.wire import Json


def move(store: Store, customer: Json, amount: int, type_: str, **values: Any) -> Json | None:
    """Record a change as a transaction, and return it; a negative amount is a credit."""
    if not amount:
        return None
    customer["balance"] += amount
    return store.add(
        "customer_balance_transaction",
        amount=amount,
        currency=values.pop("currency", None) or customer["currency"] or "eur",
        customer=customer["id"],
        ending_balance=customer["balance"],
        type=type_,
        **{"metadata": {}, **values},
    )


@route(
    "POST",
    "/v1/customers/{id}/balance_transactions",
    "CustomerBalanceTransactionCreateParams",
    "amount currency description metadata",
)
def create(store: Store, params: Json, identifier: str) -> Json:
    customer = store.get("customer", identifier)
    values = {"metadata": merged(None, params.get("metadata")), "description": params.get("description")}
    made = move(store, customer, params["amount"], "adjustment", currency=params["currency"], **values)
    assert made is not None
    return made


@route("GET", "/v1/customers/{id}/balance_transactions", "CustomerBalanceTransactionListParams", PAGE)
def list_(store: Store, params: Json, identifier: str) -> Json:
    rows = store.all("customer_balance_transaction", customer=identifier)
    return page(rows, params, f"/v1/customers/{identifier}/balance_transactions")
