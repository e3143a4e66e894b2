"""The ledger in partitions: made at the first migration, or cut while it is written to; nothing is lost or doubled."""

import json
import threading
import time
import uuid
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from io import StringIO
from itertools import count, islice
from typing import Any

import pytest
from django.contrib.postgres.operations import (
    AddConstraintNotValid,
    AddIndexConcurrently,
    RemoveIndexConcurrently,
    ValidateConstraint,
)
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection, migrations, models, transaction
from django.db.migrations.loader import MigrationLoader
from pytest_django import Settings

from accounts.management.commands.migrate import owner_connection
from accounts.models import User
from accounts.upkeep.database_roles import grant_to_serving_role
from credits import ledger
from credits.ledger import one_statement, verify
from credits.ledger.calls import Call
from credits.models import CreditLot, CreditTransaction
from credits.partitions import copying, cutting, shape
from credits.partitions.operations import AddLedgerIndex, RemoveLedgerIndex, SetLedgerStorage
from tests.template_database import SERVING, another_database, instead

pytestmark = pytest.mark.django_db(transaction=True)
COUNT = 3
USES = 8


@pytest.fixture
def own(django_db_setup: None, transactional_db: None) -> Iterator[None]:
    """A database whose tables may be exchanged."""
    with another_database("cut") as name, instead(name):
        reshape(0)  # whatever LEDGER_PARTITIONS said when it was made
        yield


def reshape(number: int) -> None:
    with owner_connection():
        for table in shape.TABLES:
            if len(shape.partitions(table)) != number:
                shape.reshape(table, number)


def steps() -> Generator[cutting.Step, None, None]:
    """The command's, one by one."""
    with owner_connection():
        yield from cutting.partition(COUNT)


def shop(**texts: Any) -> Call:
    return Call(service="shop", key=str(uuid.uuid4()), **texts)


def people(many: int = 6) -> list[User]:
    users = [User.objects.create_user(f"u{n}@example.test") for n in range(many)]
    for user in users:
        ledger.add(user_id=user.pk, amount=1000, call=shop(description="a gift"))
        hold = ledger.hold(user_id=user.pk, amount=5, lifetime=timedelta(hours=1), call=shop())
        ledger.capture(hold_id=hold.pk, amount=3, call=shop())
        for _ in range(3):
            ledger.use(user_id=user.pk, amount=7, call=shop())
    return users


def rows() -> list[Any]:
    return [sorted(model.objects.values_list(), key=repr) for model in (CreditTransaction, CreditLot)]


def findings() -> list[Any]:
    return [found for checked in verify.verify_all() for found in checked.findings]


def cut(*options: str, number: int = COUNT) -> dict[str, Any]:
    out = StringIO()
    call_command("partition_ledger", str(number), "--json", *options, stdout=out)
    return dict(json.loads(out.getvalue()))


def by_table(said: dict[str, Any]) -> dict[str, Any]:
    return {one["table"]: one for one in said["results"]}


def execute(sql: str, *values: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql, values or None)


def found(query: str, *values: Any) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(query, values or None)
        return [value for (value,) in cursor.fetchall()]


def left_over() -> list[str]:
    return found("""
        SELECT relname::text FROM pg_class
        WHERE relname ~ '^(credits|lot|transaction)_.*_(new|before|changes|sample)(_|$)|^credits_partitioning'
        UNION ALL SELECT proname::text FROM pg_proc WHERE proname ~ '^credits_.*note_change'
    """)


def parts() -> list[int]:
    return [len(shape.partitions(table)) for table in shape.TABLES]


