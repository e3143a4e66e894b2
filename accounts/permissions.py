"""The permission class of each tier. This module imports no view, because REST_FRAMEWORK names `Deny` from here."""

from typing import Any

from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from accounts import sessions
from accounts.authentication import get_current_active_user, get_current_user, get_internal_service
from accounts.errors import ScopeMissing


class Deny(BasePermission):
    """The framework's default: a view that declares no tier admits nobody."""

    def has_permission(self, request: Request, view: Any) -> bool:
        return False


class IsPublic(BasePermission):
    """Public: no credential, or one in the body that the view checks."""

    def has_permission(self, request: Request, view: Any) -> bool:
        return True


class IsAuthenticated(BasePermission):
    """Authenticated: a live session of an active user."""

    def has_permission(self, request: Request, view: Any) -> bool:
        get_current_user(request)
        _want_proofs(request, view)
        return True


class IsVerified(BasePermission):
    """Verified: also requires an address that the database now has as verified."""

    def has_permission(self, request: Request, view: Any) -> bool:
        get_current_active_user(request)
        _want_proofs(request, view)
        return True


class IsInternalService(BasePermission):
    """Internal Service: a live key with a scope that the view names for the method."""

    def has_permission(self, request: Request, view: Any) -> bool:
        held, needed = get_internal_service(request).scopes, view.required_scopes(request.method)
        if needed and held.isdisjoint(needed):
            raise ScopeMissing
        return True


def _want_proofs(request: Request, view: Any) -> None:
    """Require, after the tier, what MFA_REQUIRED and sensitive calls demand.

    Raise MFAEnrolmentRequired or ReauthenticationRequired.
    """
    session: Any = request.auth
    if not view.works_without_factor:
        sessions.require_factor(session)
    if view.is_sensitive(request.method):
        sessions.require_recent(session)
