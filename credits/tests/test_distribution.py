"""The ledger over several servers: what stands in the way of it, and, where there are some, what it is there."""

import io
import json
import uuid
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction

from accounts.kit.problems import Problem
from accounts.models import User
from credits import distribution, ledger
from credits.errors import InsufficientCredits
from credits.ledger import batch, one_statement, operations, shards, verify
from credits.ledger.batch import Step
from credits.ledger.calls import Call
from credits.models import CreditTransaction
from tests.distributed_database import VARIABLE


def run(*arguments: str) -> dict[str, Any]:
    """Return what the command prints; also where it refuses."""
    out = io.StringIO()
    try:
        call_command("distribute_ledger", "--json", *arguments, stdout=out)
    except CommandError:
        pass
    found: dict[str, Any] = json.loads(out.getvalue())
    return found


def call() -> Call:
    return Call(service="shop", key=str(uuid.uuid4()), request=b"")


@pytest.fixture
def of_this_database(transactional_db: None, settings: Any) -> None:
    """The command is given this worker's database."""
    here = {"NAME": connection.settings_dict["NAME"]}
    settings.MIGRATION_DATABASE = {**settings.MIGRATION_DATABASE, **here}


@pytest.mark.parametrize("arguments", [(), ("--dry-run",)])
def test_names_the_extension_that_is_not_there(of_this_database: None, arguments: tuple[str, ...]) -> None:
    if shards.is_distributed():
        pytest.skip(f"installed: {VARIABLE} names a PostgreSQL with the Citus extension")
    found = run(*arguments)
    assert found["obstacles"] == ["The Citus extension is not installed in this database."]
    assert found["changed"] is False
    with pytest.raises(CommandError, match="Citus extension is not installed"):
        call_command("distribute_ledger", *arguments)


@pytest.mark.parametrize("number", ["0", "-1", "4097", "many", "1.5"])
def test_takes_a_number_of_shards_that_there_may_be(number: str) -> None:
    with pytest.raises(CommandError, match="is not a number from 1 to 4096"):
        call_command("distribute_ledger", "--shards", number)


@pytest.mark.django_db
class TestObstacles:
    @pytest.fixture(autouse=True)
    def _on_one_server(self, db: None) -> None:
        if shards.is_distributed():
            pytest.skip("such a change is refused by the extension itself")

    def test_there_are_none_in_the_tables_as_they_are_made(self) -> None:
        assert list(distribution.of_tables()) == []

    @pytest.mark.parametrize(
        ("change", "obstacle"),
        [
            (
                "ALTER TABLE credits_creditlot ADD CONSTRAINT owner FOREIGN KEY (holder_id) REFERENCES accounts_user",
                "A foreign key is in the way: owner of credits_creditlot.",
            ),
            (
                "CREATE TABLE elsewhere (holder uuid CONSTRAINT points_here REFERENCES credits_usercredit)",
                "A foreign key is in the way: points_here of elsewhere.",
            ),
            (
                "CREATE UNIQUE INDEX once ON credits_credittransaction (id)",
                "A unique index of credits_credittransaction lacks holder_id: once.",
            ),
            (
                "DROP FUNCTION credits_use",
                "The database is not up to date: run `manage.py migrate` first.",
            ),
        ],
    )
    def test_each_is_named(self, change: str, obstacle: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute(change)
        assert list(distribution.of_tables()) == [obstacle]


@pytest.fixture
def servers(transactional_db: None) -> None:
    if not shards.is_distributed():
        pytest.skip(f"not installed: {VARIABLE} names no PostgreSQL with the Citus extension")


@pytest.fixture
def people(servers: None) -> list[User]:
    """Enough that each server has some."""
    users = [User.objects.create_user(f"person{n}@example.test") for n in range(12)]
    for user in users:
        ledger.add(user_id=user.pk, amount=100, call=call())
    return users


def rows(query: str, *values: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query, values)
        return list(cursor.fetchall())


ON_ALL = "SELECT result FROM run_command_on_placements('credits_credittransaction', %s)"
PRIVILEGES = """
SELECT has_table_privilege('auth_app', '%1$s', 'INSERT') AND NOT has_table_privilege('auth_app', '%1$s', 'UPDATE')
"""
GUARDS = (
    "SELECT count(*) FROM pg_trigger WHERE tgrelid = '%s'::regclass AND NOT tgisinternal AND tgenabled = 'O'"
)


class TestServers:
    def test_a_second_time_there_is_nothing_to_do(self, servers: None) -> None:
        assert run() == {"dry_run": False, "changed": False, "servers": distribution.servers(), "obstacles": [],
                         "results": []}  # fmt: skip

    def test_have_the_privileges_and_the_triggers_of_the_journal(self, servers: None) -> None:
        assert {result for (result,) in rows(ON_ALL, PRIVILEGES)} == {"t"}
        assert {result for (result,) in rows(ON_ALL, GUARDS)} == {"3"}

    def test_a_use_is_handed_to_the_server_that_has_the_user(self, people: list[User]) -> None:
        used = one_statement.use(user_id=people[0].pk, amount=1, call=call())
        assert used is not None
        values = ["NULL"] * one_statement.STATEMENT.count("%(")
        values[1] = f"'{people[0].pk}'::uuid"
        plan = "\n".join(line for (line,) in rows(f"EXPLAIN SELECT * FROM credits_use({', '.join(values)})"))
        assert "Citus" in plan

    def test_a_batch_is_a_commit_for_each_user(self, people: list[User]) -> None:
        steps = [Step(user.pk, operations.use(amount=5, call=call())) for user in people]
        steps.append(Step(people[0].pk, operations.use(amount=95, call=call())))
        steps.append(Step(people[0].pk, operations.use(amount=1, call=call())))
        results = batch.perform_all(steps)
        amounts = [row.amount for row in results[:-1] if not isinstance(row, Problem)]
        assert amounts == [-5] * len(people) + [-95]
        assert isinstance(results[-1], InsufficientCredits)
        again = batch.perform_all(steps)
        assert all(row.replayed for row in again[:-1] if not isinstance(row, Problem))
        assert [part.findings for user in people for part in [verify.verify_user(user.pk)]] == [[]] * len(
            people
        )

    def test_everybody_is_verified(self, people: list[User]) -> None:
        checked = list(verify.verify_all())
        assert sum(part.transactions for part in checked) == len(people)
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL session_replication_role = replica")
            cursor.execute("UPDATE credits_usercredit SET balance = 101 WHERE holder_id = %s", [people[3].pk])
        found = [finding for part in verify.verify_all() for finding in part.findings]
        assert {(finding.user_id, finding.finding) for finding in found} == {(people[3].pk, "head")}

    def test_nothing_is_left_where_the_rows_were_before(self, people: list[User]) -> None:
        assert CreditTransaction.objects.count() == len(people)
        assert rows("SELECT pg_relation_size('credits_credittransaction')") == [(0,)]
