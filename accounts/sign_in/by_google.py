"""Sign in with Google, and link Google accounts.

There are two flows. In the browser's, we send it to Google with a state, and it returns with a code. Clients that talk
to Google themselves (One Tap, native apps) fetch a nonce here and send an ID token that carries it. In both,
accounts/google/id_tokens.py verifies the ID token, and nothing is trusted before that.
"""

from typing import NamedTuple

from django.conf import settings

from accounts import sessions
from accounts.errors import SessionRevoked
from accounts.google import accounts, id_tokens
from accounts.google import client as google_client
from accounts.google import state as google_state
from accounts.google.errors import (
    GoogleAlreadyLinked,
    GoogleEmailNotVerified,
    IdTokenInvalid,
    OAuthCodeInvalid,
    OAuthDenied,
    StateInvalid,
)
from accounts.google.id_tokens import Identity
from accounts.google.state import State
from accounts.kit import throttles
from accounts.kit.client import Client
from accounts.kit.problems import ServiceUnavailable, ValidationFailed
from accounts.models import Session, User
from accounts.sessions import TokenPair
from accounts.sign_in import admission, exchange

TRIES_WHEN_ACCOUNT_CHANGES = 3
NOT_A_CHALLENGE = ("code_challenge", "invalid", "Send the SHA-256 of the verifier, base64url: 43 characters.")


class Beginning(NamedTuple):
    """The URL to which the browser goes, and the secret that its cookie keeps until it returns."""

    authorization_url: str
    binding: str


class Returned(NamedTuple):
    """The values with which the browser returned from Google, or which our own front end sent."""

    state: str
    code: str | None
    error: str | None
    binding: str


def begin_sign_in(
    *, binding: str | None, cancel_deletion: bool, code_challenge: str | None, client: Client
) -> Beginning:
    """Start a sign-in, and return where to send the browser.

    Raise GoogleNotConfigured, RateLimited, or ValidationFailed for an invalid challenge (RFC 7636).
    """
    if code_challenge is not None and not exchange.is_challenge(code_challenge):
        raise ValidationFailed(NOT_A_CHALLENGE)
    google_client.require_configured()
    throttles.take(*throttles.from_network("google_begin", client.limited_ip))
    binding = binding or google_state.new_binding()
    state = google_state.new(
        "sign_in",
        binding=binding,
        cancel_deletion=cancel_deletion,
        front_end_challenge=code_challenge or "",
    )
    return Beginning(_authorization_url(state), binding)


def begin_link(session: Session, *, binding: str | None) -> Beginning:
    """Start linking a Google account; the state is valid only while the session is.

    Raise GoogleNotConfigured, RateLimited or GoogleAlreadyLinked.
    """
    _prepare_link(session)
    if accounts.is_linked(session.user):
        raise GoogleAlreadyLinked
    binding = binding or google_state.new_binding()
    owner = {
        "user_id": session.user_id,
        "session_id": session.pk,
        "token_version": session.user.token_version,
    }
    return Beginning(_authorization_url(google_state.new("link", binding=binding, **owner)), binding)


def _authorization_url(state: State) -> str:
    return google_client.authorization_url(
        state=state.sealed(), nonce=state.nonce, code_challenge=state.code_challenge
    )


def _prepare_link(session: Session) -> None:
    google_client.require_configured()
    throttles.take(throttles.hit("google_link", str(session.user_id)))


# ---------------------------------------------------------------- the browser comes back


@admission.metered("google", done=None)
def use_state(returned: Returned, *, client: Client) -> State:
    """Use up the state with which the browser returned: one of ours, of this browser, and for the first time.

    Raise GoogleNotConfigured, RateLimited or StateInvalid.
    """
    google_client.require_configured()
    throttles.take(*throttles.from_network("google", client.limited_ip))
    return google_state.use_state(returned.state, binding=returned.binding)


def finish(state: State, returned: Returned, *, client: Client) -> TokenPair | None:
    """Sign in, or make the requested link and return None. Raise what the steps below and `admit` raise."""
    if state.purpose == "link":
        finish_link(state, returned, client=client)
        return None
    with admission.metered("google"):
        identity = _identity_behind(state, returned)
        return sign_in(identity, cancel_deletion=state.cancel_deletion, client=client)


def finish_for_front_end(state: State, returned: Returned, *, client: Client) -> str | None:
    """Finish for a separate front end: return a code for POST /v1/auth/exchange, which then decides about admission.

    For a link, make it and return None.
    """
    if state.purpose == "link":
        finish_link(state, returned, client=client)
        return None
    with admission.metered("google", done="exchange_required"):
        user = accounts.user_of(_identity_behind(state, returned), client=client)
        return exchange.issue(user, state)


