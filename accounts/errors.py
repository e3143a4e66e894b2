"""Refusals of the accounts app. Their base, and refusals that any service has, are in accounts/kit/problems.py.

Problem
+-- NotAuthenticated 401     no access token was sent
+-- AccessTokenInvalid 401   malformed, forged, of another kind, or of a deleted user
...
"""

from typing import Literal

from django.conf import settings

from accounts.kit.problems import NotFound, Problem, Unauthenticated


class NotAuthenticated(Unauthenticated):
    default_code = "not_authenticated"
    default_detail = "Send an access token: `Authorization: Bearer <access token>`."


class AccessTokenInvalid(Unauthenticated):
    default_code = "access_token_invalid"
    default_detail = "The access token is not valid. Sign in again."
    challenge = 'Bearer realm="api", error="invalid_token"'


class AccessTokenExpired(AccessTokenInvalid):
    default_code = "access_token_expired"
    default_detail = "The access token has expired. Use the refresh token."


class SessionRevoked(AccessTokenInvalid):
    default_code = "session_revoked"
    default_detail = "This session has ended. Sign in again."


class EmailNotVerified(Problem):
    status_code = 403
    default_code = "email_not_verified"
    default_detail = "Verify the email address first; POST /v1/auth/resend-verification sends another email."


class MFAEnrolmentRequired(Problem):
    """Raised where MFA_REQUIRED demands a factor that the account lacks.

    The calls under /v1/auth/mfa, `reauthenticate` and signing out work without one.
    """

    status_code = 403
    default_code = "mfa_enrolment_required"
    default_detail = (
        "This account needs a second factor first: POST /v1/auth/mfa/totp or /v1/auth/mfa/passkeys/options. "
        "Staff enrol theirs through a one-time link from an operator."
    )


class ApiKeyMissing(Unauthenticated):
    default_code = "api_key_missing"
    default_detail = "Send the service's key in the header X-API-Key."
    challenge = 'ApiKey realm="internal"'


class ApiKeyInvalid(Unauthenticated):
    """Refuses unknown, wrong, revoked and expired keys alike."""

    default_code = "api_key_invalid"
    default_detail = "The API key is not valid."
    challenge = 'ApiKey realm="internal"'


class ScopeMissing(Problem):
    status_code = 403
    default_code = "scope_missing"
    default_detail = "This API key lacks the scope that the call needs."


class UserNotFound(NotFound):
    default_code = "user_not_found"
    default_detail = "User not found."


class InvalidCredentials(Unauthenticated):
    """Refuses an unknown address, a wrong password, no password and a deleted account alike (OWASP ASVS 6.3.8)."""

    default_code = "invalid_credentials"
    default_detail = "The email address or password is wrong."


class MFARequired(Unauthenticated):
    """The first step was correct. `methods` lists the account's second factors.

    POST /v1/auth/login/mfa is the second step, and takes one of them with `mfa_token`, within five minutes.
    """

    default_code = "mfa_required"
    members = {"mfa_token": str, "methods": list[Literal["totp", "passkey", "recovery_code"]]}
    example = {"mfa_token": "mfa_1Qk9...", "methods": ["totp", "recovery_code"]}
    default_detail = (
        "This account has a second factor: send it to POST /v1/auth/login/mfa with this `mfa_token`."
    )


class MFATokenInvalid(Unauthenticated):
    """Refuses a token alike if it is unknown, used, expired or out of attempts, and if the account has changed."""

    default_code = "mfa_token_invalid"
    default_detail = "Start the sign-in again: this token is no longer valid."


class EnrolmentCodeWrong(Problem):
    """A 400, because nobody is signing in: an authenticator app is being added."""

    default_code = "mfa_invalid_code"
    default_detail = "This code is incorrect. Use the newest one in the app."


class EnrolmentOver(EnrolmentCodeWrong):
    """No code can be correct: the secret has expired, or was shown to another session."""

    default_detail = (
        "This session has no authenticator app waiting to be confirmed. Start again to get a new secret."
    )


class MFAInvalidCode(Unauthenticated):
    """A 401 at sign-in; adding an authenticator app has a 400 of the same code."""

    default_code = "mfa_invalid_code"
    default_detail = "This code or credential is incorrect or was already used."


class PasskeyInvalid(Unauthenticated):
    """Refuses an unknown, foreign, forged or replayed credential, or one without user verification, alike."""

    default_code = "passkey_invalid"
    default_detail = "This passkey cannot be used to sign in. Request new options and try again."


class PasskeyRefused(Problem):
    default_code = "passkey_refused"
    default_detail = "This credential cannot be added. Request new options and try again."


class PasskeyLimit(Problem):
    status_code = 409
    default_code = "passkey_limit"
    default_detail = f"The account has {settings.MOST_PASSKEYS} passkeys. Remove one first."


class TOTPAlreadyEnabled(Problem):
    status_code = 409
    default_code = "totp_already_enabled"
    default_detail = "The account already has an authenticator app. Remove it before you add another one."


class StaffEnrolmentRequired(Problem):
    """Otherwise a stolen staff password would suffice to enrol, and so to enter the admin."""

    status_code = 403
    default_code = "staff_enrolment_required"
    default_detail = "Staff enrol their first second factor through a one-time link from an operator."


class MFANotEnabled(Problem):
    status_code = 409
    default_code = "mfa_not_enabled"
    default_detail = "The account has no second factor, so it has no recovery codes."


class AccountSuspended(Problem):
    status_code = 403
    default_code = "account_suspended"
    default_detail = "This account is suspended."


class AccountContested(Problem):
    """The old address took the account back after the new one had set its password; staff must decide."""

    status_code = 403
    default_code = "account_contested"
    default_detail = "Two addresses claim this account. Purchases are blocked until staff have decided."


class DeletionPending(Problem):
    status_code = 403
    default_code = "deletion_pending"
    default_detail = "This account is being deleted. To keep it, sign in with `cancel_deletion` set to true."


class RefreshTokenInvalid(Unauthenticated):
    default_code = "refresh_token_invalid"
    default_detail = "The refresh token is not valid. Sign in again."


class RefreshTokenExpired(Unauthenticated):
    default_code = "refresh_token_expired"
    default_detail = "The refresh token has expired. Sign in again."


class RefreshTokenReused(Unauthenticated):
    """A superseded token ends the whole session (RFC 9700, 4.14.2)."""

    default_code = "refresh_token_reused"
    default_detail = "This refresh token was already used, so the session was ended. Sign in again."


class RefreshSessionRevoked(Unauthenticated):
    default_code = "session_revoked"
    default_detail = "This session has ended. Sign in again."


class ReauthenticationRequired(Problem):
    """`methods` lists what this account can send to POST /v1/auth/reauthenticate; if empty, sign in in full."""

    status_code = 403
    default_code = "reauthentication_required"
    members = {"methods": list[Literal["password", "id_token", "code", "credential"]]}
    example = {"methods": ["password"]}
    default_detail = (
        "Reauthenticate first: POST /v1/auth/reauthenticate with one of `methods`, or sign in again."
    )


class ReauthenticationFailed(Problem):
    status_code = 403
    default_code = "reauthentication_failed"
    default_detail = "The proof is wrong. Nothing was changed."


class FactorNotFound(NotFound):
    default_code = "factor_not_found"
    default_detail = "Second factor not found."


class SessionNotFound(NotFound):
    default_code = "session_not_found"
    default_detail = "Session not found."


class TokenInvalid(Problem):
    """Refuses mailed tokens and codes that are unknown, used, expired or void alike."""

    default_code = "token_invalid"
    default_detail = "The link or code is no longer valid. Request a new one."
