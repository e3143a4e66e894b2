"""Named queries on users."""

import uuid
from typing import TYPE_CHECKING, Any, Self

from django.contrib.auth.base_user import BaseUserManager
from django.db.models import QuerySet
from django.utils import timezone

from accounts.kit import email_address

if TYPE_CHECKING:
    from accounts.models import User


class UserQuerySet(QuerySet["User"]):
    def active(self) -> Self:
        return self.filter(status="active")

    def present(self) -> Self:
        """Users other services may see: neither on their way out nor gone."""
        return self.filter(status__in=["active", "suspended"])

    def by_email(self, email: str) -> Self:
        """The holder of an address in any spelling of it."""
        return self.filter(email=email_address.normalize(email))

    def by_id_or_email(self, text: str) -> Self:
        """What a person at a command line types: an id, or an address in any spelling."""
        try:
            return self.filter(pk=uuid.UUID(text))
        except ValueError:
            return self.by_email(text)


class UserManager(BaseUserManager.from_queryset(UserQuerySet)):  # type: ignore[misc]
    def create_user(self, email: str, password: str | None = None, **fields: Any) -> "User":
        user: User = self.model(email=email_address.normalize(email), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> "User":
        return self.create_user(
            email, password, is_staff=True, is_superuser=True, email_verified_at=timezone.now(), **fields
        )

    def get_by_natural_key(self, username: str | None) -> "User":
        """What Django's own sign-in (the admin's) looks a user up by: the address in any spelling."""
        user: User = self.by_email(username or "").get()
        return user
