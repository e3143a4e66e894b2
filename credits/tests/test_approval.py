"""Adjustments by staff: alone within the day's limit, with a second person above it, each posted exactly once."""

import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from importlib import import_module

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.models import F

from accounts.approvals import DecisionRefused
from accounts.errors import UserNotFound
from accounts.models import AuditEvent, User
from credits import adjustments, ledger, personal
from credits.errors import InsufficientCredits
from credits.ledger import verify
from credits.models import AdjustmentRequest, CreditTransaction, UserCredit

Decision = AdjustmentRequest.Decision


@pytest.fixture
def limit(settings):
    settings.CREDITS_APPROVAL_LIMIT = 100
    return 100


def someone(name):
    return User.objects.create_user(f"{name}@example.test")


def ask(person, staff, amount, *, request_id=None, reason="a mistake of ours"):
    return adjustments.request(
        request_id=request_id or uuid.uuid4(),
        user_id=person.pk,
        amount=amount,
        reason=reason,
        staff_id=staff.pk,
    )


def balance_of(person):
    row = UserCredit.objects.filter(pk=person.pk).first()
    return row.balance if row else 0


@pytest.mark.django_db
class TestWithinTheLimit:
    def test_is_posted_at_once_and_names_who_did_it(self, person, limit):
        staff = someone("staff")

        made = ask(person, staff, 100)

        row = CreditTransaction.objects.get()
        assert (made.decision, made.transaction_id, balance_of(person)) == (Decision.DIRECT, row.pk, 100)
        assert (row.service, row.description, row.metadata) == (
            "admin",
            "a mistake of ours",
            {"staff": str(staff.pk)},
        )
        event = AuditEvent.objects.get()
        assert (event.type, event.user_id, event.actor) == (
            "credits_adjusted",
            person.pk,
            f"staff {staff.pk}",
        )

    def test_the_same_form_twice_adjusts_once(self, person, limit):
        staff, form = someone("staff"), uuid.uuid4()

        first, second = ask(person, staff, 60, request_id=form), ask(person, staff, 60, request_id=form)

        assert first.pk == second.pk
        assert balance_of(person) == 60
        assert AuditEvent.objects.count() == 1

    def test_the_same_form_with_another_amount_is_refused(self, person, limit):
        staff, form = someone("staff"), uuid.uuid4()
        ask(person, staff, 60, request_id=form)

        with pytest.raises(DecisionRefused):
            ask(person, staff, 61, request_id=form)

        assert balance_of(person) == 60

    def test_takes_no_more_than_there_is(self, person, limit):
        with pytest.raises(InsufficientCredits):
            ask(person, someone("staff"), -1)

        assert not AdjustmentRequest.objects.exists()
        assert not AuditEvent.objects.exists()

    def test_of_somebody_unknown(self, limit):
        staff = someone("staff")
        with pytest.raises(UserNotFound):
            ask(User(pk=uuid.uuid4()), staff, 500)


