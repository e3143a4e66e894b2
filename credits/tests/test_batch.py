"""Batches: the one statement for what fits, and the locked path, which nobody may be able to tell apart.

A story of batches is told twice, on users alike: as it comes, and with every step on the locked path.
"""

import os
import uuid
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any
from unittest.mock import patch

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts import hooks
from accounts.identity import erasure
from accounts.kit.problems import Problem
from accounts.models import ServiceEvent, User
from accounts.service_keys.registry import ServiceCredential
from credits import ledger
from credits.identifiers import uuid7
from credits.ledger import batch, many_uses, operations, shards, states, verify
from credits.ledger.batch import Refusal, Step
from credits.ledger.calls import Call, request_bytes
from credits.ledger.posting import sweep_user
from credits.ledger.saving import encode
from credits.models import CreditLot, CreditTransaction, FeaturePrice, UserCredit
from credits.tests.conftest import Clock
from credits.views import batch as view

SHOP = ServiceCredential(
    service="shop",
    scopes=frozenset({"credits:use", "credits:add"}),
    key_id="",
    digest=b"",
    from_database=False,
)
OPERATIONS = {"use": view.Use, "add": view.Add, "hold": view.Hold}
RUNS = int(os.environ.get("LEDGER_RUNS", "25"))


# ---------------------------------------------------------------- stories


@dataclass(frozen=True)
class Person:
    """Say what someone has before the first batch: grants (credits, seconds to live), debt, what stops them."""

    grants: list[tuple[int, int | None]]
    debt: bool
    blocked: bool
    erased: bool
    alert_below: int | None


@dataclass(frozen=True)
class Entry:
    """One operation; without a key it has one of its own."""

    person: int
    op: str
    key: str | None
    fields: dict[str, Any] = field(default_factory=dict)


SELDOM = st.integers(0, 7).map(lambda number: number == 7)
PERSONS = st.builds(
    Person,
    grants=st.lists(st.tuples(st.integers(1, 60), st.sampled_from([None, None, 1, 5, 60])), max_size=3),
    debt=SELDOM,
    blocked=SELDOM,
    erased=SELDOM,
    alert_below=st.none() | st.integers(1, 30),
)
ASKED = st.fixed_dictionaries({"amount": st.integers(1, 12)}) | st.fixed_dictionaries(
    {"feature": st.sampled_from(["picture", "picture", "unknown"]), "quantity": st.integers(1, 3)}
)
TEXTS = st.fixed_dictionaries(
    {},
    optional={
        "description": st.sampled_from(["", "Ein Bild, größer", "'; \"\\ \U0001f600"]),
        "reference": st.just("job-1"),
        "metadata": st.sampled_from([{}, {"deep": [1, None, {"é": 0.5}]}]),
    },
)
KEYS = st.none() | st.none() | st.none() | st.sampled_from("abc")


def entries(people: int) -> st.SearchStrategy[Entry]:
    person = st.integers(0, people - 1)
    use = st.builds(Entry, person, st.just("use"), KEYS, st.builds(lambda one, two: one | two, ASKED, TEXTS))
    other = st.builds(Entry, person, st.sampled_from(["add", "hold"]), KEYS, st.just({"amount": 2}))
    return st.one_of(use, use, use, use, use, use, use, other)


@st.composite
def stories(draw: st.DrawFn) -> tuple[list[Person], list[tuple[int, list[Entry]]]]:
    """People, and batches of theirs, each after so many seconds."""
    people = draw(st.lists(PERSONS, min_size=1, max_size=6))
    one = st.tuples(st.sampled_from([0, 0, 1, 10]), st.lists(entries(len(people)), min_size=1, max_size=25))
    return people, draw(st.lists(one, min_size=1, max_size=4))


# ---------------------------------------------------------------- told


class Telling:
    """A story on users of its own."""

    def __init__(self, people: list[Person], *, locked: bool = False, apart: bool = False) -> None:
        self.locked, self.apart = locked, apart
        self.users = [make_user(person) for person in people]

    def carry_out(self, number: int, entries: list[Entry]) -> list[Any]:
        """Return the answers, but for ids."""
        asked = [
            OPERATIONS[entry.op](
                idempotency_key=entry.key or f"{number}-{place}",
                user_id=self.users[entry.person],
                **entry.fields,
            )
            for place, entry in enumerate(entries)
        ]
        steps = view.steps_of(asked, SHOP)
        with patch.object(shards, "is_distributed", lambda: self.apart):
            results = batch.perform_all(
                [on_the_locked_path(step) for step in steps] if self.locked else steps
            )
        return [
            result.document(None)
            if isinstance(result, Problem)
            else (self.users.index(result.holder_id), columns_of(result), result.replayed)
            for result in results
        ]

    def state(self) -> list[Any]:
        return [state_of(user_id) for user_id in self.users]


