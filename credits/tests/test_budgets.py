"""Daily budgets of service keys: exact, also for many at once; repeats and refusals count nothing, uses pay nothing."""

import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import AuditEvent, ServiceKey, User
from accounts.service_keys import issuing
from accounts.service_keys.issuing import KeyRefused
from accounts.service_keys.registry import registry
from credits import ledger
from credits.errors import BudgetExceeded
from credits.ledger.budgets import Budget as Limit
from credits.ledger.calls import Call
from credits.models import BALANCE_LIMIT, Budget, CreditTransaction
from credits.tests.test_views import ADD, BATCH, USE, add, post, problem

REFUND = "/v1/credits/refund"
SCOPES = ["credits:add", "credits:use", "credits:read"]


@pytest.fixture
def giver(internal, db):
    """A service whose key may give 100 credits a day."""
    made = issuing.create(service="giver", scopes=SCOPES, actor="test", daily_budget=100)
    registry.clear()
    yield internal.with_key(made.text)
    registry.clear()


def given():
    return Budget.objects.values_list("given", flat=True).first() or 0


@pytest.mark.django_db
class TestOfOneKey:
    def test_no_more_than_its_budget_until_the_next_day(self, giver, verified_user, clock):
        assert add(giver, verified_user, 60).status_code == 201
        refused = add(giver, verified_user, 41)
        assert problem(refused) == (409, "budget_exceeded")
        assert (refused.json()["budget"], refused.json()["left"]) == (100, 40)
        assert add(giver, verified_user, 40).status_code == 201
        assert add(giver, verified_user, 1).json()["left"] == 0
        clock.advance(days=1)
        assert problem(add(giver, verified_user, 101)) == (409, "budget_exceeded")
        assert add(giver, verified_user, 100).status_code == 201
        assert given() == 100

    def test_a_repeat_counts_once_and_a_refusal_leaves_its_key_unused(self, giver, verified_user, clock):
        body = {"user_id": str(verified_user.pk), "amount": 60}
        first, again = (post(giver, ADD, body, "one") for _ in range(2))
        assert (first.json()["id"], given()) == (again.json()["id"], 60)
        assert problem(post(giver, ADD, body, "two")) == (409, "budget_exceeded")
        assert problem(post(giver, ADD, body, "two")) == (409, "budget_exceeded")
        assert given() == 60
        clock.advance(days=1)
        assert post(giver, ADD, body, "two").status_code == 201
        assert post(giver, ADD, body, "one").headers["Idempotency-Replayed"] == "true"
        assert given() == 60

    def test_what_the_ledger_refuses_counts_nothing(self, giver, verified_user, call):
        assert add(giver, verified_user, 50, expires_at="2001-01-01T00:00:00Z").status_code == 400
        assert problem(add(giver, User(pk=uuid.uuid4()), 50)) == (404, "user_not_found")
        ledger.add(user_id=verified_user.pk, amount=BALANCE_LIMIT, call=call())
        assert problem(add(giver, verified_user, 50)) == (409, "balance_limit")
        entry = {"op": "add", "user_id": str(verified_user.pk), "amount": 50, "idempotency_key": "k"}
        (result,) = giver.post(BATCH, {"operations": [entry]}).json()["results"]
        assert (result["status"], given()) == (409, 0)

    def test_refunds_of_what_others_used_count_and_of_its_own_do_not(self, giver, verified_user, call):
        ledger.add(user_id=verified_user.pk, amount=1000, call=call())
        others = ledger.use(user_id=verified_user.pk, amount=300, call=call())
        own = post(giver, USE, {"user_id": str(verified_user.pk), "amount": 500}).json()["id"]

        assert post(giver, REFUND, {"transaction_id": own}).status_code == 201
        assert given() == 0
        refused = post(giver, REFUND, {"transaction_id": str(others.pk), "amount": 101})
        assert problem(refused) == (409, "budget_exceeded")
        assert post(giver, REFUND, {"transaction_id": str(others.pk), "amount": 100}).status_code == 201
        assert problem(add(giver, verified_user, 1)) == (409, "budget_exceeded")

    def test_in_a_batch_each_operation_counts_and_is_refused_alone(self, giver, verified_user, call):
        ledger.add(user_id=verified_user.pk, amount=1000, call=call())
        used = ledger.use(user_id=verified_user.pk, amount=300, call=call())
        person = {"user_id": str(verified_user.pk)}
        entries = [
            {"op": "add", "idempotency_key": "a", "amount": 60, **person},
            {"op": "add", "idempotency_key": "b", "amount": 41, **person},
            {"op": "refund", "idempotency_key": "c", "amount": 41, "transaction_id": str(used.pk)},
            {"op": "add", "idempotency_key": "a", "amount": 60, **person},
            {"op": "use", "idempotency_key": "d", "amount": 5, **person},
            {"op": "add", "idempotency_key": "e", "amount": 40, **person},
        ]
        results = giver.post(BATCH, {"operations": entries}).json()["results"]
        assert [row["status"] for row in results] == [201, 409, 409, 201, 201, 201]
        assert results[1]["problem"]["code"] == "budget_exceeded"
        assert (results[1]["problem"]["left"], given()) == (40, 100)

    def test_a_use_neither_counts_nor_looks(self, giver, verified_user):
        add(giver, verified_user, 100)
        with CaptureQueriesContext(connection) as queries:
            assert post(giver, USE, {"user_id": str(verified_user.pk), "amount": 100}).status_code == 201
        assert not [query for query in queries if "credits_budget" in query["sql"]]

    def test_keys_without_one_pay_nothing_for_it(self, internal, service_key, verified_user):
        with CaptureQueriesContext(connection) as queries:
            add(internal.with_key(service_key("shop")), verified_user, 10**9)
        assert not [query for query in queries if "credits_budget" in query["sql"]]
        assert not Budget.objects.exists()

    def test_a_clock_that_is_behind_counts_on_the_later_day(self, giver, verified_user, clock):
        add(giver, verified_user, 60)
        clock.advance(days=-1)
        assert problem(add(giver, verified_user, 60)) == (409, "budget_exceeded")


