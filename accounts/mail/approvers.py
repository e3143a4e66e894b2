"""Notify staff, once per request, that something needs their decision."""

from collections.abc import Iterable
from uuid import UUID

from django.db.models import Q, QuerySet

from accounts.mail.outbox import notify
from accounts.models import AuditEvent, User


def ask_approvers(kind: str, *, permission: str, event: AuditEvent, but: Iterable[UUID]) -> None:
    """Mail everybody with the permission, in the caller's transaction, except those in `but`, who may not decide."""
    for person in _with_permission(permission).exclude(pk__in=list(but)):
        notify(kind, user=person, event=event)


def _with_permission(permission: str) -> QuerySet[User]:
    app, _, codename = permission.partition(".")
    by_role = Q(groups__permissions__codename=codename, groups__permissions__content_type__app_label=app)
    staff = User.objects.filter(is_staff=True, status=User.Status.ACTIVE)
    able: QuerySet[User] = staff.filter(Q(is_superuser=True) | by_role).distinct()
    return able