@pytest.mark.django_db
class TestAboveTheLimit:
    def test_amounts_of_the_day_add_up_without_their_signs(self, person, limit):
        staff = someone("staff")
        ask(person, staff, 60)
        ask(person, staff, -40)
        assert adjustments.left_today(staff.pk) == 0

        made = ask(person, staff, -1)

        assert (made.decision, made.transaction_id, balance_of(person)) == (Decision.PENDING, None, 20)
        assert AuditEvent.objects.filter(type="credit_adjustment_requested").count() == 1

    def test_the_limit_is_of_one_person_and_one_day(self, person, limit):
        staff = someone("staff")
        ask(person, staff, 100)

        assert ask(person, someone("other"), 100).decision == Decision.DIRECT
        AdjustmentRequest.objects.update(requested_at=F("requested_at") - timedelta(days=1))
        assert ask(person, staff, 100).decision == Decision.DIRECT
        assert ask(person, staff, 1).decision == Decision.PENDING

    def test_what_waits_does_not_use_the_limit_up(self, person, limit):
        staff = someone("staff")
        ask(person, staff, 101)

        assert ask(person, staff, 100).decision == Decision.DIRECT

    def test_a_second_person_approves_and_both_are_named(self, person, limit):
        staff, second = someone("staff"), someone("second")
        made = ask(person, staff, 5000)

        row = adjustments.approve(request_id=made.pk, staff_id=second.pk)

        made.refresh_from_db()
        assert (made.decision, made.decided_by_id, made.transaction_id) == (
            Decision.APPROVED,
            second.pk,
            row.pk,
        )
        assert made.decided_at is not None
        assert row.metadata == {"staff": str(staff.pk), "approved_by": str(second.pk)}
        assert balance_of(person) == 5000
        event = AuditEvent.objects.get(type="credit_adjustment_approved")
        assert event.actor == f"staff {second.pk}"

    @pytest.mark.parametrize("days", [14, 3])
    def test_what_nobody_decides_in_time_has_to_be_asked_for_again(self, person, limit, settings, days):
        settings.APPROVAL_LIFETIME = timedelta(days=days)
        made, fresh = ask(person, someone("staff"), 5000), ask(person, someone("other"), 6000)
        AdjustmentRequest.objects.filter(pk=made.pk).update(
            requested_at=F("requested_at") - timedelta(days=days)
        )

        for decide in (adjustments.approve, adjustments.refuse):
            with pytest.raises(DecisionRefused):
                decide(request_id=made.pk, staff_id=someone(f"second-{decide.__name__}").pk)
        assert adjustments.expire() == 1
        made.refresh_from_db()
        fresh.refresh_from_db()
        assert (made.decision, fresh.decision) == (Decision.EXPIRED, Decision.PENDING)
        with pytest.raises(DecisionRefused, match="has expired"):
            adjustments.approve(request_id=made.pk, staff_id=someone("third").pk)
        assert balance_of(person) == 0

    def test_a_second_person_refuses(self, person, limit):
        made = ask(person, someone("staff"), 5000)

        adjustments.refuse(request_id=made.pk, staff_id=someone("second").pk)

        made.refresh_from_db()
        assert (made.decision, made.transaction_id, balance_of(person)) == (Decision.REFUSED, None, 0)
        assert AuditEvent.objects.filter(type="credit_adjustment_refused").exists()

    @pytest.mark.parametrize("decide", [adjustments.approve, adjustments.refuse])
    def test_nobody_decides_about_their_own(self, person, limit, decide):
        staff = someone("staff")
        made = ask(person, staff, 5000)

        with pytest.raises(DecisionRefused, match="your own request"):
            decide(request_id=made.pk, staff_id=staff.pk)

        made.refresh_from_db()
        assert (made.decision, made.decided_by, balance_of(person)) == (Decision.PENDING, None, 0)

    @pytest.mark.parametrize("decide", [adjustments.approve, adjustments.refuse])
    def test_a_decision_stands(self, person, limit, decide):
        made = ask(person, someone("staff"), 5000)
        adjustments.refuse(request_id=made.pk, staff_id=someone("second").pk)

        with pytest.raises(DecisionRefused, match="already"):
            decide(request_id=made.pk, staff_id=someone("third").pk)

        assert balance_of(person) == 0

    def test_what_the_ledger_refuses_stays_open(self, person, limit, call):
        ledger.add(user_id=person.pk, amount=100, call=call())
        made = ask(person, someone("staff"), -500)

        with pytest.raises(InsufficientCredits):
            adjustments.approve(request_id=made.pk, staff_id=someone("second").pk)

        made.refresh_from_db()
        assert (made.decision, balance_of(person)) == (Decision.PENDING, 100)


@pytest.mark.django_db
class TestDatabase:
    """Guards that no code of ours could get past."""

    @pytest.mark.parametrize(
        ("constraint", "change"),
        [
            (
                "adjustment_not_decided_by_its_asker",
                {"decision": "approved", "decided_by": F("requested_by"), "decided_at": F("requested_at")},
            ),
            (
                "adjustment_not_decided_by_its_asker",
                {"decision": "refused", "decided_by": F("requested_by"), "decided_at": F("requested_at")},
            ),
            ("adjustment_decided_by_somebody", {"decision": "approved"}),
            ("adjustment_posted_only_if_agreed", {"transaction": uuid.uuid4()}),
            ("adjustment_not_zero", {"amount": 0}),
        ],
    )
    def test_refuses(self, person, limit, constraint, change):
        made = ask(person, someone("staff"), 5000)

        with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
            AdjustmentRequest.objects.filter(pk=made.pk).update(**change)


