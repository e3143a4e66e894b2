"""What each listener offers of accounts. A path of another listener is an unknown path there."""

from django.urls import path

from accounts.views import events, me, registration, sign_in, tokens, users

public_urlpatterns = [
    path("v1/auth/register", registration.Register.as_view()),
    path("v1/auth/verify-email", registration.VerifyEmail.as_view()),
    path("v1/auth/resend-verification", registration.ResendVerification.as_view()),
    path("v1/auth/login", sign_in.Login.as_view()),
    path("v1/auth/refresh", sign_in.Refresh.as_view()),
    path("v1/auth/logout", sign_in.Logout.as_view()),
    path("v1/auth/logout-all", sign_in.LogoutAll.as_view()),
    path("v1/auth/me", me.Me.as_view()),
    path("v1/auth/me/status", me.MyStatus.as_view()),
    path("v1/auth/users/<uuid:user_id>", users.PublicUser.as_view()),
    path(".well-known/jwks.json", tokens.PublicKeys.as_view()),
]

internal_urlpatterns = [
    path("v1/users/lookup", users.LookUpUsers.as_view()),
    path("v1/users/by-email/<path:email>", users.UserByEmail.as_view()),
    path("v1/users/<uuid:user_id>", users.UserById.as_view()),
    path("v1/tokens/introspect", tokens.Introspect.as_view()),
    path("v1/events", events.Events.as_view()),
]
