"""`POST /_control/<name>` with a JSON body: actions for tests that no Stripe client can perform."""

from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any

from tests.fake_stripe import (
    checkout_payment,
    disputes,
    endpoints,
    pages,
    payment_methods,
    payments,
    refunds,
    schedule,
    setup_intents,
)
from tests.fake_stripe.application import Application
from tests.fake_stripe.cards import declined
from tests.fake_stripe.catalogue import seed
from tests.fake_stripe.periods import DAY
from tests.fake_stripe.wire import Json, Refusal

Action = Callable[..., Any]
ACTIONS: dict[str, Action] = {}
WAITING = {"settle", "deliver"}  # these take the store's lock themselves, for a moment


def action(function: Action) -> Action:
    ACTIONS[function.__name__.rstrip("_")] = function
    return function


def run(application: Application, name: str, arguments: Json) -> Any:
    found = ACTIONS.get(name)
    if found is None:
        raise Refusal(f"No such control: {name}. There are {', '.join(sorted(ACTIONS))}.", status=404)
    if name in WAITING:
        return found(application, **arguments)
    with application.store.lock:
        application.store.request = {"id": None, "idempotency_key": None}
        return found(application, **arguments)


@action
def reset(application: Application) -> None:
    application.reset()


@action
def seed_(application: Application) -> None:
    seed(application.store)


@action
def advance(application: Application, *, seconds: int = 0, days: float = 0, to: int = 0) -> Json:
    """Move the clock and do everything that falls due."""
    store = application.store
    target = to or store.now() + seconds + int(days * DAY)
    return {"steps": schedule.advance(store, target), "now": store.now()}


@action
def renew(application: Application, *, subscription: str) -> Json:
    """Advance to the end of the current period, and past the hour in which its invoice is a draft."""
    store = application.store
    found = store.get("subscription", subscription)
    schedule.advance(store, schedule.period_end(found) + schedule.DRAFT_SECONDS)
    return store.get("subscription", subscription)


@action
def settings(application: Application, **values: Any) -> Json:
    """Set search_lag (seconds), dunning_days, dunning_end (cancel, unpaid, past_due), tax_percent."""
    unknown = values.keys() - application.store.settings.keys()
    if unknown:
        raise Refusal(f"No such settings: {sorted(unknown)}")
    application.store.settings.update(values)
    return application.store.settings


@action
def fault(application: Application, **fields: Any) -> None:
    application.faults.set(**fields)


@action
def faults(application: Application) -> list[Json]:
    """Return all faults that were set, with how often each was `used`."""
    return [asdict(rule) for rule in application.faults.rules]


@action
def clear_faults(application: Application) -> None:
    application.faults.clear()


@action
def webhooks(application: Application, **rules: Any) -> Json:
    """Set the rules of delivery; see `webhooks.RULES`."""
    dispatcher = application.dispatcher
    unknown = rules.keys() - dispatcher.rules.keys()
    if unknown:
        raise Refusal(f"No such rules: {sorted(unknown)}")
    dispatcher.rules.update(rules)
    return dispatcher.rules


@action
def webhook_to(application: Application, *, url: str, secret: str) -> Json:
    """Add an endpoint for all events; an empty url removes the existing ones."""
    if not url:
        application.store.tables["webhook_endpoint"].clear()
        return {}
    return endpoints.add(application.store, url=url, secret=secret)


@action
def release(application: Application, **options: Any) -> Json:
    return {"sent": application.dispatcher.release(**options)}


@action
def settle(application: Application, *, timeout: float = 20) -> Json:
    return {"settled": application.dispatcher.settle(timeout)}


@action
def deliver(
    application: Application, *, event: str, secret: str | None = None, at: int | None = None
) -> Json:
    """Make one delivery now, to every endpoint, optionally signed with another secret or at another time."""
    store, dispatcher = application.store, application.dispatcher
    with store.lock:
        found, endpoints = dict(store.get("event", event)), store.all("webhook_endpoint")
    return {"statuses": [dispatcher.deliver(found, one, secret=secret, at=at) for one in endpoints]}


