"""Refusals of sign-in with Google; the tree is in accounts/errors.py."""

from accounts.kit.problems import NotFound, Problem, ServiceUnavailable, Unauthenticated


class GoogleNotConfigured(NotFound):
    """Raised while GOOGLE_CLIENT_ID is not set."""

    default_code = "google_not_configured"
    default_detail = "Sign-in with Google is not available here."


class StateInvalid(Problem):
    """Refuses a state that is missing, foreign, of another browser, used or expired alike."""

    default_code = "state_invalid"
    default_detail = "This sign-in was not started in this browser, or has expired. Start again."


class OAuthDenied(Problem):
    default_code = "oauth_denied"
    default_detail = "Google reported that the sign-in was denied. Nothing was changed."


class OAuthCodeInvalid(Problem):
    default_code = "oauth_code_invalid"
    default_detail = "Google rejected this code. Start again."


class IdTokenInvalid(Unauthenticated):
    """The ID token is forged, expired, for another client, used before, or lacks a live nonce of ours."""

    default_code = "id_token_invalid"
    default_detail = "The ID token is not valid here. Request a new nonce and sign in to Google again."


class GoogleEmailNotVerified(Problem):
    status_code = 403
    default_code = "google_email_not_verified"
    default_detail = "Google has not verified the address of this Google account."


class AccountExists(Problem):
    """An address never joins two accounts: only someone who can open the old one may link Google to it."""

    status_code = 409
    default_code = "account_exists"
    default_detail = "An account with this address already exists. Sign in to it, then link Google there."


class GoogleAccountTaken(Problem):
    status_code = 409
    default_code = "google_account_taken"
    default_detail = "This Google account is linked to another account."


class GoogleAlreadyLinked(Problem):
    status_code = 409
    default_code = "google_already_linked"
    default_detail = "Another Google account is already linked. Unlink it first."


class LastLoginMethod(Problem):
    status_code = 409
    default_code = "last_login_method"
    default_detail = "This is the only way to sign in to this account. Set a password first."


class GoogleUnavailable(ServiceUnavailable):
    """Google is down or slow, or its certificate is not valid."""

    default_code = "google_unavailable"
    default_detail = "Google is not responding. Try again, or sign in another way."
    retry_after = 5
