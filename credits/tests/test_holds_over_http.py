"""Holds, refunds and batches over HTTP."""

import uuid

import pytest
from django.db import connection

from credits.ledger import balance, states, verify
from credits.models import CreditLot, CreditTransaction, FeaturePrice, UserCredit
from credits.tests.test_views import ADD, USE, add, post, problem

pytestmark = pytest.mark.django_db
HOLDS, REFUND, BATCH = "/v1/credits/holds", "/v1/credits/refund", "/v1/credits/batch"


@pytest.fixture
def shop(internal, service_key):
    return internal.with_key(service_key("shop"))


@pytest.fixture
def studio(internal, service_key):
    return internal.with_key(service_key("studio"))


@pytest.fixture
def rich(shop, verified_user):
    """A person with 100 credits."""
    add(shop, verified_user, 100)
    return verified_user


def hold(client, user, amount=40, key=None, **fields):
    return post(client, HOLDS, {"user_id": str(user.pk), "amount": amount, **fields}, key)


class TestHolds:
    def test_nobody_and_a_key_without_the_scope(self, internal, service_key, rich):
        assert problem(hold(internal, rich)) == (401, "api_key_missing")
        reader = internal.with_key(service_key("reader", "credits:read"))
        assert problem(hold(reader, rich)) == (403, "scope_missing")
        assert reader.get(HOLDS).json() == {"results": [], "next": None}

    @pytest.mark.parametrize(
        "fields", [{"expires_in": 0}, {"expires_in": 604801}, {"amount": 0}, {"status": "open"}]
    )
    def test_a_field_that_cannot_be(self, shop, rich, fields):
        assert hold(shop, rich, **fields).status_code == 400
        assert CreditTransaction.objects.count() == 1

    def test_is_placed_captured_in_part_and_each_answer_repeats(self, shop, rich):
        placed = hold(shop, rich, key="place", reference="job-1", expires_in=60)
        path = f"{HOLDS}/{placed.json()['id']}/capture"
        captured = post(shop, path, {"amount": 25}, key="take")

        assert placed.status_code == 201
        assert (placed.json()["status"], placed.json()["amount"], placed.json()["captured"]) == (
            "open",
            40,
            0,
        )
        body = captured.json()
        assert (captured.status_code, body["status"], body["captured"]) == (200, "captured", 25)
        assert (body["transaction"]["amount"], body["transaction"]["balance_after"]) == (-25, 75)
        assert body["transaction"]["hold_id"] == body["id"]
        for first, again in (
            (placed, hold(shop, rich, key="place", reference="job-1", expires_in=60)),
            (captured, post(shop, path, {"amount": 25}, key="take")),
        ):
            assert (again.status_code, again.json()) == (first.status_code, first.json())
            assert again["Idempotency-Replayed"] == "true"

    def test_another_service_finds_it_but_cannot_settle_it(self, shop, studio, rich):
        hold_id = hold(shop, rich).json()["id"]

        assert studio.get(f"{HOLDS}/{hold_id}").json()["status"] == "open"
        assert problem(post(studio, f"{HOLDS}/{hold_id}/release", {})) == (404, "hold_not_found")
        assert problem(post(studio, f"{HOLDS}/{hold_id}/capture", {})) == (404, "hold_not_found")
        assert problem(post(shop, f"{HOLDS}/{uuid.uuid4()}/release", {})) == (404, "hold_not_found")
        assert shop.get(f"{HOLDS}/{hold_id}").json()["status"] == "open"

    def test_refusals_change_nothing(self, shop, rich):
        hold_id = hold(shop, rich).json()["id"]

        assert problem(hold(shop, rich, 61)) == (402, "insufficient_credits")
        assert problem(post(shop, f"{HOLDS}/{hold_id}/capture", {"amount": 41})) == (
            409,
            "capture_exceeds_hold",
        )
        post(shop, f"{HOLDS}/{hold_id}/release", {})
        assert problem(post(shop, f"{HOLDS}/{hold_id}/release", {})) == (409, "hold_not_open")
        assert problem(post(shop, f"{HOLDS}/{hold_id}/capture", {})) == (409, "hold_not_open")

        balance = shop.get("/v1/credits/balance", {"user_id": str(rich.pk)}).json()
        assert (balance["balance"], balance["held"]) == (100, 0)

    @pytest.mark.parametrize(
        ("reason", "code"), [("suspended", "account_suspended"), ("dispute", "account_frozen")]
    )
    def test_nor_any_use_while_spending_is_blocked(self, shop, rich, reason, code):
        states.block(user_id=rich.pk, reason=reason)

        assert problem(hold(shop, rich)) == (403, code)
        assert problem(post(shop, USE, {"user_id": str(rich.pk), "amount": 1})) == (403, code)
        assert CreditTransaction.objects.count() == 1

    def test_are_found_again_after_a_crash(self, shop, studio, rich, clock):
        first, second = hold(shop, rich, 1, expires_in=60).json(), hold(shop, rich, 2).json()
        hold(studio, rich, 3)

        def found(client, **query):
            return [row["amount"] for row in client.get(HOLDS, query).json()["results"]]

        assert found(shop) == [2, 1]
        assert found(shop, user_id=str(rich.pk)) == [3, 2, 1]
        post(shop, f"{HOLDS}/{second['id']}/release", {})
        clock.advance(seconds=61)
        assert found(shop, status="open") == []
        assert found(shop, status="expired") == [1]
        assert shop.get(f"{HOLDS}/{first['id']}").json()["status"] == "expired"

    def test_a_list_costs_the_same_for_one_and_for_many(
        self, shop, rich, keys_in_memory, django_assert_num_queries
    ):
        for _ in range(5):
            hold(shop, rich, 1)
        with django_assert_num_queries(1):
            assert len(shop.get(HOLDS).json()["results"]) == 5


