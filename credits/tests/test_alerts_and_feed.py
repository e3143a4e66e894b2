"""Alerts and their events: once for each fall below the threshold, in the feed by the order of their commits."""

import csv
import io
import threading
import uuid
from datetime import timedelta

import pytest
from django.db import connection, transaction

from accounts import events
from accounts.events import feed, subscriptions
from accounts.models import EventSubscription, ServiceEvent, User
from credits import ledger
from credits.errors import AccountFrozen, AccountSuspended, InsufficientCredits
from credits.ledger import states
from credits.models import CreditTransaction
from credits.tests.test_views import TRANSACTIONS, USE, add, post, problem
from tests.waiting import PATIENCE

ALERTS, EVENTS = "/v1/credits/alerts", "/v1/events"


@pytest.fixture
def shop(internal, service_key):
    return internal.with_key(service_key("shop"))


def spend(client, user, amount):
    return post(client, USE, {"user_id": str(user.pk), "amount": amount})


@pytest.mark.django_db
class TestAlert:
    def test_nobody_wrong_scope_unknown_user(self, internal, service_key, verified_user):
        body = {"user_id": str(verified_user.pk), "threshold": 5}
        assert problem(internal.put(ALERTS, body)) == (401, "api_key_missing")
        assert problem(internal.with_key(service_key("u", "credits:use")).put(ALERTS, body)) == (
            403,
            "scope_missing",
        )
        manager = internal.with_key(service_key("m", "credits:add"))
        assert problem(manager.put(ALERTS, {**body, "user_id": str(uuid.uuid4())})) == (404, "user_not_found")
        assert problem(manager.put(ALERTS, {**body, "threshold": 0})) == (400, "validation_error")

    def test_one_event_for_each_fall_below_the_threshold(self, shop, verified_user):
        add(shop, verified_user, 100)
        answer = shop.put(ALERTS, {"user_id": str(verified_user.pk), "threshold": 50})
        assert (answer.status_code, answer.json()) == (
            200,
            {"user_id": str(verified_user.pk), "threshold": 50},
        )

        for amount in (50, 1, 1):
            spend(shop, verified_user, amount)
        add(shop, verified_user, 10)
        spend(shop, verified_user, 9)
        shop.put(ALERTS, {"user_id": str(verified_user.pk), "threshold": None})
        add(shop, verified_user, 10)
        spend(shop, verified_user, 59)

        found = shop.get(EVENTS, {"types": "credits.low"}).json()["results"]
        assert [(event["type"], event["data"]) for event in found] == [
            ("credits.low", {"threshold": 50, "available": 49}),
            ("credits.low", {"threshold": 50, "available": 49}),
        ]
        assert found[0]["user_id"] == str(verified_user.pk)

    def test_one_that_is_set_when_the_balance_is_below_already_tells_at_once(self, shop, verified_user):
        add(shop, verified_user, 30)
        for threshold in (50, 50, 40, 30, 50):
            shop.put(ALERTS, {"user_id": str(verified_user.pk), "threshold": threshold})
        spend(shop, verified_user, 1)

        lows = ServiceEvent.objects.filter(type="credits.low").order_by("id")
        assert [event.data for event in lows] == [
            {"threshold": 50, "available": 30},
            {"threshold": 40, "available": 30},
            {"threshold": 50, "available": 30},
        ]

    def test_what_is_due_counts_when_it_is_set(self, shop, verified_user, clock):
        add(shop, verified_user, 100, expires_at="2030-01-01T01:00:00Z")
        states.set_alert(user_id=verified_user.pk, threshold=60)
        clock.advance(hours=2)
        states.set_alert(user_id=verified_user.pk, threshold=50)
        lows = ServiceEvent.objects.filter(type="credits.low").order_by("id")
        assert [event.data for event in lows] == [
            {"threshold": 60, "available": 0},
            {"threshold": 50, "available": 0},
        ]

    def test_it_can_be_read(self, shop, internal, service_key, verified_user):
        add(shop, verified_user, 10)
        person = {"user_id": str(verified_user.pk)}
        assert shop.get(ALERTS, person).json() == {**person, "threshold": None}
        shop.put(ALERTS, {**person, "threshold": 7})
        reader = internal.with_key(service_key("reader", "credits:read"))
        assert reader.get(ALERTS, person).json() == {**person, "threshold": 7}
        assert problem(reader.get(ALERTS, {"user_id": str(uuid.uuid4())})) == (404, "user_not_found")
        adder = internal.with_key(service_key("adder", "credits:add"))
        assert problem(adder.get(ALERTS, person)) == (403, "scope_missing")

    def test_an_expiry_tells_too(self, shop, verified_user, clock):
        add(shop, verified_user, 100, expires_at="2030-01-01T01:00:00Z")
        states.set_alert(user_id=verified_user.pk, threshold=1)
        clock.advance(hours=2)
        assert problem(spend(shop, verified_user, 1)) == (402, "insufficient_credits")
        lows = ServiceEvent.objects.filter(type="credits.low")
        assert not lows.exists()

        add(shop, verified_user, 5)
        assert [event.data for event in lows] == [{"threshold": 1, "available": 0}]


