"""Stripe's test cards: what each does when it is saved, charged, and asked for 3-D Secure."""

import hashlib
from dataclasses import dataclass
from typing import Any, Literal

from tests.fake_stripe.wire import Refusal

MESSAGES = {
    "generic_decline": "Your card was declined.",
    "insufficient_funds": "Your card has insufficient funds.",
    "lost_card": "Your card was declined.",
    "stolen_card": "Your card was declined.",
    "expired_card": "Your card has expired.",
    "incorrect_cvc": "Your card's security code is incorrect.",
    "processing_error": "An error occurred while processing your card. Try again in a little bit.",
    "authentication_required": "Your card was declined. This transaction requires authentication.",
}
OWN_CODES = {"expired_card", "incorrect_cvc", "processing_error", "authentication_required"}


@dataclass(frozen=True)
class Card:
    number: str
    brand: str = "visa"
    saving: str | None = None  # the decline code when it is saved for a customer
    charging: str | None = None  # the decline code when it is charged
    challenge: Literal["never", "always", "until_set_up"] = "never"
    funding: str = "credit"
    is_debit: bool = False  # of a bank account, which takes days

    @property
    def last4(self) -> str:
        return self.number[-4:]

    @property
    def fingerprint(self) -> str:
        """Return the same fingerprint for the same number, for every customer."""
        return hashlib.sha256(self.number.encode()).hexdigest()[:16]


CARDS = {
    "visa": Card("4242424242424242"),
    "visa_debit": Card("4000056655665556", funding="debit"),
    "mastercard": Card("5555555555554444", "mastercard"),
    "amex": Card("378282246310005", "amex"),
    "chargeDeclined": Card("4000000000000002", saving="generic_decline", charging="generic_decline"),
    "chargeDeclinedInsufficientFunds": Card(
        "4000000000009995", saving="insufficient_funds", charging="insufficient_funds"
    ),
    "chargeDeclinedLostCard": Card("4000000000009987", saving="lost_card", charging="lost_card"),
    "chargeDeclinedStolenCard": Card("4000000000009979", saving="stolen_card", charging="stolen_card"),
    "chargeDeclinedExpiredCard": Card("4000000000000069", saving="expired_card", charging="expired_card"),
    "chargeDeclinedIncorrectCvc": Card("4000000000000127", saving="incorrect_cvc", charging="incorrect_cvc"),
    "chargeDeclinedProcessingError": Card(
        "4000000000000119", saving="processing_error", charging="processing_error"
    ),
    "chargeCustomerFail": Card("4000000000000341", charging="generic_decline"),
    "authenticationRequired": Card("4000002760003184", challenge="always"),
    "threeDSecure2Required": Card("4000000000003220", challenge="always"),
    "authenticationRequiredOnSetup": Card("4000002500003155", challenge="until_set_up"),
    "authenticationRequiredChargeDeclinedInsufficientFunds": Card(
        "4000008260003178", charging="insufficient_funds", challenge="always"
    ),
}
TOKENS = {f"{prefix}_{name}": card for name, card in CARDS.items() for prefix in ("pm_card", "tok")}
# The accounts that succeed and fail (https://docs.stripe.com/payments/sepa-debit/accept-a-payment?testing).
TOKENS["pm_sepaDebit"] = Card("AT611904300234573201", is_debit=True)
TOKENS["pm_sepaDebitFails"] = Card("AT861904300235473202", charging="insufficient_funds", is_debit=True)
BY_NUMBER = {card.number: card for card in CARDS.values()}


def declined(code: str, **extra: Any) -> Refusal:
    """Return a 402; some decline codes are also its error code, the rest are `card_declined`."""
    error_code = code if code in OWN_CODES else "card_declined"
    return Refusal(MESSAGES[code], status=402, type="card_error", code=error_code, decline_code=code, **extra)