class TestRefund:
    def test_a_service_refunds_its_own_uses_only(self, internal, service_key, shop, rich):
        use = post(shop, USE, {"user_id": str(rich.pk), "amount": 30}).json()["id"]
        stranger = internal.with_key(service_key("stranger", "credits:refund"))
        own = internal.with_key(service_key("shop", "credits:refund"))
        manager = internal.with_key(service_key("manager", "credits:add"))

        assert problem(post(stranger, REFUND, {"transaction_id": use})) == (404, "transaction_not_found")
        refunded = post(own, REFUND, {"transaction_id": use, "amount": 10})
        rest = post(manager, REFUND, {"transaction_id": use})

        assert (refunded.status_code, refunded.json()["refund_of"], refunded.json()["amount"]) == (
            201,
            use,
            10,
        )
        assert (rest.json()["amount"], rest.json()["balance_after"]) == (20, 100)
        assert problem(post(own, REFUND, {"transaction_id": use, "amount": 1})) == (409, "refund_exceeds_use")

    def test_only_a_use_can_be_refunded(self, shop, rich):
        added = CreditTransaction.objects.get().pk

        assert problem(post(shop, REFUND, {"transaction_id": str(added)})) == (
            409,
            "transaction_not_refundable",
        )
        assert problem(post(shop, REFUND, {"transaction_id": str(uuid.uuid4())})) == (
            404,
            "transaction_not_found",
        )
        assert CreditTransaction.objects.count() == 1

    def test_not_over_the_largest_balance(self, shop, rich):
        use = post(shop, USE, {"user_id": str(rich.pk), "amount": 30}).json()["id"]
        CreditLot.objects.update(issued=2**53 - 1)
        UserCredit.objects.update(balance=2**53 - 1, open_left=2**53 - 1)

        assert problem(post(shop, REFUND, {"transaction_id": use})) == (409, "balance_limit")
        assert CreditTransaction.objects.count() == 2


class TestFeature:
    def test_is_priced_by_the_table_and_a_repeat_ignores_a_new_price(self, shop, rich):
        price = FeaturePrice.objects.create(feature="picture", credits=7)
        body = {"user_id": str(rich.pk), "feature": "picture", "quantity": 3}

        first = post(shop, USE, body, key="k")
        FeaturePrice.objects.filter(pk=price.pk).update(credits=90)
        again = post(shop, USE, body, key="k")
        FeaturePrice.objects.all().delete()
        third = post(shop, USE, body, key="k")

        assert (first.json()["amount"], again.json(), third.json()) == (-21, first.json(), first.json())
        assert problem(post(shop, USE, body)) == (404, "feature_not_found")

    def test_is_kept_with_quantity_and_price_until_the_user_is_erased(self, shop, rich):
        FeaturePrice.objects.create(feature="picture", credits=7)
        kept = {"feature": "picture", "quantity": 3, "unit_price": 7}
        used = post(shop, USE, {"user_id": str(rich.pk), "feature": "picture", "quantity": 3}).json()
        path = f"/v1/credits/transactions/{used['id']}"

        assert {name: used[name] for name in kept} == kept
        assert shop.get(path).json() == used
        rows = shop.get("/v1/credits/transactions", headers={"Accept": "text/csv"}).getvalue().decode()
        assert "picture,3,7" in rows.splitlines()[1]

        with connection.cursor() as cursor:
            cursor.execute("SELECT credits_erase_texts(%s)", [rich.pk])
        assert {name: shop.get(path).json().get(name) for name in kept} == {
            "feature": None, "quantity": None, "unit_price": 7,
        }  # fmt: skip
        assert not verify.verify_user(rich.pk).findings

    def test_is_in_no_other_row(self, shop, rich):
        used = post(shop, USE, {"user_id": str(rich.pk), "amount": 3}).json()
        assert not {"feature", "quantity", "unit_price"} & used.keys()

    @pytest.mark.parametrize(
        "fields", [{}, {"feature": "a"}, {"quantity": 1}, {"amount": 1, "feature": "a", "quantity": 1}]
    )
    def test_either_an_amount_or_a_feature(self, shop, rich, fields):
        assert problem(post(shop, USE, {"user_id": str(rich.pk), **fields})) == (400, "validation_error")


