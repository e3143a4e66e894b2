"""Who is signed in to the admin."""

import uuid

from django.http import HttpRequest


def staff_id(request: HttpRequest) -> uuid.UUID:
    """The id of the member of staff behind a request that the admin's site let in."""
    pk = request.user.pk
    assert isinstance(pk, uuid.UUID)  # noqa: S101 -- AdminSite.admin_view lets nobody else through
    return pk
