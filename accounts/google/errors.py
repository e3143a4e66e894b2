"""The refusals of signing in with Google; the tree is that of accounts/errors.py."""

from accounts.kit.problems import NotFound, Problem, ServiceUnavailable, Unauthenticated


class GoogleNotConfigured(NotFound):
    """Without GOOGLE_CLIENT_ID there is no such way of signing in here."""

    default_code = "google_not_configured"
    default_detail = "This service does not offer signing in with Google."


class StateInvalid(Problem):
    """Missing, foreign, of another browser, used or expired: alike."""

    default_code = "state_invalid"
    default_detail = "This sign-in did not begin here, or is over. Begin again."


class OAuthDenied(Problem):
    default_code = "oauth_denied"
    default_detail = "Google says that the sign-in was not allowed. Nothing has changed."


class OAuthCodeInvalid(Problem):
    default_code = "oauth_code_invalid"
    default_detail = "Google does not accept this code. Begin again."


class IdTokenInvalid(Unauthenticated):
    """Forged, expired, for somebody else, without a live nonce of ours, or used before: alike."""

    default_code = "id_token_invalid"
    default_detail = "The ID token is not valid here. Ask for a new nonce and sign in to Google again."


class GoogleEmailNotVerified(Problem):
    status_code = 403
    default_code = "google_email_not_verified"
    default_detail = "Google has not verified the address of this Google account."


class AccountExists(Problem):
    """An address never joins two accounts: only who can open the old one may link Google to it."""

    status_code = 409
    default_code = "account_exists"
    default_detail = "There is an account with this address. Sign in to it, then link Google there."


class GoogleAccountTaken(Problem):
    status_code = 409
    default_code = "google_account_taken"
    default_detail = "This Google account is linked to another account."


class GoogleAlreadyLinked(Problem):
    status_code = 409
    default_code = "google_already_linked"
    default_detail = "Another Google account is linked already. Unlink it first."


class LastLoginMethod(Problem):
    status_code = 409
    default_code = "last_login_method"
    default_detail = "Nothing else opens this account. Set a password first."


class GoogleUnavailable(ServiceUnavailable):
    """Down, slow, or not who its certificate says."""

    default_code = "google_unavailable"
    default_detail = "Google does not answer just now. Try again, or sign in another way."
    retry_after = 5
