"""The credits endpoints over HTTP: nobody, wrong caller, not found, valid; a refusal changes nothing."""

import uuid
from datetime import datetime, timedelta
from importlib import import_module

import pytest
from django.db import connection

from accounts.models import ServiceKey
from credits import ledger
from credits.ledger.calls import Call
from credits.models import CreditLot, CreditTransaction, UserCredit

pytestmark = pytest.mark.django_db
BALANCE, ADD, USE = "/v1/credits/balance", "/v1/credits/add", "/v1/credits/use"
TRANSACTIONS, HOLDS, BATCH = "/v1/credits/transactions", "/v1/credits/holds", "/v1/credits/batch"


@pytest.fixture
def shop(internal, service_key):
    return internal.with_key(service_key("shop"))


def post(client, path, body, key=None):
    return client.post(path, body, headers={"Idempotency-Key": key or str(uuid.uuid4())})


def add(client, user, amount=100, **fields):
    return post(client, ADD, {"user_id": str(user.pk), "amount": amount, **fields})


def wrong(answer):
    return [(one["field"], one["code"]) for one in answer.json().get("errors", [])]


def problem(answer):
    return answer.status_code, answer.json()["code"]


class TestAdd:
    def test_nobody(self, internal, verified_user):
        assert problem(add(internal, verified_user)) == (401, "api_key_missing")
        assert not CreditTransaction.objects.exists()

    def test_a_key_without_the_scope(self, internal, service_key, verified_user):
        answer = add(internal.with_key(service_key("reader", "credits:read")), verified_user)

        assert problem(answer) == (403, "scope_missing")
        assert not CreditTransaction.objects.exists()

    def test_a_purchase_needs_its_scope_and_what_it_was_paid_by(self, internal, service_key, verified_user):
        giver = internal.with_key(service_key("giver", "credits:add"))
        seller = internal.with_key(service_key("seller", "credits:add", "credits:sell"))
        sale = {"type": "purchase", "reference": "app-store-1"}
        entry = {"op": "add", "user_id": str(verified_user.pk), "amount": 5, "idempotency_key": "k", **sale}

        assert problem(add(giver, verified_user, **sale)) == (403, "scope_missing")
        assert problem(add(seller, verified_user, type="purchase")) == (400, "validation_error")
        refused = [giver.post(BATCH, {"operations": [entry]})]
        blank = [{**entry, "reference": reference} for reference in ("", " \u3000")]
        refused += [seller.post(BATCH, {"operations": [one]}) for one in blank]
        assert [row.json()["results"][0]["status"] for row in refused] == [403, 400, 400]
        assert not CreditTransaction.objects.exists()
        assert add(seller, verified_user, **sale).status_code == 201
        assert seller.post(BATCH, {"operations": [entry]}).json()["results"][0]["status"] == 201

    @pytest.mark.usefixtures("one_server")  # the migration is older than the first ledger on several
    def test_keys_of_services_that_have_sold_may_go_on(self, service_key, verified_user):
        service_key("giver", "credits:add")
        service_key("seller", "credits:add")
        paid = Call(service="seller", key="k", request=b"", reference="paid")
        ledger.add(user_id=verified_user.pk, amount=1, type="purchase", call=paid)
        migration = import_module("credits.migrations.0014_selling_and_old_requests")

        migration.give_scope(None, type("Editor", (), {"connection": connection}))
        migration.give_scope(None, type("Editor", (), {"connection": connection}))

        scopes = dict(ServiceKey.objects.exclude(service="shop").values_list("service_id", "scopes"))
        assert scopes == {"giver": ["credits:add"], "seller": ["credits:add", "credits:sell"]}

    def test_an_unknown_user(self, shop):
        answer = post(shop, ADD, {"user_id": str(uuid.uuid4()), "amount": 1})

        assert problem(answer) == (404, "user_not_found")
        assert not CreditTransaction.objects.exists()

    @pytest.mark.parametrize(
        "fields",
        [
            {"amount": 0},
            {"amount": -1},
            {"amount": 1.5},
            {"amount": 1.0},
            {"amount": "1"},
            {"amount": True},
            {"amount": None},
            {"amount": 10**12 + 1},
            {"type": "use"},
            {"expires_at": "2020-01-01T00:00:00Z"},
            {"expires_at": "2030-01-01T00:00:00"},
            {"expires_at": "2999-01-01T00:00:00Z"},
            {"description": "x" * 501},
            {"reference": "x" * 256},
            {"metadata": []},
            {"metadata": {"a": "x" * 4096}},
            {"balance": 5},
        ],
    )
    def test_a_field_that_cannot_be(self, shop, verified_user, fields):
        answer = add(shop, verified_user, **{"amount": 1, **fields})

        assert answer.status_code == 400, answer.content
        assert [fault["field"].split(".")[0] for fault in answer.json()["errors"]] == list(fields)
        assert not CreditTransaction.objects.exists()

    @pytest.mark.parametrize(
        "fields",
        [
            f'"amount": {10**30}',
            '"amount": 1, "metadata": {"a": 1e400}',
            f'"amount": 1, "metadata": {{"a": {10**40}}}',
        ],
    )
    def test_a_number_that_no_reader_holds_exactly(self, shop, verified_user, fields):
        body = f'{{"user_id": "{verified_user.pk}", {fields}}}'
        headers = {"Idempotency-Key": "k"}
        answer = shop.post(ADD, body, content_type="application/json", headers=headers)

        assert answer.status_code == 400, answer.content
        assert not CreditTransaction.objects.exists()

    @pytest.mark.parametrize("key", [None, "", "x" * 256, "ключ", "a\tb"])
    def test_without_a_usable_idempotency_key(self, shop, verified_user, key):
        headers = {} if key is None else {"Idempotency-Key": key}
        answer = shop.post(ADD, {"user_id": str(verified_user.pk), "amount": 1}, headers=headers)

        assert answer.status_code == 400
        assert answer.json()["code"] in {"idempotency_key_required", "idempotency_key_invalid"}
        assert not CreditTransaction.objects.exists()

    def test_over_the_largest_balance(self, shop, verified_user):
        add(shop, verified_user, 10**12)
        CreditLot.objects.update(issued=2**53 - 1)
        UserCredit.objects.update(balance=2**53 - 1, open_left=2**53 - 1)

        answer = add(shop, verified_user, 1)

        assert problem(answer) == (409, "balance_limit")
        assert CreditTransaction.objects.count() == 1

    def test_gives_a_grant(self, shop, verified_user):
        answer = add(
            shop, verified_user, 100, description="Welcome", metadata={"campaign": [1, 2.5, None, "é"]}
        )

        assert answer.status_code == 201
        body = answer.json()
        row = CreditTransaction.objects.get()
        assert body == {
            "id": str(row.pk),
            "user_id": str(verified_user.pk),
            "type": "bonus",
            "amount": 100,
            "balance_after": 100,
            "held_after": 0,
            "description": "Welcome",
            "reference": None,
            "metadata": {"campaign": [1, 2.5, None, "é"]},
            "service": "shop",
            "created_at": row.at.isoformat().replace("+00:00", "Z"),
        }
        assert "Idempotency-Replayed" not in answer