@pytest.mark.django_db(transaction=True)
class TestAtOnce:
    def at_once(self, jobs):
        def run(job):
            try:
                return job()
            except DecisionRefused as refusal:
                return str(refusal)
            finally:
                connection.close()

        with ThreadPoolExecutor(len(jobs)) as threads:
            return list(threads.map(run, jobs))

    def test_eight_approvals_post_once(self, limit):
        person, made_by = someone("person"), someone("staff")
        deciders = [someone(f"second{n}").pk for n in range(8)]
        made = ask(person, made_by, 5000)

        results = self.at_once(
            [lambda pk=pk: adjustments.approve(request_id=made.pk, staff_id=pk).amount for pk in deciders]
        )

        assert results.count(5000) == 1
        assert balance_of(person) == 5000
        assert CreditTransaction.objects.count() == 1
        assert AuditEvent.objects.filter(type="credit_adjustment_approved").count() == 1
        assert not verify.verify_user(person.pk).findings

    def test_an_approval_against_a_refusal_leaves_one_decision(self, limit):
        person, made_by, second, third = (someone(name) for name in ("person", "staff", "second", "third"))
        made = ask(person, made_by, 5000)

        self.at_once(
            [
                lambda: adjustments.approve(request_id=made.pk, staff_id=second.pk),
                lambda: adjustments.refuse(request_id=made.pk, staff_id=third.pk),
            ]
        )

        made.refresh_from_db()
        assert balance_of(person) == (5000 if made.decision == Decision.APPROVED else 0)
        assert made.decision != Decision.PENDING

    def test_a_person_in_eight_windows_has_one_limit(self, limit):
        people = [someone(f"person{n}") for n in range(8)]
        staff = someone("staff")

        made = self.at_once([lambda p=p: ask(p, staff, 60) for p in people])

        decisions = [one.decision for one in made]
        assert decisions.count(Decision.DIRECT) == 1
        assert sum(balance_of(person) for person in people) == 60

    def test_one_form_eight_times_is_one_adjustment(self, limit):
        person, staff, form = someone("person"), someone("staff"), uuid.uuid4()

        made = self.at_once([lambda: ask(person, staff, 60, request_id=form)] * 8)

        assert len({one.pk for one in made}) == 1
        assert balance_of(person) == 60


@pytest.mark.django_db
class TestNobodyForThemselves:
    """Neither who asks nor who agrees is the one who gets it (B5)."""

    def test_nobody_asks_for_themselves(self, person, limit):
        for amount in (1, 500):
            with pytest.raises(DecisionRefused):
                ask(person, person, amount)
        assert not AdjustmentRequest.objects.exists()
        assert balance_of(person) == 0

    def test_who_gets_it_does_not_decide(self, person, limit):
        made = ask(person, someone("staff"), 500)
        for decide in (adjustments.approve, adjustments.refuse):
            with pytest.raises(DecisionRefused):
                decide(request_id=made.pk, staff_id=person.pk)
        made.refresh_from_db()
        assert (made.decision, balance_of(person)) == (Decision.PENDING, 0)
        adjustments.approve(request_id=made.pk, staff_id=someone("other").pk)
        assert balance_of(person) == 500

    @pytest.mark.parametrize("change", [{"requested_by": F("user")}, {"decided_by": F("user")}])
    def test_the_database_holds_it(self, person, limit, change):
        made = ask(person, someone("staff"), 500)
        adjustments.approve(request_id=made.pk, staff_id=someone("other").pk)
        with pytest.raises(IntegrityError, match="adjustment_not_for_oneself"), transaction.atomic():
            AdjustmentRequest.objects.filter(pk=made.pk).update(**change)

    def test_rows_of_the_version_before_are_kept_and_can_be_erased(self, person, limit):
        rule = next(
            one for one in AdjustmentRequest._meta.constraints if one.name == "adjustment_not_for_oneself"
        )
        with connection.schema_editor() as editor:
            editor.remove_constraint(AdjustmentRequest, rule)
        row = {"user": person, "amount": 500, "reason": "mine", "requested_by": person}
        done = AdjustmentRequest.objects.create(id=uuid.uuid4(), decision=Decision.DIRECT, **row)
        waiting = AdjustmentRequest.objects.create(id=uuid.uuid4(), decision=Decision.PENDING, **row)
        ask(person, someone("staff"), 50)
        migration = import_module("credits.migrations.0009_nobody_adjusts_their_own")
        with connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            cursor.execute(migration.MARK)
        with connection.schema_editor() as editor:
            editor.add_constraint(AdjustmentRequest, rule)
        assert set(AdjustmentRequest.objects.filter(before_rule=True)) == {done, waiting}
        other = someone("other")
        with pytest.raises(DecisionRefused):
            adjustments.approve(request_id=waiting.pk, staff_id=other.pk)
        adjustments.refuse(request_id=waiting.pk, staff_id=other.pk)
        personal.erase(user_id=person.pk)
        assert not AdjustmentRequest.objects.exclude(reason="").exists()
