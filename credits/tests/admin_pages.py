"""The admin in a browser's hands: staff with permissions, pages, forms with their token."""

import re
from typing import Any

from django.contrib.auth.models import Permission

from accounts.models import User
from tests.fixtures import staff_session
from tests.listeners import ListenerClient

C = "/admin/credits"


def staff(email: str, *permissions: str, **fields: Any) -> User:
    """A member of staff with these permissions of the credits app."""
    user: User = User.objects.create_user(email, is_staff=True, **fields)
    user.user_permissions.set(
        Permission.objects.filter(content_type__app_label="credits", codename__in=permissions)
    )
    assert user.user_permissions.count() == len(permissions)
    return user


def signed_in(user: User) -> ListenerClient:
    return staff_session(user)


def post(client: ListenerClient, path: str, fields: dict[str, Any] | None = None) -> Any:
    """As a browser does it, with a token that the middleware checks."""
    client.get("/admin/")
    token = client.cookies["csrftoken"].value
    return client.post(path, {**(fields or {}), "csrfmiddlewaretoken": token}, format="multipart")


def page(client: ListenerClient, path: str) -> str:
    response = client.get(path)
    assert response.status_code == 200, (path, response.status_code)
    return str(response.content.decode())


def hidden(text: str, name: str) -> str:
    """The value of a hidden field of a page."""
    found = re.search(rf'name="{name}" value="([^"]*)"', text) or re.search(
        rf'value="([^"]*)"[^>]*name="{name}"', text
    )
    assert found is not None, name
    return found[1]