class TestUse:
    def test_nobody_and_a_key_without_the_scope(self, internal, service_key, verified_user):
        body = {"user_id": str(verified_user.pk), "amount": 1}

        assert problem(post(internal, USE, body)) == (401, "api_key_missing")
        giver = internal.with_key(service_key("giver", "credits:add"))
        assert problem(post(giver, USE, body)) == (403, "scope_missing")

    def test_an_unknown_user(self, shop):
        answer = post(shop, USE, {"user_id": str(uuid.uuid4()), "amount": 1})

        assert problem(answer) == (404, "user_not_found")

    def test_more_than_there_is(self, shop, verified_user):
        add(shop, verified_user, 10)
        answer = post(shop, USE, {"user_id": str(verified_user.pk), "amount": 11}, key="k")

        assert problem(answer) == (402, "insufficient_credits")
        assert (answer.json()["available"], answer.json()["required"]) == (10, 11)
        # A refused call does not use its key up.
        add(shop, verified_user, 1)
        again = post(shop, USE, {"user_id": str(verified_user.pk), "amount": 11}, key="k")
        assert (again.status_code, again.json()["balance_after"]) == (201, 0)

    def test_spends_once_per_key_and_repeats_the_first_answer(self, shop, verified_user):
        add(shop, verified_user)
        body = {
            "user_id": str(verified_user.pk),
            "amount": 100,
            "description": "all",
            "metadata": {"b": 1, "a": 2},
        }

        first = post(shop, USE, body, key="once")
        again = post(shop, USE, dict(reversed(body.items())), key="once")

        assert (first.status_code, again.status_code) == (201, 201)
        assert again.json() == first.json()
        assert (first.get("Idempotency-Replayed"), again.get("Idempotency-Replayed")) == (None, "true")

    def test_the_same_key_for_another_request_is_refused(self, shop, verified_user):
        add(shop, verified_user)
        body = {"user_id": str(verified_user.pk), "amount": 10}
        post(shop, USE, body, key="once")

        assert problem(post(shop, USE, {**body, "amount": 11}, key="once")) == (422, "idempotency_key_reused")
        assert problem(post(shop, ADD, body, key="once")) == (422, "idempotency_key_reused")

    def test_a_key_belongs_to_its_service(self, internal, service_key, shop, verified_user):
        add(shop, verified_user)
        body = {"user_id": str(verified_user.pk), "amount": 10}
        post(shop, USE, body, key="once")
        other = internal.with_key(service_key("studio"))

        assert post(other, USE, body, key="once").json()["balance_after"] == 80


