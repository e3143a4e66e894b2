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
    currency = values.pop("currency", None) or default_currency(customer)
    balances = store.private[customer["id"]].setdefault("balances", {})
    balances[currency] = of(store, customer, currency) + amount
    if currency == default_currency(customer):
        customer["balance"] = balances[currency]
    return store.add(
        "customer_balance_transaction",
        amount=amount,
        currency=currency,
        customer=customer["id"],
        ending_balance=balances[currency],
        type=type_,
        **{"metadata": {}, **values},
    )


def default_currency(customer: Json) -> str:
    return customer["currency"] or "eur"


def of(store: Store, customer: Json, currency: str) -> int:
    """Return the balance in a currency: each has its own (https://docs.stripe.com/billing/customer/balance)."""
    balances: dict[str, int] = store.private[customer["id"]].get("balances", {})
    return balances.get(currency, 0)


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
