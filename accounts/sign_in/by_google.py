"""Signing in with Google, and linking a Google account: what each step proves, and what follows from it.

Two ways lead here. The browser's: we send it to Google with a state and get it back with a code. And that of clients
that talk to Google themselves (One Tap, native apps): they fetch a nonce here and bring an ID token that carries it.
Either way the ID token is checked by accounts/google/id_tokens.py, and nothing is believed before that.
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
    """Name where the browser must go, and the secret that its cookie keeps until it comes back."""

    authorization_url: str
    binding: str


class Returned(NamedTuple):
    """Holds what the browser brought back from Google, or from our own front end."""

    state: str
    code: str | None
    error: str | None
    binding: str


def begin_sign_in(
    *, binding: str | None, cancel_deletion: bool, code_challenge: str | None, client: Client
) -> Beginning:
    """Return where the browser is sent. Raises GoogleNotConfigured, RateLimited; ValidationFailed for what is not a
    challenge of RFC 7636.
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
    """The link dies with the session. Raises GoogleNotConfigured, RateLimited, GoogleAlreadyLinked."""
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
    """The first step: whether it is one of ours, of this browser, for the first time.

    Raises GoogleNotConfigured, RateLimited, StateInvalid.
    """
    google_client.require_configured()
    throttles.take(*throttles.from_network("google", client.limited_ip))
    return google_state.use_state(returned.state, binding=returned.binding)


def finish(state: State, returned: Returned, *, client: Client) -> TokenPair | None:
    """Sign in, or make the link that was asked for and return None. Raises what the steps below and `admit` say."""
    if state.purpose == "link":
        finish_link(state, returned, client=client)
        return None
    with admission.metered("google"):
        identity = _identity_behind(state, returned)
        return sign_in(identity, cancel_deletion=state.cancel_deletion, client=client)


def finish_for_front_end(state: State, returned: Returned, *, client: Client) -> str | None:
    """The same for a front end of its own: a code for POST /v1/auth/exchange, which then lets them in or not."""
    if state.purpose == "link":
        finish_link(state, returned, client=client)
        return None
    with admission.metered("google", done="exchange_required"):
        user = accounts.user_of(_identity_behind(state, returned), client=client)
        return exchange.issue(user, state)


def finish_link(state: State, returned: Returned, *, client: Client) -> None:
    """Link the Google account. Raises StateInvalid where the session that asked has ended; GoogleAccountTaken,
    GoogleAlreadyLinked.
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
    """Return who came back from Google. Raises OAuthDenied, OAuthCodeInvalid, IdTokenInvalid, GoogleEmailNotVerified,
    GoogleUnavailable.
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
    """Make a nonce for an ID token. Raises GoogleNotConfigured, RateLimited."""
    google_client.require_configured()
    throttles.take(*throttles.from_network("google_begin", client.limited_ip))
    return google_state.new_nonce()


@admission.metered("google")
def sign_in_by_token(raw: str, *, cancel_deletion: bool, client: Client) -> TokenPair:
    """Sign in with an ID token. Raises GoogleNotConfigured, RateLimited, and what `identify`, `user_of` and `admit`
    say.
    """
    google_client.require_configured()
    throttles.take(*throttles.from_network("google", client.limited_ip))
    return sign_in(identify(raw), cancel_deletion=cancel_deletion, client=client)


def link_by_token(session: Session, raw: str, *, client: Client) -> None:
    """Link the Google account of an ID token. Raises GoogleNotConfigured, RateLimited, and what `identify` and `link`
    say.
    """
    _prepare_link(session)
    accounts.link(session, identify(raw), client=client)


def identify(raw: str) -> Identity:
    """Whose ID token it is; its nonce and it are used up. Raises IdTokenInvalid, GoogleEmailNotVerified,
    GoogleUnavailable.
    """
    identity = id_tokens.verify(raw, audiences=settings.GOOGLE_CLIENT_IDS, now=google_state.now())
    google_state.use_token(identity)
    return identity


def is_linked(user: User) -> bool:
    """Return whether users can prove by Google who they are."""
    return bool(settings.GOOGLE_CLIENT_IDS) and accounts.is_linked(user)


def proves(user: User, raw: str) -> bool:
    """Return whether the ID token is that of the Google account that opens this one, from someone who is there now.

    That Google gave it a moment ago only says that a browser is signed in there: where the token says when its user was
    asked (`auth_time`, on request), that must be recent. Raises GoogleUnavailable.
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
    """Sign in the user of this Google account. Raises AccountExists, and the refusals of `admit`."""
    for _ in range(TRIES_WHEN_ACCOUNT_CHANGES):
        user = accounts.user_of(identity, client=client)
        admission.require_verified(user)
        pair = admission.admit(
            user, methods=[exchange.GOOGLE], cancel_deletion=cancel_deletion, client=client
        )
        if pair is not None:
            return pair
    raise ServiceUnavailable