@pytest.mark.usefixtures("own")
class TestCutting:
    def test_keeps_every_row_and_leaves_nothing_behind(self) -> None:
        users = people()
        before = rows()

        done = cut()

        journal = by_table(done)["credits_credittransaction"]
        assert (journal["copied"], journal["compared"]) == (len(before[0]), len(before[0]))
        assert 0 < journal["locked"] < 1
        assert done["users_verified"] == len(users)
        assert rows() == before
        assert findings() == []
        assert parts() == [COUNT, COUNT]
        assert left_over() == []
        ledger.use(user_id=users[0].pk, amount=1, call=shop())
        ledger.add(user_id=users[0].pk, amount=1, call=shop())
        assert findings() == []

    def test_counts_lots_on_behind_those_that_are_there(self) -> None:
        [user] = people(1)
        highest = max(CreditLot.objects.values_list("pk", flat=True))

        cut()
        ledger.add(user_id=user.pk, amount=1, call=shop())

        assert CreditLot.objects.latest("pk").pk > highest + shape.GAP
        assert found("SELECT pg_get_serial_sequence('credits_creditlot', 'id')") == [
            "public.credits_creditlot_id_seq"
        ]

    def test_has_nothing_to_do_a_second_time_and_refuses_another_number(self) -> None:
        cut()

        assert cut()["results"] == []
        with pytest.raises(CommandError, match="has 3 partitions"):
            cut(number=COUNT + 1)

    def test_says_beforehand_what_it_takes_and_changes_nothing(self) -> None:
        people(2)
        execute("ANALYZE credits_credittransaction, credits_creditlot")

        said = cut("--dry-run")

        assert by_table(said)["credits_credittransaction"]["rows"] == CreditTransaction.objects.count()
        assert by_table(said)["credits_creditlot"]["bytes"] > 0
        assert all(one["seconds"] >= 0 for one in said["results"])
        assert parts() == [0, 0]
        assert left_over() == []

    def test_can_be_abandoned(self) -> None:
        people(2)
        for _ in islice(steps(), 6):
            pass

        assert cut("--abandon")["abandoned"] == list(shape.TABLES)

        assert left_over() == []
        assert parts() == [0, 0]
        assert cut("--abandon")["abandoned"] == []

    def test_names_a_view_that_would_stay_behind(self) -> None:
        execute("CREATE VIEW spent AS SELECT sum(amount) FROM credits_credittransaction")
        with pytest.raises(CommandError, match="spent would stay"):
            cut()
        assert left_over() == []

    def test_is_done_by_one_process_at_a_time(self) -> None:
        people(1)
        with cutting.one_at_a_time(), pytest.raises(CommandError, match="Another process"):
            in_a_thread(cut)

    @pytest.mark.broken_on_purpose
    @pytest.mark.parametrize(
        "damage",
        [
            "UPDATE credits_credittransaction_new SET amount = amount + 1 WHERE type = 'use'",
            "UPDATE credits_credittransaction_new SET hash = '\\x00' WHERE type = 'use'",
            "DELETE FROM credits_credittransaction_new WHERE type = 'use'",
            "UPDATE credits_creditlot_new SET issued = issued + 1",
            "INSERT INTO credits_creditlot_new ({columns}) SELECT {values} FROM credits_creditlot",
        ],
    )
    def test_switches_to_nothing_that_is_not_the_same(self, damage: str) -> None:
        people(2)
        for step in steps():
            if step.doing == "caught up":
                break
        columns = {one: one for one in shape.columns("credits_creditlot")}
        values = columns | {"id": "id + 1000", "transaction_id": "gen_random_uuid()"}
        damage = damage.format(columns=", ".join(columns), values=", ".join(values.values()))
        with transaction.atomic():
            execute(f"SET LOCAL session_replication_role = replica; {damage}")

        with pytest.raises(CommandError, match="differ in its copy"):
            cut()

        assert parts() == [0, 0]
        cut("--abandon")
        assert left_over() == []

    @pytest.mark.broken_on_purpose
    def test_switches_to_no_ledger_that_does_not_add_up(self) -> None:
        [person] = people(1)
        with transaction.atomic():
            execute(
                "SET LOCAL session_replication_role = replica; UPDATE credits_credittransaction SET hash = '\\x00'"
            )

        out = StringIO()
        with pytest.raises(CommandError, match="does not add up"):
            call_command("partition_ledger", str(COUNT), stdout=out)

        assert f"{person.pk}: hash at" in out.getvalue()
        assert parts() == [0, 0]

    def test_gives_the_serving_role_no_more_and_no_less(self) -> None:
        people(1)
        grant_to_serving_role(connection, role=SERVING)
        for number, _ in enumerate(steps()):
            if number == 3:  # a `migrate` in the middle knows nothing of the copies
                grant_to_serving_role(connection, role=SERVING)

        privileges = """
            SELECT table_name || ' ' || string_agg(privilege_type, ' ' ORDER BY privilege_type)
            FROM information_schema.table_privileges
            WHERE grantee = 'auth_app' AND table_name ~ '^credits_credit(lot|transaction)'
            GROUP BY table_name ORDER BY 1
        """
        expected = [
            "credits_creditlot DELETE INSERT SELECT UPDATE",
            "credits_credittransaction INSERT SELECT",
        ]
        assert found(privileges) == expected
        grant_to_serving_role(connection, role=SERVING)
        assert found(privileges) == expected


