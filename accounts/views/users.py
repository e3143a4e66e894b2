"""Look-ups of users: by anyone, without the address, and by other services, with it."""

from typing import Annotated
from uuid import UUID

import msgspec
from django.db.models import QuerySet
from msgspec import Meta

from accounts import tiers
from accounts.errors import UserNotFound
from accounts.kit import email_address, throttles
from accounts.kit.client import client_of
from accounts.kit.documentation import documented
from accounts.kit.problems import ValidationFailed
from accounts.kit.responses import Response
from accounts.models import User
from accounts.tiers import InternalEndpoint, PublicEndpoint, PublicRequest, ServiceRequest
from accounts.views import answers


def found(users: QuerySet[User]) -> User:
    user = users.first()
    if user is None:
        raise UserNotFound
    return user


class PublicUser(PublicEndpoint):
    limits = {"GET": ("user_lookup",)}

    @documented(
        "Look up a user",
        answer=answers.PublicUser,
        example={"id": answers.USER_ID, "display_name": "Ada", "status": "active"},
        problems=(UserNotFound,),
    )
    def get(self, request: PublicRequest, user_id: UUID) -> Response:
        """Returns an active user's name, never an address."""
        throttles.take(*throttles.from_network("user_lookup", client_of(request).limited_ip))
        user = found(User.objects.active().filter(pk=user_id))
        return Response(answers.PublicUser(id=user.pk, display_name=user.display_name, status=user.status))


class UserById(InternalEndpoint):
    scope = "users:read"

    @documented(
        "Look up a user by id",
        answer=answers.KnownUser,
        example=answers.KNOWN_USER_EXAMPLE,
        problems=(UserNotFound,),
    )
    def get(self, request: ServiceRequest, user_id: UUID) -> Response:
        """Returns a user who is neither deleted nor about to be."""
        return Response(answers.known_user(found(User.objects.present().filter(pk=user_id))))


class UserByEmail(InternalEndpoint):
    scope = "users:read"

    @documented(
        "Look up a user by address",
        answer=answers.KnownUser,
        example=answers.KNOWN_USER_EXAMPLE,
        problems=(UserNotFound,),
    )
    def get(self, request: ServiceRequest, email: str) -> Response:
        """Returns the user with this address, in any spelling. `email_verified` says whether it is confirmed."""
        return Response(answers.known_user(found(User.objects.present().by_email(email))))


class FoundUsers(msgspec.Struct):
    results: list[answers.KnownUser]


class LookUpUsers(InternalEndpoint):
    scope = "users:read"

    class Body(tiers.Body):
        emails: Annotated[list[str], Meta(min_length=1, max_length=100)] | None = None
        ids: Annotated[list[UUID], Meta(min_length=1, max_length=100)] | None = None

    @documented(
        "Look up many users",
        answer=FoundUsers,
        example={"results": [answers.KNOWN_USER_EXAMPLE]},
        body_example={"emails": [answers.EMAIL]},
        problems=(ValidationFailed,),
    )
    def post(self, request: ServiceRequest) -> Response:
        """Returns the users that exist among up to 100 `emails` or `ids`."""
        body = request.data
        users = User.objects.present().order_by("created_at", "pk")
        if body.ids is not None and body.emails is None:
            users = users.filter(pk__in=body.ids)
        elif body.emails is not None and body.ids is None:
            users = users.filter(email__in=[email_address.normalize(email) for email in body.emails])
        else:
            raise ValidationFailed(("emails", "required", "Send either `emails` or `ids`."))
        return Response(FoundUsers([answers.known_user(user) for user in users]))
