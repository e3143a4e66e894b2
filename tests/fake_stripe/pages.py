"""The pages that a customer sees in a browser: checkout, the bank's 3-D Secure challenge, the portal."""

from collections.abc import Callable
from dataclasses import dataclass, field
from html import escape

from tests.fake_stripe import cancellation, checkout_payment, payment_methods, payments, setup_intents
from tests.fake_stripe.cards import CARDS
from tests.fake_stripe.store import Store
from tests.fake_stripe.wire import Json, Refusal, missing

SHELL = """<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>
<style>body {{ font: 1rem/1.5 sans-serif; max-width: 32rem; margin: 3rem auto; padding: 0 1rem }}
button, select {{ font: inherit; padding: .4rem .8rem }} .refused {{ color: #a00 }}</style>
<h1>{title}</h1>{body}</html>"""


@dataclass
class Page:
    body: str = ""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


def shown(title: str, body: str, status: int = 200) -> Page:
    return Page(SHELL.format(title=escape(title), body=body), status)


def redirect(url: str) -> Page:
    return Page(status=303, headers={"Location": url})


def button(label: str, **fields: str) -> str:
    hidden = "".join(
        f'<input type="hidden" name="{name}" value="{escape(value)}">' for name, value in fields.items()
    )
    return f'<form method="post">{hidden}<button>{escape(label)}</button></form>'


def checkout_page(store: Store, identifier: str, form: Json | None) -> Page:
    session = store.get("checkout.session", identifier)
    if session["status"] != "open":
        return shown("Checkout", "<p>This checkout is no longer open.</p>", 410)
    if form is None:
        return checkout_form(store, session)
    if form.get("action") == "cancel":
        return redirect(session["cancel_url"] or session["success_url"])
    result = checkout_payment.submit(store, session, form.get("card", ""))
    if result["status"] == "challenge":
        return redirect(f"/challenge/{result['intent']}")
    if result["status"] == "declined":
        return checkout_form(store, session, refusal=result["message"])
    return redirect(success_url(session))


def success_url(session: Json) -> str:
    url: str = session["success_url"].replace("{CHECKOUT_SESSION_ID}", session["id"])
    return url


def checkout_form(store: Store, session: Json, refusal: str = "") -> Page:
    lines = "".join(
        f"<li>{line['quantity']} x {escape(line['description'])}: {money(line['amount_total'], line['currency'])}"
        for line in store.private[session["id"]]["lines"]
    )
    options = "".join(
        f'<option value="pm_card_{name}">{escape(name)} … {card.last4}</option>'
        for name, card in CARDS.items()
    )
    total = money(session["amount_total"] or 0, session["currency"] or "eur")
    refused = f'<p class="refused">{escape(refusal)}</p>' if refusal else ""
    card = f'<label>Card <select name="card">{options}</select></label>'
    form = f'<form method="post">{card} <button>Pay {total}</button></form>'
    return shown("Checkout", f"<ul>{lines}</ul>{refused}{form}{button('Cancel', action='cancel')}")


def money(amount: int, currency: str) -> str:
    return f"{amount / 100:.2f} {currency.upper()}"


def challenge_page(store: Store, identifier: str, form: Json | None) -> Page:
    """Ask once, then redirect to where the customer came from."""
    if form is None:
        buttons = button("Complete authentication", answer="yes") + button("Fail authentication", answer="no")
        return shown("3-D Secure", f"<p>Your bank asks whether this is you.</p>{buttons}")
    return redirect(answer_challenge(store, identifier, success=form.get("answer") == "yes") or "/done")


def answer_challenge(store: Store, identifier: str, *, success: bool) -> str | None:
    """Answer the challenge, and return where the customer goes next, if anywhere."""
    intent = store.find(identifier)
    if intent is None:
        raise missing("payment_intent", identifier)
    kind = payments if intent["object"] == "payment_intent" else setup_intents
    kind.authenticate(store, intent, success=success)
    result = checkout_payment.authenticated(store, intent)
    if result is None:
        return_url: str | None = store.private[identifier].get("return_url")
        return return_url
    session = store.get("checkout.session", store.private[identifier]["session"])
    return success_url(session) if result["status"] == "complete" else f"/c/pay/{session['id']}"


def portal_page(store: Store, identifier: str, form: Json | None) -> Page:
    session = store.get("billing_portal.session", "_".join(identifier.split("_")[:2]))
    if form is not None:
        act_in_portal(store, session, form)
    customer = session["customer"]
    parts = [portal_subscription(one) for one in store.all("subscription", customer=customer)]
    parts += [portal_card(one) for one in store.all("payment_method", customer=customer)]
    back = f'<p><a href="{escape(session["return_url"] or "/done")}">Return</a></p>'
    return shown("Billing portal", "".join(parts) + back)


def portal_subscription(subscription: Json) -> str:
    ends = subscription["cancel_at"] is not None
    words = f"<p>{escape(subscription['id'])}: {subscription['status']}{', ends with its period' if ends else ''}</p>"
    if subscription["status"] in {"canceled", "incomplete_expired"}:
        return words
    label, action = ("Do not cancel", "resume") if ends else ("Cancel at the period's end", "cancel")
    return words + button(label, action=action, id=subscription["id"])


def portal_card(method: Json) -> str:
    card = method["card"]
    return f"<p>{card['brand']} … {card['last4']}</p>" + button("Remove", action="detach", id=method["id"])


def act_in_portal(store: Store, session: Json, form: Json) -> None:
    subject = store.find(form.get("id", ""))
    if subject is None or subject.get("customer") != session["customer"]:
        raise Refusal("Not of this customer.", status=404)
    if form.get("action") == "detach":
        payment_methods.detach(store, {}, subject["id"])
    else:
        end_in_portal(store, subject, ends=form.get("action") == "cancel")


def end_in_portal(store: Store, subscription: Json, *, ends: bool) -> None:
    changes = (
        cancellation.schedule_end_in_portal(store, subscription)
        if ends
        else cancellation.schedule_end(store, subscription, at_period_end=False)
    )
    store.change(subscription, "customer.subscription.updated", **changes)


PAGES: dict[str, Callable[[Store, str, Json | None], Page]] = {
    "/c/pay/": checkout_page,
    "/challenge/": challenge_page,
    "/p/session/": portal_page,
}


def page(store: Store, path: str, form: Json | None) -> Page | None:
    """Return a page, or None if there is none at this path."""
    for prefix, show in PAGES.items():
        if path.startswith(prefix):
            try:
                return show(store, path.removeprefix(prefix), form)
            except Refusal as refusal:
                return shown("Not possible", f'<p class="refused">{escape(str(refusal))}</p>', refusal.status)
    if path in {"/", "/done"} or path.startswith(("/invoices/", "/receipts/")):
        return shown("Fake Stripe", "<p>Nothing here is real.</p>")
    return None