class TestBalance:
    def test_nobody(self, internal, verified_user):
        assert problem(internal.get(BALANCE, {"user_id": str(verified_user.pk)})) == (401, "api_key_missing")

    def test_an_unknown_user_and_a_malformed_one(self, shop):
        assert problem(shop.get(BALANCE, {"user_id": str(uuid.uuid4())})) == (404, "user_not_found")
        assert problem(shop.get(BALANCE, {"user_id": "me"})) == (400, "validation_error")
        assert problem(shop.get(BALANCE)) == (400, "validation_error")

    def test_without_transactions_it_is_0(self, shop, verified_user):
        body = shop.get(BALANCE, {"user_id": str(verified_user.pk)}).json()

        assert body.pop("as_of").endswith("Z")
        assert body == {
            "user_id": str(verified_user.pk),
            "balance": 0,
            "held": 0,
            "debt": 0,
            "available": 0,
            "expiring": [],
            "blocked": [],
        }

    def test_tells_what_expires(self, shop, verified_user):
        add(shop, verified_user, 30, expires_at="2031-01-01T00:00:00+01:00")
        add(shop, verified_user, 70)

        body = shop.get(BALANCE, {"user_id": str(verified_user.pk)}).json()

        assert (body["balance"], body["available"]) == (100, 100)
        assert body["expiring"] == [{"amount": 30, "expires_at": "2030-12-31T23:00:00Z"}]

    @pytest.mark.parametrize("offset", ["+15:59", "+23:59", "-23:59"])
    def test_a_grant_may_end_at_a_time_of_any_offset(self, shop, verified_user, offset):
        text = f"2031-01-01T00:00:00{offset}"
        added = add(shop, verified_user, 30, expires_at=text)

        assert added.status_code == 201
        (expiring,) = shop.get(BALANCE, {"user_id": str(verified_user.pk)}).json()["expiring"]
        until = expiring["expires_at"]
        assert until.endswith("Z")
        assert datetime.fromisoformat(until) == datetime.fromisoformat(text)

    @pytest.mark.parametrize(
        ("asked", "told"),
        [
            ("2026-01-01T01:30:00+02:00", "2025-12-31T23:30:00Z"),
            ("2026-01-01T00:00:00-23:59", "2026-01-01T23:59:00Z"),
            ("0001-01-01T00:00:00+14:00", "0001-01-01T00:00:00Z"),
        ],
    )
    def test_an_answer_is_in_utc_whatever_was_asked(self, shop, verified_user, asked, told):
        answer = shop.get(BALANCE, {"user_id": str(verified_user.pk), "at": asked})

        assert answer.json()["as_of"] == told

    def test_at_a_past_instant(self, shop, verified_user):
        first = add(shop, verified_user, 30).json()
        add(shop, verified_user, 70)

        body = shop.get(BALANCE, {"user_id": str(verified_user.pk), "at": first["created_at"]}).json()

        assert (body["balance"], body["available"], body["as_of"]) == (30, 30, first["created_at"])
        assert "expiring" not in body
        assert "blocked" not in body

    def test_the_future_is_refused(self, shop, verified_user):
        answer = shop.get(BALANCE, {"user_id": str(verified_user.pk), "at": "2999-01-01T00:00:00Z"})

        assert problem(answer) == (400, "validation_error")

    def test_is_one_statement(self, shop, verified_user, keys_in_memory, django_assert_num_queries):
        add(shop, verified_user, 30, expires_at="2031-01-01T00:00:00Z")
        with django_assert_num_queries(1):
            shop.get(BALANCE, {"user_id": str(verified_user.pk)})


