"""The request as each tier's handlers have it, for the type checker: at run time it is the framework's."""

from typing import TYPE_CHECKING, Any

from rest_framework.request import Request

if TYPE_CHECKING:
    from accounts.models import Session, User
    from accounts.service_keys.registry import ServiceCredential

    class PublicRequest(Request):
        """`data` is an instance of the view's Body."""

        data: Any

    class UserRequest(PublicRequest):
        """Of the tiers Authenticated and Verified: the user, and the session that the token belongs to."""

        user: User
        auth: Session

    class ServiceRequest(PublicRequest):
        """Of the tier Internal Service."""

        auth: ServiceCredential
else:
    PublicRequest = UserRequest = ServiceRequest = Request
