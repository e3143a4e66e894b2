"""The permission class of each tier. This module imports no view: REST_FRAMEWORK names `Deny` from here."""

from typing import Any

from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from accounts import sessions
from accounts.authentication import get_current_active_user, get_current_user, get_internal_service
from accounts.errors import ScopeMissing


class Deny(BasePermission):
    """The framework's default: a view that declares no tier answers nobody."""

    def has_permission(self, request: Request, view: Any) -> bool:
        return False


class IsPublic(BasePermission):
    """Public: no credential, or one that the body carries and the view checks."""

    def has_permission(self, request: Request, view: Any) -> bool:
        return True


class IsAuthenticated(BasePermission):
    """Authenticated: a live session of an active user."""

    def has_permission(self, request: Request, view: Any) -> bool:
        get_current_user(request)
        _want_proofs(request, view)
        return True


class IsVerified(BasePermission):
    """Verified: the same, and the address is verified, as the database says now."""

    def has_permission(self, request: Request, view: Any) -> bool:
        get_current_active_user(request)
        _want_proofs(request, view)
        return True


class IsInternalService(BasePermission):
    """Internal Service: a live key that holds a scope which the view names for the method."""

    def has_permission(self, request: Request, view: Any) -> bool:
        held, needed = get_internal_service(request).scopes, view.required_scopes(request.method)
        if needed and held.isdisjoint(needed):
            raise ScopeMissing
        return True


def _want_proofs(request: Request, view: Any) -> None:
    """Ask what MFA_REQUIRED and a sensitive call want beyond the tier, and after it.

    Raises MFAEnrolmentRequired, ReauthenticationRequired.
    """
    session: Any = request.auth
    if not view.works_without_factor:
        sessions.require_factor(session)
    if view.is_sensitive(request.method):
        sessions.require_recent(session)