@pytest.mark.django_db
class TestEventsOfTheLedger:
    def test_what_arrives_what_runs_out_and_debt(self, person, call, clock):
        expires = clock.now + timedelta(hours=1)
        first = ledger.add(user_id=person.pk, amount=10, call=call(), expires_at=expires)
        clock.advance(hours=2)
        bought = ledger.add(user_id=person.pk, amount=100, call=call(), type="purchase")
        ledger.use(user_id=person.pk, amount=60, call=call())
        charged = ledger.charge_back(user_id=person.pk, granted_by=bought.pk, amount=100, call=call())
        ledger.add(user_id=person.pk, amount=70, call=call())

        told = [(event.type, event.data) for event in ServiceEvent.objects.order_by("id")]
        expiry = CreditTransaction.objects.get(type="expiry")
        assert charged is not None
        assert [(type_, data.get("amount", data.get("debt"))) for type_, data in told] == [
            ("credits.added", 10),
            ("credits.expired", 10),
            ("credits.added", 100),
            ("credits.debt", 60),
            ("credits.added", 70),
        ]
        assert told[0][1] == {
            "type": "bonus", "transaction_id": str(first.pk), "amount": 10, "balance_after": 10,
        }  # fmt: skip
        assert told[1][1] == {"transaction_id": str(expiry.pk), "amount": 10, "balance_after": 0}
        assert told[3][1] == {"debt": 60, "balance": -60}

    def test_a_call_that_fails_tells_nothing_and_spending_neither(self, person, call):
        ledger.add(user_id=person.pk, amount=10, call=call())
        ledger.use(user_id=person.pk, amount=1, call=call())
        with pytest.raises(InsufficientCredits):
            ledger.use(user_id=person.pk, amount=100, call=call())
        assert ServiceEvent.objects.count() == 1


@pytest.mark.django_db
class TestFeed:
    def test_one_that_nobody_has_read_for_long_begins_in_steps(self, service_key, internal, monkeypatch):
        """A million positions at once met the time-out of a statement, each time: the feed was 503 for ever."""
        monkeypatch.setattr(feed, "AT_ONCE", 3)
        for _ in range(7):
            events.emit("a.b", user_id=uuid.uuid4(), data={})
        reader = internal.with_key(service_key("reader", "events:read"))
        seen: list[int] = []
        query: dict[str, str] = {}
        for count in (3, 3, 1, 0):
            page = reader.get(EVENTS, query).json()
            assert len(page["results"]) == count
            seen += [event["id"] for event in page["results"]]
            query = {"cursor": page["next"]}
        assert seen == [1, 2, 3, 4, 5, 6, 7]

    def test_a_subscription_begins_after_all_that_has_happened(self, monkeypatch, settings):
        monkeypatch.setattr(feed, "AT_ONCE", 3)
        settings.EVENT_WEBHOOK_HOSTS = {"shop.test:443": ()}
        for _ in range(7):
            events.emit("a.b", user_id=uuid.uuid4(), data={})
        subscriptions.create(name="shop", url="https://shop.test/", types=[], actor="test")
        assert EventSubscription.objects.get().position == 7

    @pytest.mark.parametrize("types", ["a.b, c.d", " c.d ,a.b,", "c.d,a.b,a.b"])
    def test_types_are_named_as_people_write_a_list(self, shop, verified_user, types):
        for number, type_ in enumerate(("a.b", "e.f", "c.d")):
            events.emit(type_, user_id=verified_user.pk, data={"n": number})

        first = shop.get(EVENTS, {"types": types, "limit": 1}).json()
        rest = shop.get(EVENTS, {"types": "a.b,c.d", "cursor": first["next"]}).json()
        assert [row["data"]["n"] for row in first["results"] + rest["results"]] == [0, 2]

    def test_pages_by_type_and_leads_on_from_its_end(self, shop, service_key, internal, verified_user):
        for number in range(3):
            events.emit("a.b" if number != 1 else "c.d", user_id=verified_user.pk, data={"n": number})

        first = shop.get(EVENTS, {"types": "a.b", "limit": 1}).json()
        second = shop.get(EVENTS, {"types": "a.b", "limit": 1, "cursor": first["next"]}).json()
        assert [row["data"]["n"] for row in first["results"] + second["results"]] == [0, 2]
        nothing_yet = shop.get(EVENTS, {"types": "a.b", "limit": 1, "cursor": second["next"]}).json()
        assert nothing_yet == {"results": [], "next": second["next"]}
        events.emit("a.b", user_id=verified_user.pk, data={"n": 3})
        more = shop.get(EVENTS, {"types": "a.b", "cursor": second["next"]}).json()
        assert [row["data"]["n"] for row in more["results"]] == [3]
        assert problem(shop.get(EVENTS, {"types": "c.d", "cursor": second["next"]})) == (
            400,
            "cursor_invalid",
        )
        reader = internal.with_key(service_key("reader", "credits:read"))
        assert problem(reader.get(EVENTS)) == (403, "scope_missing")