def on_the_locked_path(step: Step | Refusal) -> Step | Refusal:
    if isinstance(step, Refusal):
        return step
    return replace(step, operation=replace(step.operation, uses=None))


def columns_of(row: CreditTransaction) -> tuple[Any, ...]:
    """Return the columns that do not depend on who the user is."""
    return (
        row.at, row.type, row.amount, row.balance, row.held, row.service, row.key, row.description, row.reference,
        row.metadata, row.version, row.unit_price, row.feature, row.quantity,
    )  # fmt: skip


def state_of(user_id: uuid.UUID) -> Any:
    """Return the journal, the lots by their number within the user, the balance and the events."""
    account = UserCredit.objects.filter(pk=user_id).first()
    lots = list(CreditLot.objects.filter(holder_id=user_id).order_by("pk"))
    number = {lot.pk: nth for nth, lot in enumerate(lots, 1)}
    holds = {lot.transaction_id: nth for nth, lot in enumerate(lots, 1)}
    rows = list(CreditTransaction.objects.filter(holder_id=user_id).order_by("at"))
    place = {row.pk: nth for nth, row in enumerate(rows, 1)}
    journal = [
        (
            columns_of(row),
            place[row.refund_of] if row.refund_of else None,
            [(number.get(lot, 0), credits) for lot, credits in row.lots],
            holds[row.hold] if row.hold else None,
            [value is None for value in (row.digest, row.salt, row.text_digest)],
        )
        for row in rows
    ]
    left = [
        (lot.state[1:], lot.remaining + (account.open_left if account and lot.pk == account.open_lot else 0))
        for lot in lots
    ]
    balance = account and (account.balance, account.held, account.debt, account.at, account.available)
    events = ServiceEvent.objects.filter(user_id=user_id, type__startswith="credits.").order_by("pk")
    told = [(event.type, {**event.data, "transaction_id": None}) for event in events]
    return journal, left, balance, told


def by_hand(key: str) -> Call:
    return Call(service="hand", key=key, request=request_bytes("hand", fields=key))


def make_user(person: Person) -> uuid.UUID:
    user_id = User.objects.create_user(f"{uuid.uuid4()}@example.test").pk
    for number, (amount, life) in enumerate(person.grants):
        expires_at = None if life is None else Clock.START + timedelta(seconds=life)
        ledger.add(user_id=user_id, amount=amount, expires_at=expires_at, call=by_hand(f"add {number}"))
    if person.debt:
        owing = ledger.add(user_id=user_id, amount=5, call=by_hand("spent and charged back"))
        ledger.use(user_id=user_id, amount=owing.balance, call=by_hand("spent"))
        ledger.charge_back(user_id=user_id, granted_by=owing.pk, amount=5, call=by_hand("charged back"))
    if person.blocked:
        states.block(user_id=user_id, reason="dispute")
    if person.alert_below is not None:
        states.set_alert(user_id=user_id, threshold=person.alert_below)
    if person.erased:
        due = {"status": User.Status.PENDING_DELETION, "deletes_at": "2020-01-01T00:00:00Z"}
        User.objects.filter(pk=user_id).update(**due)
        assert erasure.erase(user_id)
    return user_id


@pytest.mark.django_db
@pytest.mark.usefixtures("one_server")
@settings(max_examples=RUNS, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)
@given(story=stories())
def test_a_story_of_batches_is_the_same_on_each_path(story):
    """Together by one statement, under the lock, and each user apart as on several servers."""
    people, batches = story
    with transaction.atomic():
        clock = Clock()
        FeaturePrice.objects.create(feature="picture", credits=3)
        one, *others = Telling(people), Telling(people, locked=True), Telling(people, apart=True)
        for number, (seconds, entries) in enumerate(batches):
            clock.advance(seconds=seconds)
            answers = one.carry_out(number, entries)
            assert [other.carry_out(number, entries) for other in others] == [answers] * 2
            assert [other.state() for other in others] == [one.state()] * 2
        clock.advance(days=40)
        for user_id in (user_id for telling in (one, *others) for user_id in telling.users):
            sweep_user(user_id)
            assert not verify.verify_user(user_id).findings
        assert [other.state() for other in others] == [one.state()] * 2
        transaction.set_rollback(True)


