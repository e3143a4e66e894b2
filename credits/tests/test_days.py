"""Days counted from the journal: right, again and again, final only when nothing can come any more."""

from datetime import timedelta

import pytest
from django.db import connection
from structlog.testing import capture_logs

from accounts.models import User
from credits import days, ledger, tasks
from credits.ledger import posting, sweeping
from credits.models import CreditDay, CreditTransaction, TopUser, UserCredit

pytestmark = pytest.mark.django_db


def counted(day=None):
    rows = CreditDay.objects.filter(count__gt=0)
    rows = rows.filter(day=day) if day else rows
    return {(str(row.day), row.type): (row.given, row.taken, row.count) for row in rows}


class TestSummarize:
    def test_counts_each_day_and_type(self, person, call, clock):
        ledger.add(user_id=person.pk, amount=100, call=call())
        ledger.use(user_id=person.pk, amount=30, call=call())
        ledger.use(user_id=person.pk, amount=5, call=call())
        clock.advance(days=2)
        ledger.adjust(user_id=person.pk, amount=-10, call=call())
        ledger.adjust(user_id=person.pk, amount=7, call=call())

        days.summarize()

        assert counted() == {
            ("2030-01-01", "bonus"): (100, 0, 1),
            ("2030-01-01", "use"): (0, 35, 2),
            ("2030-01-03", "adjustment"): (7, 10, 2),
        }

    def test_counting_again_changes_nothing_and_the_sums_are_the_balances(self, person, call, clock):
        ledger.add(user_id=person.pk, amount=100, call=call())
        for _ in range(3):
            days.summarize()
            clock.advance(hours=9)
            ledger.use(user_id=person.pk, amount=10, call=call())
        days.summarize()
        days.summarize()

        rows = CreditDay.objects.all()
        assert sum(row.given - row.taken for row in rows) == 70
        assert len(rows) == len({(row.day, row.type) for row in rows})

    def test_a_day_is_final_when_it_is_over_for_a_while(self, person, call, clock):
        ledger.add(user_id=person.pk, amount=100, call=call())
        days.summarize()
        assert not CreditDay.objects.filter(final=True).exists()
        clock.advance(days=1, minutes=9)
        days.summarize()
        assert not CreditDay.objects.filter(final=True, day="2030-01-01").exists()
        clock.advance(minutes=2)
        days.summarize()
        assert CreditDay.objects.filter(final=True, day="2030-01-01").exists()
        assert days.summarize() == 1  # today

    def test_a_late_sweep_still_gets_into_its_day(self, person, call, clock):
        ledger.add(user_id=person.pk, amount=100, call=call(), expires_at=clock.now + timedelta(hours=5))
        clock.advance(days=3)
        days.summarize()
        assert counted("2030-01-01") == {("2030-01-01", "bonus"): (100, 0, 1)}

        assert sweeping.sweep_due() == 1
        days.summarize()

        assert counted("2030-01-01")["2030-01-01", "expiry"] == (0, 100, 1)
        assert CreditDay.objects.get(day="2030-01-02", type="use").final

    def test_users_erased_by_an_earlier_version_are_swept_and_days_become_final(self, person, call, clock):
        ledger.add(user_id=person.pk, amount=100, call=call(), expires_at=clock.now + timedelta(hours=5))
        ledger.add(user_id=person.pk, amount=50, type="purchase", call=call())
        ledger.hold(user_id=person.pk, amount=30, lifetime=timedelta(days=1), call=call())
        UserCredit.objects.filter(pk=person.pk).update(closed_at=clock.now)
        clock.advance(days=3)

        assert sweeping.sweep_due() == 1
        days.summarize()

        assert counted()["2030-01-01", "expiry"] == (0, 70, 1)
        assert counted()["2030-01-02", "expiry"] == (0, 30, 1)
        assert counted()["2030-01-04", "forfeit"] == (0, 50, 1)
        assert CreditDay.objects.filter(final=True, day="2030-01-02").exists()
        assert sum(row.given - row.taken for row in CreditDay.objects.all()) == 0

    def test_an_empty_journal(self, clock):
        assert days.summarize() == 1
        assert counted() == {}