@pytest.mark.usefixtures("own")
class TestKilled:
    def test_after_any_step_it_goes_on(self) -> None:
        people()
        before = rows()
        for reach in count(1):  # the next run gets one step further before it is killed
            run = steps()
            done = list(islice(run, reach))
            run.close()
            if len(done) < reach:
                break
        assert rows() == before
        assert parts() == [COUNT, COUNT]
        assert left_over() == []
        assert findings() == []

    def test_after_the_switch_no_table_keeps_a_text_that_is_erased(self) -> None:
        [user] = people(1)
        run = steps()
        switched = (step for step in run if step.doing == "switched")
        assert [next(switched).table, next(switched).table] == list(shape.TABLES)
        run.close()

        execute("SELECT credits_erase_texts(%s)", user.pk)

        journals = found(
            "SELECT relname FROM pg_class WHERE relname ~ '^credits_credittransaction(_before)?$'"
        )
        assert [found(f"SELECT description FROM {one} WHERE description <> ''") for one in journals] == [
            [],
            [],
        ]

    @pytest.mark.parametrize(
        ("room", "function"),
        [
            (shape, "make_beside"),
            (copying, "_begin"),
            (copying, "_copy_chunk"),
            (copying, "_make_triggers"),
            (copying, "catch_up"),
            (copying, "mark"),
            (shape, "exchange"),
            (shape, "drop"),
            (copying, "forget"),
        ],
    )
    def test_in_the_middle_of_any_transaction_it_goes_on(
        self, monkeypatch: pytest.MonkeyPatch, room: Any, function: str
    ) -> None:
        people()
        before = rows()
        original = getattr(room, function)

        def killed(*arguments: Any, **named: Any) -> None:
            original(*arguments, **named)
            execute("SELECT pg_terminate_backend(pg_backend_pid())")

        with monkeypatch.context() as patch:
            patch.setattr(room, function, killed)
            with pytest.raises(OperationalError):
                cut()
        connection.close()

        assert rows() == before  # it serves meanwhile
        cut()
        assert rows() == before
        assert (parts(), left_over(), findings()) == ([COUNT, COUNT], [], [])