class TestBatch:
    @pytest.mark.parametrize("key", [" k", "k ", " ", " k "])
    def test_a_key_has_no_spaces_around_it_as_a_header_would_lose_them(self, shop, rich, key):
        body = {"user_id": str(rich.pk), "amount": 1}
        answer = shop.post(BATCH, {"operations": [{"op": "use", "idempotency_key": key, **body}]})

        assert answer.status_code == 400
        assert [row["field"] for row in answer.json()["errors"]] == ["operations[0].idempotency_key"]
        inner = {"op": "use", "idempotency_key": "k  k", **body}
        assert shop.post(BATCH, {"operations": [inner]}).json()["results"][0]["status"] == 201

    def test_an_operation_that_there_is_not_is_not_repeated(self, shop):
        answer = shop.post(BATCH, {"operations": [{"op": "hunter2, got x", "idempotency_key": "k"}]})

        (error,) = answer.json()["errors"]
        assert (error["field"], error["code"]) == ("operations[0].op", "invalid_choice")
        assert b"hunter2" not in answer.content

    def test_each_stands_alone_in_the_order_of_the_list(self, shop, rich, make_user):
        other, nobody = make_user(), uuid.uuid4()
        operations = [
            {"op": "use", "idempotency_key": "1", "user_id": str(rich.pk), "amount": 90},
            {"op": "use", "idempotency_key": "2", "user_id": str(rich.pk), "amount": 11},
            {"op": "add", "idempotency_key": "3", "user_id": str(rich.pk), "amount": 5},
            {"op": "use", "idempotency_key": "2", "user_id": str(rich.pk), "amount": 11},
            {"op": "use", "idempotency_key": "1", "user_id": str(rich.pk), "amount": 90},
            {"op": "use", "idempotency_key": "1", "user_id": str(rich.pk), "amount": 91},
            {"op": "add", "idempotency_key": "1", "user_id": str(other.pk), "amount": 7},
            {"op": "hold", "idempotency_key": "2", "user_id": str(other.pk), "amount": 6},
            {"op": "add", "idempotency_key": "4", "user_id": str(nobody), "amount": 1},
            {"op": "capture", "idempotency_key": "5", "hold_id": str(nobody)},
            {"op": "use", "idempotency_key": "6", "user_id": str(rich.pk), "feature": "none", "quantity": 1},
        ]
        answer = shop.post(BATCH, {"operations": operations})
        results = answer.json()["results"]

        assert answer.status_code == 200
        assert [(row["status"], row["replayed"]) for row in results] == [
            (201, False),
            (402, False),
            (201, False),
            (201, False),
            (201, True),
            (422, False),
            (201, False),
            (201, False),
            (404, False),
            (404, False),
            (404, False),
        ]
        assert results[0]["transaction"] == results[4]["transaction"]
        assert results[1]["problem"]["code"] == "insufficient_credits"
        assert results[7]["hold"]["status"] == "open"
        assert results[3]["transaction"]["balance_after"] == 4

    def test_captures_releases_and_refunds_and_repeats_whole(self, shop, rich):
        one, two = hold(shop, rich, 10).json()["id"], hold(shop, rich, 20).json()["id"]
        use = post(shop, USE, {"user_id": str(rich.pk), "amount": 30}).json()["id"]
        operations = [
            {"op": "capture", "idempotency_key": "a", "hold_id": one, "amount": 4},
            {"op": "release", "idempotency_key": "b", "hold_id": one},
            {"op": "release", "idempotency_key": "c", "hold_id": two},
            {"op": "refund", "idempotency_key": "d", "transaction_id": use, "amount": 20},
            {"op": "refund", "idempotency_key": "e", "transaction_id": use, "amount": 20},
        ]
        first = shop.post(BATCH, {"operations": operations}).json()["results"]
        again = shop.post(BATCH, {"operations": operations}).json()["results"]

        assert [row["status"] for row in first] == [200, 409, 200, 201, 409]
        assert [row["status"] for row in again] == [200, 409, 200, 201, 409]
        assert [row["replayed"] for row in again] == [True, False, True, True, False]
        for row, repeat in zip(first, again, strict=True):
            assert row.get("hold") == repeat.get("hold")
            assert row.get("transaction") == repeat.get("transaction")

    def test_a_single_call_repeats_a_batch_and_the_other_way_round(self, shop, rich):
        body = {"user_id": str(rich.pk), "amount": 5}
        single = post(shop, ADD, body, key="k").json()
        [twin] = shop.post(BATCH, {"operations": [{"op": "add", "idempotency_key": "k", **body}]}).json()[
            "results"
        ]

        assert (twin["replayed"], twin["transaction"]) == (True, single)
        [first] = shop.post(BATCH, {"operations": [{"op": "use", "idempotency_key": "u", **body}]}).json()[
            "results"
        ]
        again = post(shop, USE, body, key="u")
        assert (again.json(), again["Idempotency-Replayed"]) == (first["transaction"], "true")

    @pytest.mark.parametrize(
        "damage",
        [
            "UPDATE credits_usercredit SET open_left = 150 WHERE holder_id = %s",
            "UPDATE credits_usercredit SET open_lot = 7 WHERE holder_id = %s",
        ],
    )
    def test_a_broken_ledger_of_one_user_is_that_results_own(self, shop, rich, make_user, damage):
        broken, others = make_user(), [rich, *(make_user() for _ in range(4))]
        for kind in ("purchase", "bonus"):
            add(shop, broken, 100, type=kind, reference="paid")
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL session_replication_role = replica")
            cursor.execute(damage, [broken.pk])
            cursor.execute("SET LOCAL session_replication_role = DEFAULT")
        people = [*others[:2], broken, *others[2:], broken]
        operations = [
            {
                "op": "add",
                "idempotency_key": str(n),
                "user_id": str(user.pk),
                "amount": 5,
                "type": "adjustment",
            }
            for n, user in enumerate(people)
        ]
        operations[2].update(type="bonus", expires_at="2099-01-01T00:00:00Z")  # burns before the open grant
        rows = CreditTransaction.objects.filter(holder_id=broken.pk).count()

        answer = shop.post(BATCH, {"operations": [*operations, {**operations[0], "idempotency_key": "0"}]})

        results = answer.json()["results"]
        assert [row["status"] for row in results] == [201, 201, 500, 201, 201, 201, 500, 201]
        assert (results[2]["problem"]["code"], results[-1]["replayed"]) == ("internal_error", True)
        assert [balance.current(user.pk).balance for user in others] == [105, 5, 5, 5, 5]
        assert CreditTransaction.objects.filter(holder_id=broken.pk).count() == rows

    def test_a_missing_scope_is_that_results_own(self, internal, service_key, rich):
        client = internal.with_key(service_key("user-only", "credits:use"))
        operations = [
            {"op": "add", "idempotency_key": "1", "user_id": str(rich.pk), "amount": 5},
            {"op": "use", "idempotency_key": "2", "user_id": str(rich.pk), "amount": 5},
        ]
        results = client.post(BATCH, {"operations": operations}).json()["results"]

        assert [row["status"] for row in results] == [403, 201]

    @pytest.mark.parametrize(
        "operation",
        [
            {"op": "steal", "idempotency_key": "2", "amount": 1},
            {"op": "use", "idempotency_key": "", "amount": 1},
            {"op": "use", "amount": 1},
            {"op": "use", "idempotency_key": "2", "amount": 0},
            {"op": "use", "idempotency_key": "2", "amount": 1, "balance": 1},
            {"op": "use", "idempotency_key": "2", "amount": 1, "metadata": {"a": "x" * 5000}},
            {"idempotency_key": "2", "amount": 1},
            7,
        ],
    )
    def test_a_fault_of_form_refuses_all_of_it(self, shop, rich, operation):
        good = {"op": "use", "idempotency_key": "1", "user_id": str(rich.pk), "amount": 1}
        bad = {"user_id": str(rich.pk), **operation} if isinstance(operation, dict) else operation
        answer = shop.post(BATCH, {"operations": [good, bad]})

        assert answer.status_code == 400, answer.content
        assert CreditTransaction.objects.count() == 1

    @pytest.mark.parametrize("count", [0, 1001])
    def test_takes_1_to_1000(self, shop, rich, count):
        operation = {"op": "use", "idempotency_key": "1", "user_id": str(rich.pk), "amount": 1}
        assert shop.post(BATCH, {"operations": [operation] * count}).status_code == 400

    @pytest.mark.usefixtures("one_server")  # on several, each use is a call of its own
    def test_1000_uses_of_one_user_are_few_statements(self, shop, rich, django_assert_max_num_queries):
        operations = [
            {"op": "use", "idempotency_key": str(n), "user_id": str(rich.pk), "amount": 1}
            for n in range(1000)
        ]
        with django_assert_max_num_queries(12):
            results = shop.post(BATCH, {"operations": operations}).json()["results"]

        assert [row["status"] for row in results] == [201] * 100 + [402] * 900
