"""A customer's way through a checkout session: with a card that works, is declined, or must be confirmed."""

from tests.fake_stripe import customers, invoices, payment_methods, payments, setup_intents, subscriptions
from tests.fake_stripe.store import Store, merged
from tests.fake_stripe.wire import Json, Refusal


def submit(store: Store, session: Json, card: str) -> Json:
    """Pay with a test card. Return the state after it: complete, or the obstacle.

    {"status": "complete"}, {"status": "declined", "message"}, {"status": "challenge", "intent"}
    """
    if session["status"] != "open":
        raise Refusal("This Checkout Session is not open.")
    method = payment_methods.resolve(store, card, param="card")
    if session["customer"] is None and needs_customer(session):
        session["customer"] = new_customer(store, session)["id"]
    intent = PAYERS[session["mode"]](store, session, method)
    return outcome(store, session, intent)


def needs_customer(session: Json) -> bool:
    """Return whether the session needs a customer; a payment may be a guest's."""
    return bool(session["mode"] == "subscription" or session["customer_creation"] == "always")


def new_customer(store: Store, session: Json) -> Json:
    return customers.create(store, {"email": session["customer_email"] or "guest@example.com"})


def pay(store: Store, session: Json, method: Json) -> Json:
    params = store.private[session["id"]]["params"]
    data = params.get("payment_intent_data", {})
    intent = store.tables["payment_intent"].get(session["payment_intent"])
    if not session["amount_total"]:
        return {"status": "succeeded", "payment_method": method["id"]}  # nothing to pay: no intent is made
    if intent is None:
        intent = payments.new(
            store,
            amount=session["amount_total"],
            currency=session["currency"],
            customer=session["customer"],
            metadata=merged(None, data.get("metadata")),
            description=data.get("description"),
            setup_future_usage=data.get("setup_future_usage"),
            capture_method=data.get("capture_method", "automatic_async"),
        )
        session["payment_intent"] = intent["id"]
    intent["payment_method"] = method["id"]
    payments.attempt(store, intent, off_session=False)
    return intent


def save_card(store: Store, session: Json, method: Json) -> Json:
    """Set up the card without charging it, in setup mode and before a trial."""
    data = store.private[session["id"]]["params"].get("setup_intent_data", {})
    intent = setup_intents.new(
        store,
        customer=session["customer"],
        metadata=merged(None, data.get("metadata")),
        payment_method=method["id"],
    )
    store.private[session["id"]]["setup"] = intent["id"]
    if session["mode"] == "setup":
        session["setup_intent"] = intent["id"]
    setup_intents.attempt(store, intent)
    return intent


def subscribe(store: Store, session: Json, method: Json) -> Json:
    """Set up the card first; the subscription starts only with one that works."""
    card = payment_methods.card_of(store, method)
    if card.charging and not card.is_debit and session["amount_total"]:
        return refused_first_payment(store, session, method)
    return save_card(store, session, method)


def refused_first_payment(store: Store, session: Json, method: Json) -> Json:
    intent = payments.new(
        store, amount=session["amount_total"], currency=session["currency"], customer=session["customer"]
    )
    intent["payment_method"] = method["id"]
    payments.attempt(store, intent, off_session=False)
    return intent


PAYERS = {"payment": pay, "setup": save_card, "subscription": subscribe}


def outcome(store: Store, session: Json, intent: Json) -> Json:
    if intent["status"] in {"succeeded", "requires_capture", "processing"}:
        complete(store, session, intent)
        return {"status": "complete"}
    if intent["status"] == "requires_action":
        store.private[intent["id"]]["session"] = session["id"]
        return {"status": "challenge", "intent": intent["id"]}
    error: Json = intent.get("last_payment_error") or intent.get("last_setup_error") or {}
    return {"status": "declined", "message": error["message"]}


def complete(store: Store, session: Json, intent: Json) -> None:
    if session["mode"] == "subscription":
        begin_subscription(store, session, intent["payment_method"])
    customer = store.tables["customer"].get(session["customer"] or "")
    details = dict.fromkeys(("address", "business_name", "email", "individual_name", "name", "phone"))
    email = (customer or {}).get("email") or session["customer_email"]
    session.update(
        status="complete",
        url=None,
        customer_details={**details, "email": email, "tax_exempt": "none", "tax_ids": []},
        payment_status=payment_status(store, session, intent),
    )
    store.emit("checkout.session.completed", session)


def payment_status(store: Store, session: Json, intent: Json) -> str:
    """Return the status; an authorized payment is unpaid until it is captured, and a debit until it arrives."""
    if not session["amount_total"]:
        return "no_payment_required"
    charged = (
        invoices.intent_of(store, store.get("invoice", session["invoice"])) if session["invoice"] else intent
    )
    return "unpaid" if (charged or intent)["status"] in {"requires_capture", "processing"} else "paid"


def after_debit(store: Store, intent: Json) -> None:
    """Tell what became of a session's debit (https://docs.stripe.com/payments/checkout/fulfill-orders)."""
    if "answered_at" not in store.private[intent["id"]] or intent["status"] == "processing":
        return
    for session in store.all("checkout.session", status="complete", payment_status="unpaid"):
        invoice = session["invoice"] and store.private[session["invoice"]].get("intent")
        if intent["id"] in {session["payment_intent"], invoice}:
            arrived = intent["status"] == "succeeded"
            session["payment_status"] = "paid" if arrived else "unpaid"
            store.emit(f"checkout.session.async_payment_{'succeeded' if arrived else 'failed'}", session)


payments.AFTERWARDS.append(after_debit)


def begin_subscription(store: Store, session: Json, method: str) -> None:
    params = store.private[session["id"]]["params"]
    data = {
        name: value for name, value in params.get("subscription_data", {}).items() if name != "description"
    }
    items = [{"price": one["price"], "quantity": one.get("quantity", 1)} for one in params["line_items"]]
    request = {"customer": session["customer"], "items": items, "default_payment_method": method, **data}
    request |= {name: params[name] for name in ("discounts", "automatic_tax") if name in params}
    subscription = subscriptions.start(store, request)
    charged = invoices.intent_of(store, store.get("invoice", subscription["latest_invoice"]))
    if charged and charged["status"] == "requires_action":
        payments.authenticate(store, charged, success=True)  # the customer just did, on this page
    session.update(subscription=subscription["id"], invoice=subscription["latest_invoice"])


def authenticated(store: Store, intent: Json) -> Json | None:
    """Return the outcome for the session that was waiting for 3-D Secure, or None if none was."""
    waiting = store.private[intent["id"]].get("session")
    return outcome(store, store.get("checkout.session", waiting), intent) if waiting else None
