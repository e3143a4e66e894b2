"""Authentication of requests for Django REST Framework.

    REST_FRAMEWORK = {"DEFAULT_AUTHENTICATION_CLASSES": ["auth_service_client.drf.AccessTokenAuthentication"]}

AUTH_SERVICE is the same as for auth_service_client.django. `request.user` is the Identity; DRF's IsAuthenticated
requires one.
"""

from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import APIException, AuthenticationFailed
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.views import APIView

from auth_service_client.django import bearer, verifier
from auth_service_client.errors import AuthServiceError, TokenRefused
from auth_service_client.tokens import Identity


class Unavailable(APIException):
    status_code = 503
    default_detail = "Who you are cannot be found out now."


class AccessTokenAuthentication(BaseAuthentication):
    """Accepts the auth service's access tokens: 401 if one is not live, 503 while the service does not answer."""

    def authenticate(self, request: Request) -> tuple[Identity, str] | None:
        token = bearer(request)
        if token is None:
            return None
        try:
            return verifier().verify_token(token), token
        except TokenRefused as refusal:
            raise AuthenticationFailed(str(refusal)) from None
        except AuthServiceError as error:
            raise Unavailable from error

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


class IsVerified(IsAuthenticated):
    """Requires a verified address as well."""

    message = "Verify the email address first."

    def has_permission(self, request: Request, view: APIView) -> bool:
        return super().has_permission(request, view) and bool(getattr(request.user, "email_verified", False))