@pytest.mark.django_db(transaction=True)
def test_many_at_once_give_no_more_than_the_budget_together():
    people = [User.objects.create_user(f"person{n}@example.test") for n in range(8)]
    limit = Limit("key:one", 100)

    def give(number):
        key = f"{number // 2}"  # each twice
        call = Call(service="giver", key=key, request=b"same")
        try:
            return ledger.add(user_id=people[number // 2].pk, amount=30, call=call, budget=limit).pk
        except BudgetExceeded as refusal:
            return refusal.extra["left"]
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as threads:
        results = list(threads.map(give, range(16)))
    assert CreditTransaction.objects.count() == 3
    assert given() == 90
    assert results.count(10) == 10


@pytest.mark.django_db
class TestSettingIt:
    def test_a_new_key_in_its_place_has_it_too(self):
        made = issuing.create(service="giver", scopes=SCOPES, actor="test", daily_budget=100)
        assert issuing.rotate(service="giver", actor="test").daily_budget == 100
        assert issuing.set_budget(key_id=made.id, daily_budget=None, actor="staff 1", reason="grown up")
        assert not issuing.set_budget(key_id=made.id, daily_budget=None, actor="staff 1")
        (row,) = AuditEvent.objects.filter(type="service_key_budgeted")
        assert row.detail == {
            "service": "giver", "key": made.id, "scopes": sorted(SCOPES), "daily_budget": None,
            "reason": "grown up",
        }  # fmt: skip

    @pytest.mark.parametrize("daily", [-1, 10**12 + 1])
    def test_only_within_bounds(self, daily):
        with pytest.raises(KeyRefused):
            issuing.create(service="giver", scopes=SCOPES, actor="test", daily_budget=daily)
        assert not ServiceKey.objects.exists()

    def test_by_the_command(self, capsys):
        call_command("service_key", "create", "giver", "--scopes", "credits:add", "--daily-budget", "0")
        key = ServiceKey.objects.get()
        assert key.daily_budget == 0
        call_command("service_key", "budget", key.pk, "500")
        call_command("service_key", "list")
        assert "has a budget of 500 credits a day" in capsys.readouterr().out
        call_command("service_key", "budget", key.pk, "none")
        key.refresh_from_db()
        assert key.daily_budget is None
        with pytest.raises(CommandError):
            call_command("service_key", "budget", "unknown", "5")

    def test_it_is_there_within_a_second(self, internal, verified_user):
        made = issuing.create(service="giver", scopes=SCOPES, actor="test")
        registry.clear()
        assert add(internal.with_key(made.text), verified_user, 500).status_code == 201
        issuing.set_budget(key_id=made.id, daily_budget=0, actor="test")
        registry.clear()
        assert problem(add(internal.with_key(made.text), verified_user, 1)) == (409, "budget_exceeded")
        registry.clear()