@pytest.mark.django_db(transaction=True)
def test_the_feed_never_skips_a_late_commit():
    user = User.objects.create_user("feed@example.test")
    written, go_on = threading.Event(), threading.Event()

    def commit_late():
        try:
            with transaction.atomic():
                events.emit("late", user_id=user.pk, data={})
                written.set()
                go_on.wait(PATIENCE)
        finally:
            connection.close()

    late = threading.Thread(target=commit_late)
    late.start()
    assert written.wait(PATIENCE)
    events.emit("early", user_id=user.pk, data={})
    seen = list(events.in_order().values_list("position", "type"))
    go_on.set()
    late.join()

    assert [type_ for _, type_ in seen] == ["early"]
    assert list(events.in_order().filter(position__gt=seen[-1][0]).values_list("type", flat=True)) == ["late"]


@pytest.mark.django_db
class TestBlocked:
    @pytest.mark.parametrize(
        ("reason", "refusal"),
        [("suspended", AccountSuspended), ("deletion", AccountSuspended), ("past_due", AccountFrozen)],
    )
    def test_neither_spends_nor_holds_until_the_last_reason_is_gone(self, person, call, reason, refusal):
        ledger.add(user_id=person.pk, amount=10, call=call())
        states.block(user_id=person.pk, reason=reason)
        states.block(user_id=person.pk, reason=reason)

        with pytest.raises(refusal):
            ledger.use(user_id=person.pk, amount=1, call=call())
        ledger.add(user_id=person.pk, amount=1, call=call())
        states.unblock(user_id=person.pk, reason=reason)

        assert ledger.use(user_id=person.pk, amount=11, call=call()).balance == 0


@pytest.mark.django_db
class TestCsv:
    def test_streams_all_that_match_and_defuses_formulas(self, shop, verified_user, monkeypatch):
        monkeypatch.setattr("credits.export.ROWS_AT_A_TIME", 2)
        for number in range(5):
            add(shop, verified_user, number + 1, description="=1+1" if number == 4 else "plain, with a comma")

        answer = shop.get(TRANSACTIONS, {"user_id": str(verified_user.pk)}, headers={"Accept": "text/csv"})
        rows = list(csv.DictReader(io.StringIO(b"".join(answer.streaming_content).decode())))

        assert answer["Content-Type"] == "text/csv; charset=utf-8"
        assert [row["amount"] for row in rows] == ["5", "4", "3", "2", "1"]
        assert (rows[0]["description"], rows[1]["description"]) == ("'=1+1", "plain, with a comma")
        assert rows[4]["id"] == str(CreditTransaction.objects.order_by("at")[0].pk)
        own = shop.get(TRANSACTIONS, headers={"Accept": "text/csv"})
        assert b"".join(own.streaming_content).count(b"\n") == 6

    @pytest.mark.parametrize(
        ("accept", "is_csv"),
        [
            ("text/csv", True),
            ("Text/CSV; charset=utf-8", True),
            ("text/csv;charset=UTF-8;header=present", True),
            ("text/csv, */*", True),
            ("text/csv, application/json;q=0.5", True),
            ("text/csv;q=0.5, application/json", False),
            ("application/json, text/csv;q=0", False),
            ("application/json, text/plain, */*", False),
            ("image/png", False),
        ],
    )
    def test_comes_to_who_prefers_it_to_json(self, shop, verified_user, accept, is_csv):
        answer = shop.get(TRANSACTIONS, {"user_id": str(verified_user.pk)}, headers={"Accept": accept})

        assert (answer["Content-Type"] == "text/csv; charset=utf-8") is is_csv

    @pytest.mark.parametrize(
        "first", ["=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20"]
    )
    def test_defuses_each_character_that_begins_a_formula(self, shop, verified_user, first):
        add(shop, verified_user, 1, description=f"{first}1+1")

        answer = shop.get(TRANSACTIONS, {"user_id": str(verified_user.pk)}, headers={"Accept": "text/csv"})
        lines = io.StringIO(b"".join(answer.streaming_content).decode(), newline="")

        assert next(csv.DictReader(lines))["description"] == f"'{first}1+1"