# ---------------------------------------------------------------- what the statement takes


def use_step(user_id: uuid.UUID, key: str, amount: int = 1) -> Step:
    call = Call(service="shop", key=key, request=request_bytes("use", fields=amount))
    return Step(user_id, operations.use(amount=amount, call=call))


def make_rich(count: int) -> list[uuid.UUID]:
    users = User.objects.bulk_create([User(email=f"{uuid.uuid4()}@example.test") for _ in range(count)])
    hooks.registered([user.pk for user in users])
    gifts = [Step(user.pk, operations.add(amount=10**6, call=by_hand("gift"))) for user in users]
    rows_of(gifts)
    return [user.pk for user in users]


def rows_of(steps: list[Step]) -> list[CreditTransaction]:
    """Return the journal rows of steps of which none is refused."""
    rows = [result for result in batch.perform_all(steps) if isinstance(result, CreditTransaction)]
    assert len(rows) == len(steps)
    return rows


def statements_of(steps: list[Step]) -> int:
    with CaptureQueriesContext(connection) as captured:
        rows_of(steps)
    return len(captured)


@pytest.mark.django_db
@pytest.mark.usefixtures("one_server")
class TestTogether:
    def test_uses_of_many_users_are_a_lock_and_one_statement(self):
        users = make_rich(20)
        savepoint = 2  # of the test's own transaction

        assert (
            statements_of([use_step(user_id, f"use {n}") for n in range(3) for user_id in users])
            == 2 + savepoint
        )
        assert set(UserCredit.objects.values_list("balance", flat=True)) == {10**6 - 3}

    def test_who_does_not_fit_keeps_nobody_else_from_it(self):
        poor, *rich = make_rich(3)
        ledger.use(user_id=poor, amount=10**6 - 5, call=by_hand("spent"))
        steps = [use_step(user_id, f"{user_id} {n}", amount=4) for n in range(2) for user_id in (poor, *rich)]

        results = batch.perform_all(steps)

        assert [getattr(result, "default_code", "ok") for result in results] == (
            ["ok", "ok", "ok", "insufficient_credits", "ok", "ok"]
        )
        assert [result.balance for result in results if isinstance(result, CreditTransaction)] == (
            [1, 10**6 - 4, 10**6 - 4, 10**6 - 8, 10**6 - 8]
        )

    def test_a_sum_beyond_every_integer_is_only_too_much(self):
        [user_id] = make_rich(1)
        results = batch.perform_all([use_step(user_id, f"use {n}", amount=10**18) for n in range(20)])

        assert {result.default_code for result in results if isinstance(result, Problem)} == {
            "insufficient_credits"
        }
        assert len(results) == 20

    def test_a_key_of_before_is_repeated(self):
        users = make_rich(3)
        first = rows_of([use_step(user_id, "same") for user_id in users])
        again = rows_of([use_step(user_id, key) for user_id in users for key in ("same", "new")])

        assert [row.pk for row in first] == [row.pk for row in again[::2]]
        assert [row.replayed for row in again] == [True, False] * 3

    @pytest.mark.parametrize("believed", [0, 10**6])
    @pytest.mark.parametrize("key", ["new", "seen"])
    def test_no_step_of_the_plan_compares_each_with_each(self, key, believed):
        """Count the rows that the plan reads, which no load changes, with a planner that is wrong about the tables."""
        assert rows_read(make_rich(1000), key, believed=believed) < 50 * 1000


def rows_read(users: list[uuid.UUID], key: str, *, believed: int) -> int:
    """Return how many rows all steps of the plan of a use by each of these users read, kept or not.

    The planner believes that each table of credits has so many rows.
    """
    rows_of([use_step(user_id, "seen") for user_id in users])
    call = use_step(users[0], key).operation.call
    uses = [many_uses._columns(uuid7(), many_uses.Use(user_id, 1, call)) for user_id in users]
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "UPDATE pg_class SET reltuples = %s, relpages = greatest(relpages, 50) WHERE relname = ANY(%s)",
            [believed, ["credits_usercredit", "credits_credittransaction"]],
        )
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {many_uses.STATEMENT}", [encode(uses)])
        [(plan,)] = cursor.fetchall()
        transaction.set_rollback(True)
    return read_by(plan[0]["Plan"])


def read_by(step: dict[str, Any]) -> int:
    read = step["Actual Rows"] + sum(value for name, value in step.items() if name.startswith("Rows Removed"))
    return int(read * step["Actual Loops"]) + sum(map(read_by, step.get("Plans", [])))