class TestTransactions:
    def test_pages_newest_first_and_a_cursor_is_bound_to_its_filters(self, shop, verified_user):
        ids = [add(shop, verified_user, n).json()["id"] for n in range(1, 6)]
        query = {"user_id": str(verified_user.pk), "limit": 2}

        first = shop.get(TRANSACTIONS, query).json()
        second = shop.get(TRANSACTIONS, {**query, "cursor": first["next"]}).json()
        third = shop.get(TRANSACTIONS, {**query, "cursor": second["next"]}).json()

        pages = [[row["id"] for row in page["results"]] for page in (first, second, third)]
        assert pages == [ids[4:2:-1], ids[2:0:-1], ids[:1]]
        assert third["next"] is None
        other = shop.get(TRANSACTIONS, {**query, "type": "bonus", "cursor": first["next"]})
        assert problem(other) == (400, "cursor_invalid")

    def test_filters(self, shop, verified_user):
        add(shop, verified_user, 5, reference="a")
        middle = add(shop, verified_user, 6, type="purchase", reference="b").json()
        last = add(shop, verified_user, 7).json()

        def found(**query):
            rows = shop.get(TRANSACTIONS, {"user_id": str(verified_user.pk), **query}).json()["results"]
            return [row["amount"] for row in rows]

        assert found(type="purchase") == [6]
        assert found(reference="a") == [5]
        assert found(since=middle["created_at"], until=last["created_at"]) == [6]

    def test_a_chargeback_names_the_grant_that_it_took_back(self, shop, verified_user):
        given = add(shop, verified_user, 50).json()["id"]
        call = Call(service="billing")
        ledger.charge_back(user_id=verified_user.pk, granted_by=uuid.UUID(given), amount=20, call=call)
        row, _ = shop.get(TRANSACTIONS, {"user_id": str(verified_user.pk)}).json()["results"]
        assert (row["type"], row["amount"], row["refund_of"]) == ("chargeback", -20, given)

    def test_a_cursor_is_bound_to_an_instant_not_to_how_it_is_written(self, shop, verified_user):
        for amount in (5, 6):
            add(shop, verified_user, amount)
        query = {"user_id": str(verified_user.pk), "limit": 1}

        first = shop.get(TRANSACTIONS, {**query, "since": "2025-01-01T00:00:00Z"}).json()
        again = {**query, "since": "2025-01-01T02:00:00+02:00", "cursor": first["next"]}
        assert [row["amount"] for row in shop.get(TRANSACTIONS, again).json()["results"]] == [5]

    @pytest.mark.parametrize("since", ["0001-01-01T00:00:00+23:59", "0001-01-01T00:00:00Z"])
    @pytest.mark.parametrize("until", ["9999-12-31T23:59:59-23:59", "9999-12-31T23:59:59Z"])
    def test_all_of_time(self, shop, verified_user, since, until):
        add(shop, verified_user, 5)

        for user in ({}, {"user_id": str(verified_user.pk)}):
            rows = shop.get(TRANSACTIONS, {**user, "since": since, "until": until}).json()["results"]
            assert [row["amount"] for row in rows] == [5]

    @pytest.mark.parametrize(
        "reference", ["a\u00a0b", "\U0001f468\u200d\U0001f469", "\u0645\u06cc\u200c", "a\nb", "\x07"]
    )
    def test_whatever_a_reference_may_be_it_is_found_by(self, shop, verified_user, reference):
        assert add(shop, verified_user, 5, reference=reference).status_code == 201
        add(shop, verified_user, 6)

        rows = shop.get(TRANSACTIONS, {"reference": reference}).json()["results"]
        assert [row["reference"] for row in rows] == [reference]

    def test_no_reference_has_a_nul(self, shop):
        assert wrong(shop.get(TRANSACTIONS, {"reference": "a\0b"})) == [("reference", "invalid_text")]

    @pytest.mark.parametrize("text", ["null", "NULL"])
    @pytest.mark.parametrize(
        ("path", "name"),
        [
            (TRANSACTIONS, "user_id"),
            (TRANSACTIONS, "since"),
            (TRANSACTIONS, "type"),
            (HOLDS, "user_id"),
            (HOLDS, "status"),
        ],
    )
    def test_null_does_not_leave_a_filter_out(self, shop, verified_user, path, name, text):
        add(shop, verified_user, 5)

        assert wrong(shop.get(path, {name: text})) == [(name, "invalid")]

    def test_null_is_a_text_like_any_other(self, shop, verified_user):
        add(shop, verified_user, 5, reference="null"), add(shop, verified_user, 6)

        (row,) = shop.get(TRANSACTIONS, {"reference": "null"}).json()["results"]
        assert row["amount"] == 5

    @pytest.mark.parametrize("text", ["20261129", "2026", "0", "-1", "1795926793.5", "1e3"])
    def test_a_number_is_not_a_time(self, shop, verified_user, text):
        user = {"user_id": str(verified_user.pk)}

        assert wrong(shop.get(TRANSACTIONS, {**user, "since": text})) == [("since", "invalid")]
        assert wrong(shop.get(BALANCE, {**user, "at": text})) == [("at", "invalid")]

    def test_without_a_user_it_is_what_the_calling_service_did(self, internal, service_key, shop, make_user):
        one, two = make_user(), make_user()
        other = internal.with_key(service_key("studio"))
        add(shop, one, 1), add(other, one, 2), add(shop, two, 3)

        assert [row["amount"] for row in shop.get(TRANSACTIONS).json()["results"]] == [3, 1]

    def test_includes_what_has_come_due_and_is_not_posted(self, shop, verified_user, clock):
        add(shop, verified_user, 9, expires_at=(clock.now + timedelta(hours=1)).isoformat())
        clock.advance(hours=2)
        query = {"user_id": str(verified_user.pk)}

        before = shop.get(TRANSACTIONS, query).json()["results"]
        assert [row["type"] for row in before] == ["expiry", "bonus"]
        first = shop.get(TRANSACTIONS, {**query, "limit": 1}).json()
        rest = shop.get(TRANSACTIONS, {**query, "limit": 1, "cursor": first["next"]}).json()
        assert [*first["results"], *rest["results"]] == before

        add(shop, verified_user, 1)
        assert shop.get(TRANSACTIONS, query).json()["results"][1:] == before

    def test_one_by_id(self, shop, verified_user):
        added = add(shop, verified_user, 5).json()

        assert shop.get(f"{TRANSACTIONS}/{added['id']}").json() == added
        assert problem(shop.get(f"{TRANSACTIONS}/{uuid.uuid4()}")) == (404, "transaction_not_found")
        assert shop.get(f"{TRANSACTIONS}/junk").status_code == 404