def finish_link(state: State, returned: Returned, *, client: Client) -> None:
    """Link the Google account.

    Raise StateInvalid if the requesting session has ended, GoogleAccountTaken or GoogleAlreadyLinked.
    """
    identity = _identity_behind(state, returned)
    if state.session_id is None or state.user_id is None:
        raise StateInvalid
    reading = sessions.read(state.session_id, state.user_id)
    if reading is None or not reading.is_live(token_version=state.token_version):
        raise StateInvalid
    try:
        accounts.link(reading.session, identity, client=client)
    except SessionRevoked as error:
        raise StateInvalid from error


def _identity_behind(state: State, returned: Returned) -> Identity:
    """Return the identity that Google vouches for.

    Raise OAuthDenied, OAuthCodeInvalid, IdTokenInvalid, GoogleEmailNotVerified or GoogleUnavailable.
    """
    if returned.error is not None:
        raise OAuthDenied
    if not returned.code:
        raise OAuthCodeInvalid
    raw = google_client.exchange(returned.code, code_verifier=state.code_verifier)
    if raw is None:
        raise IdTokenInvalid
    identity = id_tokens.verify(raw, audiences=[google_client.web_client_id()], now=google_state.now())
    if identity.nonce != state.nonce:
        raise IdTokenInvalid
    google_state.spend_token(identity)
    return identity


# ---------------------------------------------------------------- ID tokens


def nonce(*, client: Client) -> str:
    """Issue a nonce for an ID token. Raise GoogleNotConfigured or RateLimited."""
    google_client.require_configured()
    throttles.take(*throttles.from_network("google_begin", client.limited_ip))
    return google_state.new_nonce()


@admission.metered("google")
def sign_in_by_token(raw: str, *, cancel_deletion: bool, client: Client) -> TokenPair:
    """Sign in with an ID token.

    Raise GoogleNotConfigured, RateLimited, and what `identify`, `user_of` and `admit` raise.
    """
    google_client.require_configured()
    throttles.take(*throttles.from_network("google", client.limited_ip))
    return sign_in(identify(raw), cancel_deletion=cancel_deletion, client=client)


def link_by_token(session: Session, raw: str, *, client: Client) -> None:
    """Link the Google account of an ID token.

    Raise GoogleNotConfigured, RateLimited, and what `identify` and `link` raise.
    """
    _prepare_link(session)
    accounts.link(session, identify(raw), client=client)


def identify(raw: str) -> Identity:
    """Return the identity of an ID token, and use up the token and its nonce.

    Raise IdTokenInvalid, GoogleEmailNotVerified or GoogleUnavailable.
    """
    identity = id_tokens.verify(raw, audiences=settings.GOOGLE_CLIENT_IDS, now=google_state.now())
    google_state.use_token(identity)
    return identity


def is_linked(user: User) -> bool:
    """Return whether the user can prove their identity with Google."""
    return bool(settings.GOOGLE_CLIENT_IDS) and accounts.is_linked(user)


def proves(user: User, raw: str) -> bool:
    """Return whether the ID token is for the user's linked Google account, and shows that the user is present.

    A fresh token only shows that a browser is signed in at Google. If it says when its user last authenticated
    (`auth_time`, on request), that must be recent. Raise GoogleUnavailable.
    """
    try:
        identity = identify(raw)
    except (IdTokenInvalid, GoogleEmailNotVerified):
        return False
    return accounts.is_of(user, identity) and _was_there_lately(identity)


def _was_there_lately(identity: Identity) -> bool:
    if identity.auth_time is None:
        return not settings.GOOGLE_PROOF_NEEDS_AUTH_TIME
    oldest = google_state.now() - settings.RECENT_SIGN_IN.total_seconds() - id_tokens.LEEWAY
    return identity.auth_time >= oldest


# ---------------------------------------------------------------- letting in


def sign_in(identity: Identity, *, cancel_deletion: bool, client: Client) -> TokenPair:
    """Sign in the user of this Google account. Raise AccountExists, and the refusals of `admit`."""
    for _ in range(TRIES_WHEN_ACCOUNT_CHANGES):
        user = accounts.user_of(identity, client=client)
        admission.require_verified(user)
        pair = admission.admit(
            user, methods=[exchange.GOOGLE], cancel_deletion=cancel_deletion, client=client
        )
        if pair is not None:
            return pair
    raise ServiceUnavailable
