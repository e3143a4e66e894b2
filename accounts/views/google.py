"""Sign-in with Google: in the browser by a redirect, or with an ID token that the client fetched itself."""

from typing import Annotated
from urllib.parse import urlencode

import msgspec
from django.conf import settings
from django.http import HttpResponseRedirect
from django.http.response import HttpResponseBase
from msgspec import UNSET, Meta, UnsetType

from accounts import tiers
from accounts.errors import AccountSuspended, DeletionPending, EmailNotVerified, MFARequired, TokenInvalid
from accounts.google import accounts
from accounts.google import state as google_state
from accounts.google.errors import (
    AccountExists,
    GoogleAccountTaken,
    GoogleAlreadyLinked,
    GoogleEmailNotVerified,
    GoogleNotConfigured,
    GoogleUnavailable,
    IdTokenInvalid,
    LastLoginMethod,
    OAuthCodeInvalid,
    OAuthDenied,
    StateInvalid,
)
from accounts.kit.client import client_of
from accounts.kit.documentation import documented
from accounts.kit.problems import Problem
from accounts.kit.responses import Response
from accounts.mail.terms import MINUTE, in_units
from accounts.sessions import TokenPair
from accounts.sign_in import by_google, exchange
from accounts.sign_in.by_google import Returned
from accounts.tiers import PublicEndpoint, PublicRequest, UserRequest, VerifiedEndpoint
from accounts.views.answers import ID_TOKEN_EXAMPLE, SIGN_IN_EXAMPLE, DeviceToken, Tokens, tokens

FRONT_END_PAGE = "google"
OF_THE_TOKEN = (IdTokenInvalid, GoogleEmailNotVerified, GoogleUnavailable, GoogleNotConfigured)
OF_SIGNING_IN = (
    AccountExists,
    MFARequired,
    EmailNotVerified,
    AccountSuspended,
    DeletionPending,
)
OF_LINKING = (GoogleAccountTaken, GoogleAlreadyLinked)
OF_THE_CALLBACK = (StateInvalid, OAuthCodeInvalid, OAuthDenied, *OF_THE_TOKEN, *OF_SIGNING_IN, *OF_LINKING)
WITHIN = in_units(settings.GOOGLE_SIGN_IN_LIFETIME, MINUTE)
SECRET_EXAMPLE = "lFNTAVYnBzdkS3N4bXhMZw"  # noqa: S105
URL_EXAMPLE = "https://accounts.google.com/o/oauth2/v2/auth?client_id=123-abc.apps.googleusercontent.com&response_type=code&..."
CancelDeletion = Annotated[bool, Meta(description="Keep an account whose deletion is pending.")]


class AuthorizationURL(msgspec.Struct):
    authorization_url: Annotated[str, Meta(description=f"Send the browser here within {WITHIN} minutes.")]


class Linked(msgspec.Struct):
    google_linked: bool = True


class LinkAnswer(msgspec.Struct, omit_defaults=True):
    """Contains one of the two."""

    authorization_url: str | UnsetType = UNSET
    google_linked: bool | UnsetType = UNSET


class Nonce(msgspec.Struct):
    nonce: Annotated[str, Meta(description=f"For one ID token, within {WITHIN} minutes.")]


class GoogleLogin(PublicEndpoint):
    limits = {"GET": ("google_begin",)}

    class Query(tiers.Query):
        redirect: Annotated[bool, Meta(description="Answer with a redirect to Google.")] = False
        cancel_deletion: CancelDeletion = False
        code_challenge: Annotated[
            str | None,
            Meta(
                description="A PKCE challenge (RFC 7636, S256): `exchange` then takes the verifier instead of the "
                "cookie, for pages that this service's cookie does not reach."
            ),
        ] = None

    @documented(
        "Start signing in with Google",
        answer=AuthorizationURL,
        example={"authorization_url": URL_EXAMPLE},
        problems=(GoogleNotConfigured,),
        headers={"Set-Cookie": "The secret that ties the sign-in to this browser."},
        redirects={302: "The `authorization_url`, if `redirect` was set."},
    )
    def get(self, request: PublicRequest) -> HttpResponseBase:
        """Returns the URL to send the browser to, and sets a cookie that the callback needs.

        A page that calls this with `fetch` must send `credentials: "include"`. With `?redirect=1`, a plain link is
        enough.
        """
        query = self.query(request)
        begun = by_google.begin_sign_in(
            binding=binding_of(request),
            cancel_deletion=query.cancel_deletion,
            code_challenge=query.code_challenge,
            client=client_of(request),
        )
        if query.redirect:
            response: HttpResponseBase = HttpResponseRedirect(begun.authorization_url)
        else:
            response = Response(AuthorizationURL(begun.authorization_url))
        return bind(response, begun.binding)