class TestRanking:
    def test_who_used_most_in_30_days(self, call, clock):
        people = [User.objects.create_user(f"person{n}@example.test").pk for n in range(3)]
        for person in people:
            ledger.add(user_id=person, amount=1000, call=call())
        ledger.use(user_id=people[0], amount=900, call=call())
        clock.advance(days=31)
        ledger.use(user_id=people[1], amount=10, call=call())
        ledger.use(user_id=people[2], amount=5, call=call())
        ledger.use(user_id=people[2], amount=6, call=call())

        days.rank_users()
        days.rank_users()

        ranked = TopUser.objects.order_by("-used").values_list("user", "used", "uses")
        assert list(ranked) == [(people[2], 11, 2), (people[1], 10, 1)]


class TestTasks:
    def test_sweep_posts_what_is_due(self, person, call, clock):
        ledger.add(user_id=person.pk, amount=100, call=call(), expires_at=clock.now + timedelta(hours=1))
        clock.advance(hours=2)

        assert tasks.sweep_due_credits() == 1
        assert tasks.sweep_due_credits() == 0

        assert CreditTransaction.objects.filter(type="expiry").count() == 1

    def test_one_user_who_fails_does_not_stop_the_others(self, person, call, clock, monkeypatch):
        other = User.objects.create_user("other@example.test")
        for user in (person, other):
            ledger.add(
                user_id=user.pk,
                amount=100,
                call=call(),
                expires_at=clock.advance(seconds=1) + timedelta(hours=1),
            )
        clock.advance(hours=2)
        really = posting.sweep_user

        def sweep_user(user_id):
            if user_id == person.pk:
                raise RuntimeError
            really(user_id)

        monkeypatch.setattr(sweeping, "sweep_user", sweep_user)

        with capture_logs() as logs:
            assert tasks.sweep_due_credits() == 1

        assert CreditTransaction.objects.get(type="expiry").holder_id == other.pk
        assert {line["user_id"] for line in logs if line["event"] == "sweep_failed"} == {str(person.pk)}

    @pytest.mark.broken_on_purpose
    def test_those_who_fail_are_not_in_the_way_however_many_they_are(self, call, clock):
        people = [User.objects.create_user(f"person{n}@example.test") for n in range(4)]
        for user in people:
            expires_at = clock.advance(seconds=1) + timedelta(hours=1)
            ledger.add(user_id=user.pk, amount=100, call=call(), expires_at=expires_at)
        UserCredit.objects.filter(pk__in=[user.pk for user in people[:3]]).update(open_lot=7)
        clock.advance(hours=2)

        assert sweeping.sweep_due(at_a_time=2) == 1

        assert CreditTransaction.objects.get(type="expiry").holder_id == people[3].pk

    def test_verify_says_that_all_is_well(self, person, call):
        ledger.add(user_id=person.pk, amount=100, call=call())

        with capture_logs() as logs:
            tasks.verify_ledger_nightly()

        assert logs == [
            {"event": "ledger_verified", "log_level": "info", "users": 1, "transactions": 1, "findings": 0}
        ]

    @pytest.mark.broken_on_purpose
    def test_verify_names_what_does_not_add_up(self, person, call):
        ledger.add(user_id=person.pk, amount=100, call=call())
        with connection.cursor() as cursor:
            cursor.execute("UPDATE credits_usercredit SET balance = 101")

        with capture_logs() as logs:
            tasks.verify_ledger_nightly()

        found = [line for line in logs if line["event"] == "ledger_finding"]
        assert {line["user_id"] for line in found} == {str(person.pk)}
        assert {line["log_level"] for line in logs} == {"error"}
        assert logs[-1]["findings"] == len(found) > 0

    def test_verify_goes_on_in_another_task_when_its_time_is_over(self, call, monkeypatch):
        monkeypatch.setattr(tasks, "VERIFYING_SECONDS", -1)
        monkeypatch.setattr("credits.ledger.verify.CHUNK", 2)
        for number in range(5):
            user = User.objects.create_user(f"person{number}@example.test")
            ledger.add(user_id=user.pk, amount=100, call=call())

        with capture_logs() as logs:
            tasks.verify_ledger_nightly()

        assert [(line["event"], line["users"]) for line in logs] == [("ledger_verified", 5)]
