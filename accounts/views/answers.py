"""Shapes that several responses share, and their examples for the OpenAPI document."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from accounts.models import User
from accounts.sessions import TokenPair

USER_ID = "7d1f4c62-0a4e-4b53-9a3f-0c5f2d1f6a10"
EMAIL = "ada@example.com"
ID_TOKEN_EXAMPLE = "eyJhbGciOiJSUzI1NiIsImtpZCI6IjVmMGMyYjdkIn0.eyJpc3Mi..."  # noqa: S105
LINK_EXAMPLE = "fR9MYgpOS1OaPwxfLR9qEF5y4n1mJ7zq0b5o3uW8c2QkP1sX6tYvA9dE4gH7iKlM"


class Detail(msgspec.Struct):
    """A message to show to people."""

    detail: str


class Tokens(msgspec.Struct, kw_only=True):
    access_token: Annotated[str, Meta(description="Send it as `Authorization: Bearer ...`.")]
    refresh_token: Annotated[str, Meta(description="Exchange it at POST /v1/auth/refresh. It works once.")]
    token_type: str = "Bearer"  # noqa: S105
    expires_in: Annotated[int, Meta(description="Seconds until the access token expires.")]
    refresh_expires_in: Annotated[
        int, Meta(description="Seconds until the refresh token expires if it is not used.")
    ]
    device_token: Annotated[
        str | UnsetType,
        Meta(
            description="Only after a sign-in. Keep it when the session ends, and send it with the next sign-in."
        ),
    ] = UNSET


# In the body of each sign-in. Kept on the device, it lets the owner in while strangers guess at the account.
DeviceToken = Annotated[
    str | None, Meta(description="The `device_token` from the last sign-in on this device.")
]


TOKENS_EXAMPLE = {
    "access_token": "eyJhbGciOiJIUzI1NiIsImtpZCI6ImsxIiwidHlwIjoiYXQrand0In0.eyJzdWIi...",
    "refresh_token": "eyJhbGciOiJIUzI1NiIsImtpZCI6InIxIiwidHlwIjoicnQrand0In0.eyJzdWIi...",
    "token_type": "Bearer",
    "expires_in": 3600,
    "refresh_expires_in": 1209600,
}
SIGN_IN_EXAMPLE = {
    **TOKENS_EXAMPLE,
    "device_token": "8Zq3hJtq0w1c5nT2xYb7kA.3f0c9b1d5e7a2846c0d9e8f7a6b5c4d3~1vSx2K~kJ3cT0m5XvY...",
}


def tokens(pair: TokenPair) -> Tokens:
    return Tokens(**{name: value for name, value in pair._asdict().items() if value is not None})


class Status(msgspec.Struct, kw_only=True):
    id: UUID
    email: str | None
    email_verified: bool
    status: str


class Profile(msgspec.Struct, kw_only=True):
    """Everything that users can see of their own account."""

    id: UUID
    email: str | None
    email_verified: bool
    display_name: str
    locale: str
    timezone: str
    has_password: bool
    google_linked: bool
    mfa_enabled: bool
    status: str
    created_at: datetime


PROFILE_EXAMPLE = {
    "id": USER_ID,
    "email": EMAIL,
    "email_verified": True,
    "display_name": "Ada",
    "locale": "en",
    "timezone": "Europe/Rome",
    "has_password": True,
    "google_linked": False,
    "mfa_enabled": False,
    "status": "active",
    "created_at": "2026-11-23T10:00:00Z",
}


def profile(user: User) -> Profile:
    return Profile(
        id=user.pk,
        email=user.email,
        email_verified=user.email_verified,
        display_name=user.display_name,
        locale=user.locale,
        timezone=user.timezone,
        has_password=user.has_usable_password(),
        google_linked=user.google_linked,
        mfa_enabled=user.mfa_enabled,
        status=user.status,
        created_at=user.created_at,
    )


class PublicUser(msgspec.Struct, kw_only=True):
    """The part of a user that anyone may see; never an address."""

    id: UUID
    display_name: str
    status: str


class KnownUser(msgspec.Struct, kw_only=True):
    """The part of a user that other services may see."""

    id: UUID
    email: str | None
    email_verified: bool
    display_name: str
    status: str
    created_at: datetime


KNOWN_USER_EXAMPLE = {
    "id": USER_ID,
    "email": EMAIL,
    "email_verified": True,
    "display_name": "Ada",
    "status": "active",
    "created_at": "2026-11-23T10:00:00Z",
}


def known_user(user: User) -> KnownUser:
    return KnownUser(
        id=user.pk,
        email=user.email,
        email_verified=user.email_verified,
        display_name=user.display_name,
        status=user.status,
        created_at=user.created_at,
    )