class GoogleCallback(PublicEndpoint):
    limits = {"GET": ("google",), "POST": ("google",)}

    class Query(tiers.Query):
        state: str = ""
        code: str | None = None
        error: str | None = None

    class Body(tiers.Body):
        state: str
        code: str | None = None
        error: Annotated[str | None, Meta(description="Sent by Google instead of a code.")] = None

    @documented(
        "Google redirect callback",
        answer=Tokens,
        example=SIGN_IN_EXAMPLE,
        problems=OF_THE_CALLBACK,
        redirects={303: "The front end's page, with `code`, `google_linked` or `error`."},
    )
    def get(self, request: PublicRequest) -> HttpResponseBase:
        """Google redirects the browser here. If FRONTEND_URL is set, the response is a 303 to the front end's page
        `/google` with `code` (for POST /v1/auth/exchange), `google_linked=true` or `error` (a problem code). A client
        that accepts JSON but not HTML gets the problem document instead. Without FRONTEND_URL, the response is the
        same as that of POST.
        """
        if not settings.FRONTEND_URL:
            return Response(finish(request, self._returned(request)))
        try:
            returned, client = self._returned(request), client_of(request)
            code = by_google.finish_for_front_end(
                by_google.use_state(returned, client=client), returned, client=client
            )
        except Problem as problem:
            if wants_document(request):
                raise
            return to_front_end(error=problem.default_code)
        return to_front_end(code=code) if code is not None else to_front_end(google_linked="true")

    def _returned(self, request: PublicRequest) -> Returned:
        query = self.query(request)
        return Returned(query.state, query.code, query.error, binding_of(request) or "")

    @documented(
        "Finish signing in with Google",
        answer=Tokens,
        example=SIGN_IN_EXAMPLE,
        body_example={"code": "4/0AVGzR1BqFv7gVn2PU", "state": "eyJpZCI6InZxc2...:kJ3cT0m5XvY"},
        problems=OF_THE_CALLBACK,
    )
    def post(self, request: PublicRequest) -> Response:
        """For a front end whose own page is GOOGLE_REDIRECT_URI: send the parameters that Google passed to it, with
        the cookie.

        If an account was linked, the response is `{"google_linked": true}`.
        """
        body = request.data
        return Response(
            finish(request, Returned(body.state, body.code, body.error, binding_of(request) or ""))
        )


class Exchange(PublicEndpoint):
    limits = {"POST": ("google",)}

    class Body(tiers.Body):
        code: str
        code_verifier: Annotated[
            str | None, Meta(description="Needed if `google/login` was given a `code_challenge`.")
        ] = None

    @documented(
        "Exchange a code for tokens",
        answer=Tokens,
        example=SIGN_IN_EXAMPLE,
        body_example={"code": f"0b6f1c1e6c524d0b8f0e1f4b1f0a9c77:{SECRET_EXAMPLE}"},
        problems=(
            TokenInvalid,
            MFARequired,
            EmailNotVerified,
            AccountSuspended,
            DeletionPending,
        ),
    )
    def post(self, request: PublicRequest) -> Response:
        """Exchanges the code that the callback gave to the front end. It works once, for a minute by default, and only
        where the sign-in started: send the cookie that `google/login` set, or the verifier for its `code_challenge`.
        """
        pair = exchange.use(
            request.data.code,
            binding=binding_of(request),
            code_verifier=request.data.code_verifier,
            client=client_of(request),
        )
        return Response(tokens(pair))


class GoogleNonce(PublicEndpoint):
    limits = {"POST": ("google_begin",)}

    @documented(
        "Get a nonce for Google",
        answer=Nonce,
        example={"nonce": f"{SECRET_EXAMPLE}.1795946400.kJ3cT0m5XvY"},
        problems=(GoogleNotConfigured,),
    )
    def post(self, request: PublicRequest) -> Response:
        """For clients that sign in with Google directly (One Tap, native apps): the ID token must contain the nonce."""
        return Response(Nonce(by_google.nonce(client=client_of(request))))


