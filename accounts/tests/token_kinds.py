"""One live token of each kind: what accounts/tests/test_token_matrix.py holds side by side."""

from collections.abc import Callable
from functools import cached_property
from typing import Any

import jwt
from django.conf import settings
from django.test import override_settings

from accounts.factors import resets
from accounts.google import state as google_state
from accounts.mail import tokens
from accounts.models import AddressChange, MailToken, PendingRegistration, Session, User
from accounts.sign_in import exchange, staff_enrolment
from accounts.tests.conftest import PASSWORD, post
from accounts.tests.google_steps import begin, nonce, parameters
from accounts.tests.test_tokens import encoded, signed
from tests.authenticators import SoftPasskey, code_of
from tests.fake_google.providers import Provider
from tests.fixtures import give_app, issue_access_token
from tests.listeners import ListenerClient

Purpose = MailToken.Purpose
EMAIL, SUBJECT = "ada@example.com", "700"


class Holders:
    """Ada has a password, Bert an app, Carl a passkey, Dora the admin, and someone a Google account."""

    def __init__(self, google: Provider, make_user: Callable[..., User]) -> None:
        self.google, self.public = google, ListenerClient("public")
        self.ada = make_user(EMAIL, password=PASSWORD)
        self.pair = post(self.public, "login", email=EMAIL, password=PASSWORD).json()
        self.bert = make_user("bert@example.com", password=PASSWORD)
        self.secret = give_app(self.bert)
        self.dora = make_user("dora@example.com", password=PASSWORD, is_staff=True)
        self.newcomer = make_user("new@example.com", verified=False)
        self.make_user = make_user
        google.add(SUBJECT, email="eve@gmail.test")

    # Of mails

    @cached_property
    def verify(self) -> MailToken:
        registration = PendingRegistration.objects.create(
            user=self.newcomer, founding=True, password=self.newcomer.password
        )
        return tokens.issue(
            Purpose.VERIFY, user_id=self.newcomer.pk, email="new@example.com", registration=registration
        )

    @cached_property
    def change(self) -> AddressChange:
        session = Session.objects.get(user=self.ada)
        return AddressChange.objects.create(
            user=self.ada, session=session, old_email=EMAIL, new_email="ada@example.org"
        )

    def of_change(self, purpose: Purpose, email: str) -> str:
        token = tokens.issue(purpose, user_id=self.ada.pk, email=email, change=self.change)
        return tokens.link_token(token)

    def cancel_link(self) -> str:
        resets.request(user_id=self.bert.pk, reason="lost", actor="test")
        return tokens.link_token(MailToken.objects.get(purpose=Purpose.KEEP_FACTORS))

    def enrolment_link(self) -> str:
        return parameters(staff_enrolment.make_link(self.dora, actor="test"))["token"]

    # Of second factors

    def mfa_token(self, email: str = "bert@example.com") -> str:
        answer = post(self.public, "login", email=email, password=PASSWORD)
        return str(answer.json()["mfa_token"])

    def code(self) -> str:
        return code_of(self.secret)

    @cached_property
    def carl(self) -> ListenerClient:
        return self.public.with_token(
            issue_access_token(self.make_user("carl@example.com", password=PASSWORD))
        )

    @cached_property
    def passkey(self) -> SoftPasskey:
        passkey = SoftPasskey()
        made = passkey.make(self.carl.post("/v1/auth/mfa/passkeys/options").json())
        self.carl.post("/v1/auth/mfa/passkeys", {"credential": made, "name": ""})
        return passkey

    @cached_property
    def carls_mfa_token(self) -> str:
        assert self.passkey.credential_id
        return self.mfa_token("carl@example.com")

    def challenge(self, **body: str) -> str:
        return str(self.public.post("/v1/auth/passkey/options", body).json()["challenge"])

    @cached_property
    def registration(self) -> dict[str, Any]:
        """Return what a browser gets to make a passkey by."""
        carl = self.public.with_token(issue_access_token(self.make_user("new-key@example.com")))
        self.registrant = carl
        options: dict[str, Any] = carl.post("/v1/auth/mfa/passkeys/options").json()
        return options

    # Of Google

    @cached_property
    def brought(self) -> dict[str, str]:
        """The state and the code that a browser brings back."""
        return self.google.authorize(begin(self.public), SUBJECT)

    def id_token(self, text: str) -> str:
        return self.google.forge(self.google.claims(SUBJECT, nonce=text))

    # All of them

    def token(self, kind: str) -> str:
        return KINDS[kind](self)

    def link(self, purpose: Purpose) -> str:
        return tokens.link_token(tokens.issue(purpose, user_id=self.ada.pk, email=EMAIL))


def relabelled(token: str, kind: str, ring: Any) -> str:
    """The claims of one kind under the header of the other, signed with the key that the first has."""
    own = {"at+jwt": settings.REFRESH_TOKEN_KEYS, "rt+jwt": settings.JWT_KEYS}[kind][0]
    claims = jwt.decode(token, options={"verify_signature": False})
    header = {"alg": "HS256", "typ": kind, "kid": ring[0].kid}
    text: str = signed(header, claims, own.material)
    assert text.startswith(encoded(header))
    return text


def exchange_code(holders: Holders) -> str:
    with override_settings(FRONTEND_URL="https://app.test"):
        begin(holders.public)
        state = google_state.new("sign_in", binding=holders.public.cookies["__Host-google"].value)
        return exchange.issue(holders.ada, state)


KINDS: dict[str, Callable[[Holders], str]] = {
    "access": lambda holders: str(holders.pair["access_token"]),
    "refresh": lambda holders: str(holders.pair["refresh_token"]),
    "access signed as refresh": lambda holders: relabelled(
        holders.pair["access_token"], "rt+jwt", settings.REFRESH_TOKEN_KEYS
    ),
    "refresh signed as access": lambda holders: relabelled(
        holders.pair["refresh_token"], "at+jwt", settings.JWT_KEYS
    ),
    "verify link": lambda holders: tokens.link_token(holders.verify),
    "refuse link": lambda holders: tokens.link_token(holders.verify, use=tokens.REFUSE),
    "code": lambda holders: tokens.code(holders.verify),
    "reset link": lambda holders: holders.link(Purpose.RESET),
    "change link": lambda holders: holders.of_change(Purpose.CHANGE_EMAIL, "ada@example.org"),
    "undo link": lambda holders: holders.of_change(Purpose.UNDO_EMAIL, EMAIL),
    "cancel link": Holders.cancel_link,
    "enrolment link": Holders.enrolment_link,
    "mfa token": Holders.mfa_token,
    "sign-in challenge": Holders.challenge,
    "second factor's challenge": lambda holders: holders.challenge(mfa_token=holders.carls_mfa_token),
    "registration challenge": lambda holders: str(holders.registration["challenge"]),
    "Google's ID token": lambda holders: holders.id_token(nonce(holders.public)),
    "nonce": lambda holders: nonce(holders.public),
    "state": lambda holders: holders.brought["state"],
    "Google's code": lambda holders: holders.brought["code"],
    "exchange code": exchange_code,
}
