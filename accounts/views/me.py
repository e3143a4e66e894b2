"""The signed-in user's own account."""

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from accounts import tiers
from accounts.identity import deletion, profile
from accounts.kit import throttles
from accounts.kit.client import client_of
from accounts.kit.documentation import documented
from accounts.kit.problems import ValidationFailed
from accounts.kit.responses import Response
from accounts.tiers import AuthenticatedEndpoint, UserRequest, VerifiedEndpoint
from accounts.views import answers


class Deletion(msgspec.Struct):
    deletes_at: datetime
    forfeits: Annotated[int, Meta(description="Credits that are lost when the account is erased.")]


class Me(VerifiedEndpoint):
    limits = {"PATCH": ("change_profile",)}
    needs_recent_sign_in = ("DELETE",)

    class Body(tiers.Body):
        display_name: Annotated[str, Meta(description="At most 100 characters.")] | UnsetType = UNSET
        locale: Annotated[str, Meta(description="Language of emails.")] | UnsetType = UNSET
        timezone: Annotated[str, Meta(description="A name from the IANA time zone database.")] | UnsetType = (
            UNSET
        )

    @documented("Get your account", answer=answers.Profile, example=answers.PROFILE_EXAMPLE)
    def get(self, request: UserRequest) -> Response:
        """Returns the account as it is now."""
        return Response(answers.profile(request.user))

    @documented(
        "Update your profile",
        answer=answers.Profile,
        example=answers.PROFILE_EXAMPLE,
        body_example={"display_name": "Ada", "timezone": "Europe/Rome"},
        problems=(ValidationFailed,),
    )
    def patch(self, request: UserRequest) -> Response:
        """Changes the fields that are sent and leaves the others."""
        throttles.take(throttles.hit("change_profile", str(request.user.pk)))
        fields = {
            name: text for name, text in msgspec.structs.asdict(request.data).items() if text is not UNSET
        }
        return Response(answers.profile(profile.change(request.user, client=client_of(request), **fields)))

    @documented(
        "Delete your account",
        answer=Deletion,
        status=202,
        example={"deletes_at": "2026-12-07T10:00:00Z", "forfeits": 85},
    )
    def delete(self, request: UserRequest) -> Response:
        """Closes the account at once and erases it at `deletes_at`, unless its owner signs in with `cancel_deletion`.

        Every session ends. Until the account is erased, nobody can look the user up, nothing can be spent, and the
        address stays reserved.
        """
        return Response(Deletion(*deletion.request(request.auth, client=client_of(request))), 202)


class MyStatus(AuthenticatedEndpoint):
    works_without_factor = True

    @documented(
        "Get your status",
        answer=answers.Status,
        example={"id": answers.USER_ID, "email": answers.EMAIL, "email_verified": False, "status": "active"},
    )
    def get(self, request: UserRequest) -> Response:
        """Returns whether the address is verified, for apps that wait for that."""
        user = request.user
        return Response(
            answers.Status(
                id=user.pk, email=user.email, email_verified=user.email_verified, status=user.status
            )
        )