class GoogleToken(PublicEndpoint):
    limits = {"POST": ("google",)}

    class Body(tiers.Body):
        id_token: str
        cancel_deletion: CancelDeletion = False
        device_token: DeviceToken = None

    @documented(
        "Sign in with a Google ID token",
        answer=Tokens,
        example=SIGN_IN_EXAMPLE,
        body_example={"id_token": ID_TOKEN_EXAMPLE},
        problems=(*OF_THE_TOKEN, *OF_SIGNING_IN),
    )
    def post(self, request: PublicRequest) -> Response:
        """The ID token must contain a nonce from this service and works once. A first sign-in creates an account.

        If the account itself is the reason for the refusal (for example `deletion_pending`), the next attempt needs a
        new token.
        """
        body = request.data
        pair = by_google.sign_in_by_token(
            body.id_token,
            cancel_deletion=body.cancel_deletion,
            client=client_of(request, device_token=body.device_token),
        )
        return Response(tokens(pair))


class GoogleLink(VerifiedEndpoint):
    limits = {"POST": ("google_link",)}
    needs_recent_sign_in = True

    class Body(tiers.Body):
        id_token: str | None = None

    @documented(
        "Link a Google account",
        answer=LinkAnswer,
        example={"authorization_url": URL_EXAMPLE},
        body_example={"id_token": ID_TOKEN_EXAMPLE},
        problems=(*OF_LINKING, *OF_THE_TOKEN),
        headers={"Set-Cookie": "The secret that ties the link to this browser."},
    )
    def post(self, request: UserRequest) -> HttpResponseBase:
        """Links the account at once if an ID token is sent; otherwise returns the URL to send the browser to, as
        signing in does.

        From then on, the Google account can sign in to this account, whatever its address. The owner gets an email.
        """
        if request.data.id_token is not None:
            by_google.link_by_token(request.auth, request.data.id_token, client=client_of(request))
            return Response(LinkAnswer(google_linked=True))
        begun = by_google.begin_link(request.auth, binding=binding_of(request))
        return bind(Response(LinkAnswer(begun.authorization_url)), begun.binding)


class GoogleUnlink(VerifiedEndpoint):
    needs_recent_sign_in = True

    @documented("Unlink your Google account", status=204, problems=(LastLoginMethod,))
    def post(self, request: UserRequest) -> Response:
        """Refused if Google is the only way to sign in. The owner gets an email."""
        accounts.unlink(request.auth, client=client_of(request))
        return Response(status=204)


def finish(request: PublicRequest, returned: Returned) -> Tokens | Linked:
    client = client_of(request)
    pair: TokenPair | None = by_google.finish(
        by_google.use_state(returned, client=client), returned, client=client
    )
    return tokens(pair) if pair is not None else Linked()


def wants_document(request: PublicRequest) -> bool:
    """Return whether the client is a program: browsers that follow Google's redirect accept HTML, or anything."""
    accepted = request.META.get("HTTP_ACCEPT", "").lower()
    return "json" in accepted and "html" not in accepted


def to_front_end(**parameters: str) -> HttpResponseRedirect:
    response = HttpResponseRedirect(f"{settings.FRONTEND_URL}/{FRONT_END_PAGE}?{urlencode(parameters)}")
    response.status_code = 303
    return response


# ---------------------------------------------------------------- the binding cookie


def cookie_name() -> str:
    """Return the cookie's name.

    The prefix `__Host-` protects it from pages of other hosts, but needs https, which development lacks.
    """
    return "__Host-google" if _is_secure() else "google"


def binding_of(request: PublicRequest) -> str | None:
    """Return the browser's binding, shared by all tabs, so that concurrent sign-ins do not disturb each other."""
    text = request.COOKIES.get(cookie_name(), "")
    return text if google_state.is_binding(text) else None


def bind(response: HttpResponseBase, binding: str) -> HttpResponseBase:
    response.set_cookie(
        cookie_name(),
        binding,
        max_age=settings.GOOGLE_SIGN_IN_LIFETIME + settings.EXCHANGE_CODE_LIFETIME,
        path="/",
        secure=_is_secure(),
        httponly=True,
        samesite="Lax",  # sent along, because Google's redirect is a top-level GET
    )
    return response


def _is_secure() -> bool:
    return bool(settings.PUBLIC_BASE_URL.startswith("https://"))