@pytest.mark.usefixtures("own")
class TestBesideWrites:
    def test_what_is_written_between_two_steps_is_there(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(copying, "CHUNK", 5)
        users = people()
        spent = {}
        for number, step in enumerate(steps()):
            user = users[number % len(users)]
            key = f"between {number} {step.doing}"
            spent[key] = ledger.use(user_id=user.pk, amount=1, call=Call(service="shop", key=key)).pk
            ledger.add(user_id=user.pk, amount=2, call=shop(description="more"))
            if number == 8:
                execute("SELECT credits_erase_texts(%s)", users[0].pk)

        assert (
            dict(CreditTransaction.objects.filter(key__startswith="between").values_list("key", "pk"))
            == spent
        )
        assert not CreditTransaction.objects.filter(
            holder_id=users[0].pk, description__isnull=False, key__in=list(spent)[:8]
        ).exists()
        assert CreditTransaction.objects.filter(holder_id=users[0].pk, description="a gift").count() == 0
        assert findings() == []

    def test_nothing_is_lost_or_doubled_and_nobody_waits_a_second(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(copying, "CHUNK", 20)
        users = people(20)
        with writing(users) as writers:
            time.sleep(0.5)
            done = list(steps())
            time.sleep(0.5)

        assert [writer.error for writer in writers] == [None] * len(writers)
        acked = [key for writer in writers for key in writer.keys]
        stored = CreditTransaction.objects.filter(key__in=acked).values_list("key", flat=True)
        assert sorted(map(str, stored)) == sorted(acked)
        assert min(len(writer.keys) for writer in writers) > 10
        assert max(writer.slowest for writer in writers) < 1
        assert max(step.seconds for step in done) < 1
        assert findings() == []
        assert (parts(), left_over()) == ([COUNT, COUNT], [])

    def test_a_long_reader_is_waited_for_without_stopping_others(self) -> None:
        users = people(2)
        reading, ended = threading.Event(), threading.Event()

        def read() -> None:
            with transaction.atomic():
                CreditTransaction.objects.count()
                reading.set()
                ended.wait(1.5)

        with writing(users) as writers:
            reader = threading.Thread(target=in_own_connection, args=[read])
            reader.start()
            reading.wait(5)
            list(steps())
            reader.join()

        assert [writer.error for writer in writers] == [None] * len(writers)
        assert max(writer.slowest for writer in writers) < 1
        assert parts() == [COUNT, COUNT]


class Writer(threading.Thread):
    """Spends, adds and holds on a connection of its own, and remembers what it was answered."""

    def __init__(self, users: list[User], stop: threading.Event) -> None:
        super().__init__()
        self.users, self.stop, self.slowest = users, stop, 0.0
        self.keys: list[str] = []
        self.error: Exception | None = None

    def run(self) -> None:
        in_own_connection(self._write)

    def _write(self) -> None:
        try:
            for number in count():
                if self.stop.is_set():
                    return
                self._one(number)
                time.sleep(0.005)
        except Exception as error:  # noqa: BLE001 - the test asks for it
            self.error = error

    def _one(self, number: int) -> None:
        user, call = self.users[number % len(self.users)], shop(description="written")
        verbs: list[Callable[[], object]] = [
            lambda: ledger.use(user_id=user.pk, amount=1, call=call),
            lambda: ledger.use(user_id=user.pk, amount=1, call=call),
            lambda: ledger.add(user_id=user.pk, amount=1, call=call),
            lambda: ledger.hold(user_id=user.pk, amount=1, lifetime=timedelta(hours=1), call=call),
        ]
        began = time.monotonic()
        verbs[number % len(verbs)]()
        self.slowest = max(self.slowest, time.monotonic() - began)
        self.keys.append(str(call.key))


@contextmanager
def writing(users: list[User]) -> Iterator[list[Writer]]:
    stop = threading.Event()
    writers = [Writer(users, stop) for _ in range(4)]
    for writer in writers:
        writer.start()
    try:
        yield writers
    finally:
        stop.set()
        for writer in writers:
            writer.join()


def in_a_thread(function: Callable[[], object]) -> None:
    """Run it on another connection, and raise here what it raises there."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(in_own_connection, function).result()


def in_own_connection(function: Callable[[], object]) -> None:
    try:
        function()
    finally:
        connection.close()


@pytest.mark.usefixtures("own")
class TestFirstMigration:
    @pytest.fixture(autouse=True)
    def _asked_for(self, settings: Settings) -> None:
        settings.LEDGER_PARTITIONS = COUNT

    def test_cuts_what_is_empty(self) -> None:
        self.migrate()
        assert parts() == [COUNT, COUNT]
        people(1)
        assert findings() == []

    def test_leaves_what_holds_something(self) -> None:
        people(1)
        before = rows()
        self.migrate()
        assert parts() == [0, 0]
        assert rows() == before

    def test_back_and_forth(self) -> None:
        self.migrate()
        call_command("migrate", "credits", "0015", verbosity=0)
        assert parts() == [0, 0]
        call_command("migrate", "credits", verbosity=0)
        assert (parts(), left_over()) == ([COUNT, COUNT], [])

    def migrate(self) -> None:
        execute("DELETE FROM django_migrations WHERE app = 'credits' AND name = '0017_partitions'")
        call_command("migrate", "credits", verbosity=0)


LATER = [
    migrations.AddField("credittransaction", "colour", models.CharField(max_length=9, null=True)),
    migrations.AddField("creditlot", "colour", models.CharField(max_length=9, null=True)),
    AddLedgerIndex("credittransaction", models.Index(fields=["colour", "id"], name="by_colour")),
    AddLedgerIndex(
        "creditlot", models.Index(fields=["id"], condition=models.Q(colour="red"), name="lot_red")
    ),
    AddConstraintNotValid(
        "credittransaction", models.CheckConstraint(condition=~models.Q(colour=""), name="some_colour")
    ),
    ValidateConstraint("credittransaction", "some_colour"),
    migrations.AddConstraint(
        "creditlot", models.UniqueConstraint(fields=["holder_id", "colour"], name="lot_colour_once")
    ),
    SetLedgerStorage("credits_creditlot", to="fillfactor = 70", before="fillfactor = 80"),
    RemoveLedgerIndex("credittransaction", "transaction_day"),
]


@pytest.mark.usefixtures("own")
class TestLaterMigrations:
    @pytest.fixture(autouse=True, params=[0, COUNT], ids=["whole", "in partitions"])
    def _shape(self, own: None, request: pytest.FixtureRequest) -> None:
        reshape(request.param)
        people(1)

    def test_go_forth_and_back_in_both_shapes(self) -> None:
        before, states = catalogue(), migrate_on()
        there = catalogue()
        assert there["credits_credittransaction"] - before["credits_credittransaction"] == {
            "colour",
            "by_colour",
            "some_colour",
        }
        assert before["credits_credittransaction"] - there["credits_credittransaction"] == {"transaction_day"}
        assert there["credits_creditlot"] - before["credits_creditlot"] == {
            "colour",
            "lot_red",
            "lot_colour_once",
        }
        assert all("fillfactor=70" in stored for (stored,) in options("credits_creditlot"))
        assert found("SELECT count(*) FROM pg_index WHERE NOT indisvalid") == [0]

        migrate_back(states)

        assert catalogue() == before
        assert all("fillfactor=80" in stored for (stored,) in options("credits_creditlot"))
        assert findings() == []

    def test_an_index_that_was_left_half_made_is_made_again(self) -> None:
        places = shape.partitions("credits_credittransaction")
        if places:
            execute(f"CREATE INDEX by_colour_p1 ON {places[1]} (id)")
            execute("CREATE INDEX by_colour ON ONLY credits_credittransaction (id)")
        migrate_on()
        assert found("SELECT count(*) FROM pg_index WHERE NOT indisvalid") == [0]

    def test_none_uses_what_fits_whole_tables_alone(self) -> None:
        tables = {"creditlot", "credittransaction"}
        found = [
            name
            for (app, name), migration in MigrationLoader(None).disk_migrations.items()
            for one in migration.operations
            if app == "credits"
            and name > "0016"
            and isinstance(one, AddIndexConcurrently | RemoveIndexConcurrently)
            and one.model_name_lower in tables
            and not isinstance(one, AddLedgerIndex | RemoveLedgerIndex)
        ]
        assert found == []


def migrate_on() -> list[Any]:
    states = [MigrationLoader(connection).project_state()]
    for one in LATER:
        states.append(states[-1].clone())
        one.state_forwards("credits", states[-1])
        with connection.schema_editor(atomic=False) as editor:
            one.database_forwards("credits", editor, *states[-2:])
    return states


def migrate_back(states: list[Any]) -> None:
    for one, before, after in reversed(list(zip(LATER, states[:-1], states[1:], strict=True))):
        with connection.schema_editor(atomic=False) as editor:
            one.database_backwards("credits", editor, after, before)


def catalogue() -> dict[str, set[str]]:
    """Return the names of columns, indexes that are valid, and checks of each table."""
    query = """
        SELECT attname::text FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped
        UNION ALL SELECT relname::text FROM pg_index JOIN pg_class ON oid = indexrelid
            WHERE indrelid = %s::regclass AND indisvalid
        UNION ALL SELECT conname::text FROM pg_constraint WHERE conrelid = %s::regclass AND contype = 'c'
    """
    return {table: set(found(query, *[table] * 3)) for table in shape.TABLES}


def options(table: str) -> list[Any]:
    return [
        found("SELECT reloptions FROM pg_class WHERE oid = %s::regclass", place)
        for place in shape.partitions(table) or [table]
    ]


LOOKS = """
SELECT (pg_stat_get_xact_numscans(%s::regclass)
    + (SELECT sum(pg_stat_get_xact_numscans(indexrelid)) FROM pg_index WHERE indrelid = %s::regclass))::int
"""
ROWS = "SELECT pg_stat_get_xact_tuples_inserted(%s::regclass)"


def seen() -> list[tuple[int, int]]:
    """Return how often this session looked into each partition of the journal, and how many rows it wrote there."""
    parts = shape.partitions("credits_credittransaction")
    return [(found(LOOKS, part, part)[0], found(ROWS, part)[0]) for part in parts]


@pytest.mark.usefixtures("own")
class TestPlan:
    def test_a_use_looks_into_one_partition_and_writes_there(self) -> None:
        cut()
        [user] = people(1)
        with transaction.atomic():
            before = seen()
            for _ in range(USES):  # after five PostgreSQL might keep one plan for all values
                assert one_statement.use(user_id=user.pk, amount=1, call=shop())
            after = seen()
        done = [
            (looks - looked, wrote - written)
            for (looks, wrote), (looked, written) in zip(after, before, strict=True)
        ]
        assert sorted(done) == [(0, 0)] * (COUNT - 1) + [(USES, USES)]

    def test_a_use_keeps_its_plans_in_partitions_alone(self) -> None:
        settings = (
            "SELECT coalesce(array_to_string(proconfig, ' '), '') FROM pg_proc WHERE proname = 'credits_use'"
        )
        assert found(settings) == [""]
        cut()
        assert found(settings) == ["plan_cache_mode=force_generic_plan"]
        reshape(0)
        assert found(settings) == [""]

    def test_a_migration_that_replaces_the_function_can_say_so_again(self) -> None:
        cut()
        execute("ALTER FUNCTION credits_use RESET ALL")
        with owner_connection():
            shape.keep_plans()
        query = "SELECT array_to_string(proconfig, ' ') FROM pg_proc WHERE proname = 'credits_use'"
        assert found(query) == ["plan_cache_mode=force_generic_plan"]
