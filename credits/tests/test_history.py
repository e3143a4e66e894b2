"""Ask a standby for the journal: it never shows less than the primary would, and no balance."""

import time
import uuid
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.utils import timezone

from credits.identifiers import first_of
from credits.ledger import sweeping, verify
from credits.models import CreditTransaction
from credits.tests.test_views import BALANCE, TRANSACTIONS, USE, add, post

pytestmark = pytest.mark.django_db(transaction=True)
FROM_STANDBY = "UPDATE standby.credits_credittransaction SET reference = 'from the standby'"


@pytest.fixture
def shop(internal, service_key):
    return internal.with_key(service_key("shop"))


def use(shop, user):
    return post(shop, USE, {"user_id": str(user.pk), "amount": 1})


def page(shop, user=None, cursor=None, limit=1):
    query = {
        "limit": limit,
        **({"user_id": str(user.pk)} if user else {}),
        **({"cursor": cursor} if cursor else {}),
    }
    return shop.get(TRANSACTIONS, query).json()


class TestHolder:
    def test_pages_behind_a_row_that_the_standby_has_come_from_there(self, shop, verified_user, standby):
        add(shop, verified_user)
        use(shop, verified_user)
        standby.keeps("credits_credittransaction")
        standby.run(FROM_STANDBY)

        first = page(shop, verified_user)
        assert first["results"][0]["reference"] is None
        assert page(shop, verified_user, first["next"])["results"][0]["reference"] == "from the standby"

    def test_pages_behind_a_row_that_it_lacks_come_from_the_primary(self, shop, verified_user, standby):
        add(shop, verified_user)
        standby.keeps("credits_credittransaction")
        standby.run(FROM_STANDBY)
        use(shop, verified_user)

        found = page(shop, verified_user, page(shop, verified_user)["next"])["results"]
        assert [row["reference"] for row in found] == [None]

    def test_what_is_posted_late_is_missing_on_no_page(self, shop, verified_user, standby):
        """An expiry may be written long after its time, which lies before all that the standby has of others."""
        soon = timezone.now() + timedelta(seconds=2)  # both are there before either ends
        for _ in range(2):
            soon += timedelta(milliseconds=1)
            assert add(shop, verified_user, 5, expires_at=soon.isoformat()).status_code == 201
        standby.keeps("credits_credittransaction")
        time.sleep(max(0, (soon - timezone.now()).total_seconds()))
        first = page(shop, verified_user)
        assert [swept.error for swept in sweeping.sweep([verified_user.pk])] == [None]

        seen, cursor = first["results"], first["next"]
        while cursor:
            following = page(shop, verified_user, cursor)
            seen, cursor = seen + following["results"], following["next"]
        assert [row["type"] for row in seen] == ["expiry", "expiry", "bonus", "bonus"]

    def test_csv_behind_the_first_thousand_too(self, shop, verified_user, standby, monkeypatch):
        monkeypatch.setattr("credits.export.ROWS_AT_A_TIME", 1)
        add(shop, verified_user)
        use(shop, verified_user)
        standby.keeps("credits_credittransaction")
        standby.run(FROM_STANDBY)

        answer = shop.get(TRANSACTIONS, {"user_id": str(verified_user.pk)}, headers={"Accept": "text/csv"})
        lines = b"".join(answer.streaming_content).decode().splitlines()
        assert ["from the standby" in line for line in lines] == [False, False, True]


class TestService:
    def test_pages_of_old_rows_come_from_the_standby_and_of_new_ones_from_the_primary(
        self, shop, verified_user, standby
    ):
        add(shop, verified_user)
        use(shop, verified_user)
        standby.keeps("credits_credittransaction")
        standby.run(FROM_STANDBY)
        first = page(shop)
        assert [row["reference"] for row in page(shop, cursor=first["next"])["results"]] == [None]

        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL session_replication_role = replica")
            for number, row in enumerate(CreditTransaction.objects.order_by("pk")):
                old = uuid.UUID(int=first_of(timezone.now() - timedelta(days=2)).int + number)
                for schema in ("public", "standby"):
                    cursor.execute(
                        f"UPDATE {schema}.credits_credittransaction SET id = %s WHERE id = %s", [old, row.pk]
                    )
        first = page(shop)
        assert [row["reference"] for row in page(shop, cursor=first["next"])["results"]] == [
            "from the standby"
        ]


def test_a_balance_is_never_read_there(shop, verified_user, standby):
    standby.keeps("credits_usercredit")
    standby.keeps("credits_creditlot")
    standby.keeps("credits_credittransaction")
    add(shop, verified_user, 100)
    assert shop.get(BALANCE, {"user_id": str(verified_user.pk)}).json()["balance"] == 100


class TestVerification:
    def test_the_standby_has_the_work_and_the_primary_the_last_word(self, shop, verified_user, standby):
        add(shop, verified_user, 100)
        for table in ("credits_usercredit", "credits_creditlot", "credits_credittransaction"):
            standby.keeps(table)
        use(shop, verified_user)
        (checked,) = [part for part in verify.verify_all() if part.users]
        assert checked.transactions == 1
        assert list(checked.findings) == []

        standby.run("UPDATE standby.credits_usercredit SET balance = 7")
        assert not [found for part in verify.verify_all() for found in part.findings]

    def test_what_is_wrong_in_both_is_found(self, shop, verified_user, standby):
        add(shop, verified_user, 100)
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL session_replication_role = replica")
            cursor.execute(
                "UPDATE credits_credittransaction SET balance = 7 WHERE holder_id = %s", [verified_user.pk]
            )
        assert {found.finding for part in verify.verify_all() for found in part.findings} >= {
            "balance",
            "head",
        }
