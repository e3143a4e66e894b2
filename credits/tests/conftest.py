import uuid
from collections.abc import Callable

import pytest

from accounts.models import User
from credits.calls import Call, request_bytes


@pytest.fixture
def person(db: None) -> User:
    return User.objects.create_user("person@example.test")


@pytest.fixture
def call() -> Callable[..., Call]:
    """A call of the service `shop`; without a key each is a new one."""

    def make(key: str | None = None, *, service: str = "shop", fields: object = None, **texts: str) -> Call:
        return Call(
            service=service, key=key or str(uuid.uuid4()), request=request_bytes("test", fields=fields), **texts
        )

    return make
