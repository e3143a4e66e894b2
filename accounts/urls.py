"""The routes of accounts on each listener. Another listener's paths are unknown here."""

from django.urls import path

from accounts.views import (
    address,
    events,
    factor_sign_in,
    factors,
    google,
    me,
    mfa_reset,
    password,
    personal_data,
    registration,
    sessions,
    sign_in,
    tokens,
    users,
)

well_known = [
    path(".well-known/jwks.json", tokens.PublicKeys.as_view()),
    path(".well-known/oauth-authorization-server", tokens.Metadata.as_view()),
]

public_urlpatterns = [
    path("v1/auth/register", registration.Register.as_view()),
    path("v1/auth/verify-email", registration.VerifyEmail.as_view()),
    path("v1/auth/resend-verification", registration.ResendVerification.as_view()),
    path("v1/auth/refuse-registration", registration.RefuseRegistration.as_view()),
    path("v1/auth/login", sign_in.Login.as_view()),
    path("v1/auth/login/mfa", factor_sign_in.LoginMFA.as_view()),
    path("v1/auth/passkey/options", factor_sign_in.PasskeySignInOptions.as_view()),
    path("v1/auth/passkey/login", factor_sign_in.PasskeyLogin.as_view()),
    path("v1/auth/mfa", factors.MFA.as_view()),
    path("v1/auth/mfa/totp", factors.TOTP.as_view()),
    path("v1/auth/mfa/totp/confirm", factors.ConfirmTOTP.as_view()),
    path("v1/auth/mfa/recovery-codes", factors.NewRecoveryCodes.as_view()),
    path("v1/auth/mfa/passkeys/options", factors.PasskeyOptions.as_view()),
    path("v1/auth/mfa/passkeys", factors.Passkeys.as_view()),
    path("v1/auth/mfa/passkeys/<int:passkey_id>", factors.OnePasskey.as_view()),
    path("v1/auth/cancel-mfa-reset", mfa_reset.CancelMFAReset.as_view()),
    path("v1/auth/refresh", sign_in.Refresh.as_view()),
    path("v1/auth/logout", sign_in.Logout.as_view()),
    path("v1/auth/logout-all", sign_in.LogoutAll.as_view()),
    path("v1/auth/sessions", sessions.Sessions.as_view()),
    path("v1/auth/sessions/<id:session_id>", sessions.OneSession.as_view()),
    path("v1/auth/reauthenticate", sessions.Reauthenticate.as_view()),
    path("v1/auth/password-reset-request", password.PasswordResetRequest.as_view()),
    path("v1/auth/password-reset", password.PasswordReset.as_view()),
    path("v1/auth/change-password", password.ChangePassword.as_view()),
    path("v1/auth/me", me.Me.as_view()),
    path("v1/auth/me/status", me.MyStatus.as_view()),
    path("v1/auth/me/activity", personal_data.MyActivity.as_view()),
    path("v1/auth/me/export", personal_data.MyData.as_view()),
    path("v1/auth/google/login", google.GoogleLogin.as_view()),
    path("v1/auth/google/callback", google.GoogleCallback.as_view()),
    path("v1/auth/google/nonce", google.GoogleNonce.as_view()),
    path("v1/auth/google/token", google.GoogleToken.as_view()),
    path("v1/auth/google/link", google.GoogleLink.as_view()),
    path("v1/auth/google/unlink", google.GoogleUnlink.as_view()),
    path("v1/auth/exchange", google.Exchange.as_view()),
    path("v1/auth/change-email", address.ChangeEmail.as_view()),
    path("v1/auth/confirm-email-change", address.ConfirmEmailChange.as_view()),
    path("v1/auth/undo-email-change", address.UndoEmailChange.as_view()),
    path("v1/auth/users/<id:user_id>", users.PublicUser.as_view()),
    *well_known,
]

internal_urlpatterns = [
    path("v1/users/lookup", users.LookUpUsers.as_view()),
    path("v1/users/by-email/<path:email>", users.UserByEmail.as_view()),
    path("v1/users/<id:user_id>", users.UserById.as_view()),
    path("v1/tokens/introspect", tokens.Introspect.as_view()),
    path("v1/events", events.Events.as_view()),
    *well_known,
]
