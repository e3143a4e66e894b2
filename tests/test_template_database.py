"""The test database is what production has: tables of one role, served by another that may not change them."""

import pytest
from django.db import DatabaseError, connection

pytestmark = pytest.mark.django_db


def scalar(statement: str) -> object:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchone()[0]


def test_tables_belong_to_the_role_that_migrates() -> None:
    assert scalar("SELECT tableowner FROM pg_tables WHERE tablename = 'accounts_user'") == "auth_owner"


@pytest.mark.usefixtures("serving_role")
class TestServingRole:
    def test_is_in_force(self) -> None:
        assert scalar("SELECT current_user") == "auth_app"

    def test_reads(self) -> None:
        assert scalar("SELECT count(*) FROM accounts_user") == 0

    def test_has_no_ddl(self) -> None:
        with pytest.raises(DatabaseError, match=r"permission denied for schema"):
            scalar("CREATE TABLE intruder (id int)")


def test_the_superuser_is_back_afterwards() -> None:
    assert scalar("SELECT current_user") == "postgres"
