"""Credit notes, which reduce a final invoice before or after it was paid.

An open invoice owes less, and is paid once nothing is left. For a paid one the money goes back to the card, to the
customer's balance, or outside Stripe, and the three must add up to the note's total
(https://docs.stripe.com/api/credit_notes/create).
"""

from typing import Any

from tests.fake_stripe import balances, invoices, refunds
from tests.fake_stripe.kinds import listed, make
from tests.fake_stripe.listing import page
from tests.fake_stripe.routing import PAGE, route
from tests.fake_stripe.store import Store, merged
from tests.fake_stripe.wire import Json, Refusal


@route(
    "POST",
    "/v1/credit_notes",
    "CreditNoteCreateParams",
    "invoice amount lines credit_amount refund_amount out_of_band_amount reason memo metadata",
)
def create(store: Store, params: Json) -> Json:
    invoice = store.get("invoice", params["invoice"], param="invoice")
    if invoice["status"] not in {"open", "paid"}:
        raise Refusal("Credit notes can only be created for open or paid invoices.", param="invoice")
    lines = [line_of(store, invoice, given) for given in params.get("lines", [])]
    lines = lines or [custom(store, params["amount"])]
    total = sum(line["amount"] + sum(tax["amount"] for tax in line["taxes"]) for line in lines)
    before = min(total, invoice["amount_remaining"]) if invoice["status"] == "open" else 0
    after = total - before
    check(params, invoice, after)
    note = store.add("credit_note", **values(store, params, invoice, lines), **amounts(total, before))
    invoice["pre_payment_credit_notes_amount"] += before
    invoice["post_payment_credit_notes_amount"] += after
    give_back(store, params, invoice, note)
    store.emit("credit_note.created", note)
    if before:
        owe_less(store, invoice, before)
    return note


def check(params: Json, invoice: Json, after: int) -> None:
    names = ("credit_amount", "refund_amount", "out_of_band_amount")
    if sum(params.get(name, 0) for name in names) != after:
        message = "The sum of credit amount, refund amount and out of band amount must equal the post-payment amount."
        raise Refusal(message)
    if after > invoice["total"] - invoice["post_payment_credit_notes_amount"]:
        raise Refusal("Credit notes cannot exceed the invoice.", param="amount")


def line_of(store: Store, invoice: Json, given: Json) -> Json:
    if given["type"] == "custom_line_item":
        return custom(store, given["unit_amount"] * given.get("quantity", 1))
    found = [line for line in invoice["lines"]["data"] if line["id"] == given["invoice_line_item"]]
    if not found:
        raise Refusal("No such invoice line item.", param="lines[0][invoice_line_item]")
    line = found[0]
    amount = given.get("amount", line["amount"])
    taxes = [
        {**tax, "amount": round(tax["amount"] * amount / line["amount"]), "taxable_amount": amount}
        for tax in line["taxes"]
    ]
    return custom(store, amount, type="invoice_line_item", invoice_line_item=line["id"], taxes=taxes)


def custom(store: Store, amount: int, **values: Any) -> Json:
    defaults = {"discount_amount": 0, "discount_amounts": [], "pretax_credit_amounts": [], "tax_rates": []}
    own = {"type": "custom_line_item", "taxes": [], **values}
    return make(
        "credit_note_line_item", id=store.new_id("credit_note_line_item"), amount=amount, **defaults, **own
    )


def amounts(total: int, before: int) -> Json:
    after = total - before
    return {
        "amount": total,
        "post_payment_amount": after,
        "pre_payment_amount": before,
        "subtotal": total,
        "total": total,
        "type": "mixed" if before and after else "pre_payment" if before else "post_payment",
    }


def values(store: Store, params: Json, invoice: Json, lines: list[Json]) -> Json:
    identifier = store.new_id("credit_note")
    return {
        "id": identifier,
        "amount_shipping": 0,
        "currency": invoice["currency"],
        "customer": invoice["customer"],
        "discount_amount": 0,
        "discount_amounts": [],
        "invoice": invoice["id"],
        "lines": listed(lines, f"/v1/credit_notes/{identifier}/lines"),
        "memo": params.get("memo"),
        "metadata": merged(None, params.get("metadata")),
        "number": f"{invoice['number']}-CN-{len(store.tables['credit_note']) + 1:02}",
        "out_of_band_amount": params.get("out_of_band_amount"),
        "pdf": f"{store.public_url}/invoices/{invoice['id']}/credit_note",
        "pretax_credit_amounts": [],
        "reason": params.get("reason"),
        "refunds": [],
        "status": "issued",
    }


def give_back(store: Store, params: Json, invoice: Json, note: Json) -> None:
    if credit := params.get("credit_amount"):
        customer = store.get("customer", invoice["customer"])
        values = {"credit_note": note["id"], "invoice": invoice["id"], "currency": invoice["currency"]}
        made = balances.move(store, customer, -credit, "credit_note", **values)
        note["customer_balance_transaction"] = made["id"] if made else None
    if amount := params.get("refund_amount"):
        intent = invoices.intent_of(store, invoice)
        assert intent is not None
        refund = refunds.create(store, {"payment_intent": intent["id"], "amount": amount})
        note["refunds"] = [
            {
                "amount_refunded": amount,
                "payment_record_refund": None,
                "refund": refund["id"],
                "type": "refund",
            }
        ]


def owe_less(store: Store, invoice: Json, amount: int) -> None:
    invoice["amount_due"] -= amount
    invoice["amount_remaining"] -= amount
    intent = invoices.intent_of(store, invoice)
    if invoice["amount_remaining"] == 0:
        invoices.mark_paid(store, invoice)
    elif intent is not None:
        intent["amount"] = invoice["amount_remaining"]


@route("GET", "/v1/credit_notes", "CreditNoteListParams", f"{PAGE} created customer invoice")
def list_(store: Store, params: Json) -> Json:
    fields = {name: params[name] for name in ("customer", "invoice") if name in params}
    return page(store.all("credit_note", **fields), params, "/v1/credit_notes")


@route("GET", "/v1/credit_notes/{id}", "CreditNoteRetrieveParams")
def retrieve(store: Store, params: Json, identifier: str) -> Json:
    return store.get("credit_note", identifier)


@route("POST", "/v1/credit_notes/{id}/void", "CreditNoteVoidCreditNoteParams")
def void(store: Store, params: Json, identifier: str) -> Json:
    """Void a note that preceded the payment; no other can be voided
    (https://docs.stripe.com/invoicing/dashboard/credit-notes#void).
    """
    note = store.get("credit_note", identifier)
    if note["type"] != "pre_payment":
        raise Refusal("You can only void a credit note of an open invoice.")
    store.change(note, "credit_note.voided", status="void", voided_at=store.now())
    return note