@action
def deliveries(application: Application) -> list[Json]:
    return list(application.dispatcher.log)


@action
def requests(application: Application) -> list[Json]:
    return list(application.log)


@action
def bugs(application: Application) -> list[str]:
    """Return the fake's internal errors since the last call."""
    found, application.bugs = application.bugs, []
    return found


@action
def counts(application: Application) -> Json:
    return application.counts()


@action
def objects(application: Application, *, kind: str) -> list[Json]:
    return application.store.all(kind)


@action
def pay_checkout(
    application: Application, *, session: str, card: str = "pm_card_visa", authenticate: bool = True
) -> Json:
    """Pay as on the hosted page; `authenticate` answers a 3-D Secure challenge if one comes."""
    store = application.store
    found = store.get("checkout.session", session)
    result = checkout_payment.submit(store, found, card)
    if result["status"] == "challenge":
        pages.answer_challenge(store, result["intent"], success=authenticate)
        result = {"status": "complete" if found["status"] == "complete" else "declined"}
    return {**result, "session": found}


@action
def authenticate(application: Application, *, intent: str, success: bool = True) -> Json:
    """Answer the 3-D Secure challenge of a payment or setup intent."""
    pages.answer_challenge(application.store, intent, success=success)
    return application.store.find(intent) or {}


@action
def confirm(application: Application, *, intent: str, card: str = "pm_card_visa") -> Json:
    """Confirm a payment or setup intent with a card, as the browser does with a client secret."""
    store = application.store
    found = store.find(intent)
    if found is None or found["status"] not in payments.OPEN:
        raise Refusal(f"{intent} cannot be confirmed.")
    found["payment_method"] = payment_methods.resolve(store, card, param="card")["id"]
    if found["object"] == "payment_intent":
        payments.attempt(store, found, off_session=False)
    else:
        setup_intents.attempt(store, found)
    return found


@action
def refund(application: Application, *, charge: str, amount: int | None = None) -> Json:
    """Refund a charge, as by hand in the Dashboard."""
    params: Json = {"charge": charge} if amount is None else {"charge": charge, "amount": amount}
    return refunds.create(application.store, params)


@action
def fail_refund(application: Application, *, refund: str) -> Json:
    found = application.store.get("refund", refund)
    refunds.fail(application.store, found)
    return found


@action
def dispute(application: Application, *, charge: str, **options: Any) -> Json:
    """Open a dispute; options are `amount`, `currency`, `reason`, `inquiry`."""
    store = application.store
    return disputes.open_(store, store.get("charge", charge), **options)


@action
def close_dispute(application: Application, *, dispute: str, status: str = "won") -> Json:
    store = application.store
    return disputes.close_as(store, store.get("dispute", dispute), status)


@action
def portal_end(application: Application, *, subscription: str, ends: bool = True) -> Json:
    """Cancel a subscription at the end of its period as a customer does in the portal, or undo that."""
    found = application.store.get("subscription", subscription)
    pages.end_in_portal(application.store, found, ends=ends)
    return found


@action
def break_card(
    application: Application, *, payment_method: str, code: str | None = "generic_decline"
) -> None:
    """Have this card declined when it is charged from now on; `code` null mends it."""
    if code:
        declined(code)  # an unknown one is a KeyError here
    private = application.store.private[payment_method]
    private["card"] = replace(private["card"], charging=code)


@action
def expire_card(application: Application, *, payment_method: str) -> Json:
    """Let the card have expired last month, so that it is declined from now on."""
    store = application.store
    method = store.get("payment_method", payment_method)
    last = datetime.fromtimestamp(store.now() - 31 * DAY, UTC)
    card = {**method["card"], "exp_month": last.month, "exp_year": last.year}
    store.change(method, "payment_method.automatically_updated", card=card)
    break_card(application, payment_method=payment_method, code="expired_card")
    return method


@action
def emit(application: Application, *, type: str, object: Json, previous: Json | None = None) -> Json:
    """Emit any event, with a type and an object that the fake itself would not produce."""
    store = application.store
    store.emit(type, object, previous)
    return store.all("event")[-1]
