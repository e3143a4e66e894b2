"""Purges by rules: each deletes what is over, spares what is not, and goes by the table in settings."""

import re
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from allauth.mfa.models import Authenticator
from django.apps import apps
from django.conf import settings
from django.contrib.sessions.models import Session as AdminSession
from django.core.management import call_command
from django.utils import timezone

from accounts import events
from accounts.mail import tokens
from accounts.models import (
    AddressChange,
    AuditEvent,
    EventDelivery,
    EventSubscription,
    ExchangeCode,
    FactorReset,
    MailToken,
    MFAToken,
    OutboxMessage,
    PasskeyChallenge,
    PendingRegistration,
    RateLimitWindow,
    ServiceEvent,
    Session,
    SpentProof,
    TOTPEnrolment,
    UsedTOTPStep,
    User,
)
from accounts.upkeep import retention
from tests.fixtures import issue_access_token

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


def ago(name: str, extra: timedelta) -> Any:
    return timezone.now() - settings.RETENTION[name] - extra


def unverified_user(make_user, at):
    user = make_user(verified=False)
    User.objects.filter(pk=user.pk).update(created_at=at)
    return user


def admin_session(make_user, at):
    return AdminSession.objects.create(session_key=uuid4().hex, session_data="", expire_date=at)


def registration(make_user, at):
    row = PendingRegistration.objects.create(user=make_user(), founding=False, voided_at=at)
    PendingRegistration.objects.filter(pk=row.pk).update(created_at=at)
    return row


def session(make_user, at):
    user = make_user()
    issue_access_token(user, ended_at=at, end_reason="logout")
    return Session.objects.get(user=user)


def mail_token(make_user, at):
    user = make_user()
    token = tokens.issue(tokens.Purpose.RESET, user_id=user.pk, email=user.email)
    MailToken.objects.filter(pk=token.pk).update(used_at=at)
    return token


def address_change(make_user, at):
    user = make_user()
    confirmed_at = at - timedelta(days=7)
    return AddressChange.objects.create(
        user=user, old_email="a@b.de", new_email="b@b.de", confirmed_at=confirmed_at
    )


def sent_mail(make_user, at):
    return OutboxMessage.objects.create(kind="verify_email", sent_at=at)


def dead_mail(make_user, at):
    return OutboxMessage.objects.create(kind="verify_email", dead_at=at)


def mfa_token(make_user, at):
    return MFAToken.objects.create(
        user=make_user(),
        door="api",
        digest=b"d",
        methods=[],
        cancel_deletion=False,
        state_digest=b"",
        expires_at=at,
    )


def passkey_challenge(make_user, at):
    return PasskeyChallenge.objects.create(challenge=b"c", purpose="sign_in", expires_at=at)


def totp_enrolment(make_user, at):
    return TOTPEnrolment.objects.create(user=make_user(), secret="", expires_at=at)


def used_totp_step(make_user, at):
    app = Authenticator.objects.create(user=make_user(), type="totp", data={})
    return UsedTOTPStep.objects.create(authenticator=app, step=1, used_at=at)


def factor_reset(make_user, at):
    return FactorReset.objects.create(user=make_user(), actor="x", applies_at=at, applied_at=at)


def audit_event(make_user, at):
    row = AuditEvent.objects.create(user=make_user(), type="signed_in")
    AuditEvent.objects.filter(pk=row.pk).update(created_at=at)
    return row


def service_event(make_user, at):
    row = ServiceEvent.objects.create(type="user.verified", user_id=make_user().pk, position=1)
    ServiceEvent.objects.filter(pk=row.pk).update(created_at=at)
    ServiceEvent.objects.create(type="user.verified", user_id=row.user_id, position=2)
    return row


def spent_proof(make_user, at):
    return SpentProof.objects.create(digest="d", expires_at=at)


def exchange_code(make_user, at):
    return ExchangeCode.objects.create(
        user=make_user(), cancel_deletion=False, account_state="", expires_at=at
    )


def event_delivery(**end):
    event: Any = ServiceEvent.objects.create(type="user.verified", user_id=uuid4(), position=1)
    receiver = EventSubscription.objects.create(
        name="shop", url="https://shop.test/", enabled=False, position=event.position
    )
    return EventDelivery.objects.create(
        subscription=receiver, event=event, position=1, user_id=event.user_id, **end
    )


def delivered_event(make_user, at):
    return event_delivery(delivered_at=at)


def dead_event(make_user, at):
    return event_delivery(dead_at=at)


def rate_limit(make_user, at):
    return RateLimitWindow.objects.create(key="k", hits=[1], allowed=True, expires_at=at)


def of_billing(name: str, **fields: Any) -> Any:
    return apps.get_model("billing", name)._default_manager.create(**fields)


def stripe_event(make_user, at):
    done = dict.fromkeys(("settled_at", "mirrored_at", "done_at"), at)
    return of_billing("InboxEvent", event_id=uuid4().hex, type="x", created=at, livemode=False, **done)


def dead_stripe_event(make_user, at):
    return of_billing("InboxEvent", event_id=uuid4().hex, type="x", created=at, livemode=False, dead_at=at)


def mirrored_event(make_user, at):
    model: Any = apps.get_model("djstripe", "Event")
    row = model._default_manager.create(id="evt_1", data={}, type="x")
    model._default_manager.filter(pk=row.pk).update(djstripe_created=at)
    return row


def billing_request(make_user, at):
    row = of_billing("Request", service="shop", user=make_user(), key="k", digest=b"", operation="x")
    type(row).objects.filter(pk=row.pk).update(created_at=at)
    return row


def customer_change(make_user, at):
    return of_billing("CustomerChange", user=make_user(), kind="email", done_at=at)


ROWS = {
    "unverified_users": unverified_user,
    "registrations": registration,
    "sessions": session,
    "admin_sessions": admin_session,
    "mail_tokens": mail_token,
    "address_changes": address_change,
    "sent_mails": sent_mail,
    "dead_mails": dead_mail,
    "mfa_tokens": mfa_token,
    "passkey_challenges": passkey_challenge,
    "totp_enrolments": totp_enrolment,
    "used_totp_steps": used_totp_step,
    "factor_resets": factor_reset,
    "audit": audit_event,
    "delivered_events": delivered_event,
    "dead_events": dead_event,
    "events": service_event,
    "spent_proofs": spent_proof,
    "exchange_codes": exchange_code,
    "rate_limits": rate_limit,
    "stripe_events": stripe_event,
    "dead_stripe_events": dead_stripe_event,
    "mirrored_events": mirrored_event,
    "billing_requests": billing_request,
    "customer_changes": customer_change,
}


def test_the_table_in_settings_the_rules_and_the_page_agree():
    page = (Path(settings.BASE_DIR) / "docs" / "retention.md").read_text()
    days = {name: int(number) for name, number in re.findall(r"^\| `(\w+)` \| (\d+) \|", page, re.MULTILINE)}
    assert list(retention.rules()) == list(settings.RETENTION) == list(ROWS)
    assert days == {name: lifetime.days for name, lifetime in settings.RETENTION.items()}


@pytest.mark.parametrize("name", ROWS)
def test_what_is_over_goes_and_what_is_not_stays(make_user, name):
    row = ROWS[name](make_user, ago(name, DAY))
    assert retention.counts()[name] == 1
    assert retention.purge()[name] == 1
    assert not type(row).objects.filter(pk=row.pk).exists()


@pytest.mark.parametrize("name", ROWS)
def test_what_is_not_over_stays(make_user, name):
    row = ROWS[name](make_user, ago(name, -DAY))
    assert sum(retention.purge().values()) == 0
    assert type(row).objects.filter(pk=row.pk).exists()


def test_unverified_users_who_still_come_stay_and_staff_too(make_user):
    here, staff = make_user(verified=False), make_user(verified=False, is_staff=True)
    suspended = make_user(verified=False, status="suspended")
    User.objects.update(created_at=ago("unverified_users", DAY))
    issue_access_token(here)
    assert retention.purge()["unverified_users"] == 0
    assert User.objects.filter(pk__in=[here.pk, staff.pk, suspended.pk]).count() == 3


def test_open_registrations_of_an_unverified_address_stay(make_user):
    waiting = PendingRegistration.objects.create(user=make_user(verified=False), founding=True)
    PendingRegistration.objects.update(created_at=ago("registrations", DAY))
    User.objects.update(created_at=timezone.now())
    retention.purge()
    assert PendingRegistration.objects.filter(pk=waiting.pk).exists()


def test_an_event_that_is_still_to_be_delivered_stays(make_user):
    waiting = event_delivery(due_at=timezone.now())
    ServiceEvent.objects.create(type="user.verified", user_id=waiting.user_id, position=2)
    ServiceEvent.objects.update(created_at=ago("events", DAY))
    assert retention.purge()["events"] == 0
    EventDelivery.objects.update(delivered_at=timezone.now())
    assert retention.purge()["events"] == 1


@pytest.mark.parametrize("is_awaited", [False, True])
def test_events_that_nobody_has_read_are_purged_too(is_awaited):
    """Without a reader they have no position; a subscription that is paused still gets them."""
    ServiceEvent.objects.all().delete()
    ServiceEvent.objects.bulk_create(ServiceEvent(type="a.b", user_id=uuid4()) for _ in range(3))
    ServiceEvent.objects.update(created_at=ago("events", DAY))
    if is_awaited:
        EventSubscription.objects.create(name="shop", url="https://shop.test/", enabled=False, position=0)
    retention.purge()
    assert ServiceEvent.objects.count() == (3 if is_awaited else 0)


def test_events_wait_for_a_subscription_that_is_paused(make_user):
    user_id = make_user().pk
    ServiceEvent.objects.all().delete()
    types = ["user.verified", "credits.low", "user.verified", "user.verified"]
    ServiceEvent.objects.bulk_create(
        ServiceEvent(type=type_, user_id=user_id, position=position, created_at=ago("events", DAY))
        for position, type_ in enumerate(types, 1)
    )
    ServiceEvent.objects.update(created_at=ago("events", DAY))
    EventSubscription.objects.create(
        name="shop", url="https://shop.test/", enabled=False, position=1, types=["user.verified"]
    )
    assert retention.purge()["events"] == 2
    assert list(ServiceEvent.objects.values_list("position", flat=True)) == [3, 4]
    EventSubscription.objects.update(types=[], position=2)
    assert retention.purge()["events"] == 0
    EventSubscription.objects.update(position=3)
    assert retention.purge()["events"] == 1


def test_neighbours_learn_of_users_who_are_purged(make_user):
    user = unverified_user(make_user, ago("unverified_users", DAY))
    assert retention.purge()["unverified_users"] == 1
    assert [(event.type, event.user_id) for event in ServiceEvent.objects.all()] == [
        ("user.deleted", user.pk)
    ]


def test_the_feed_goes_on_where_it_was(make_user):
    for _ in range(3):
        events.emit("user.verified", user_id=make_user().pk, data={})
    last = list(events.in_order())[-1].position
    ServiceEvent.objects.update(created_at=ago("events", DAY))
    assert retention.purge()["events"] == 2
    events.emit("user.verified", user_id=make_user().pk, data={})
    assert list(events.in_order())[-1].position == (last or 0) + 1


def test_goes_in_chunks_and_stops_in_time(make_user, monkeypatch):
    monkeypatch.setattr(retention, "CHUNK", 2)
    for _ in range(5):
        sent_mail(make_user, ago("sent_mails", DAY))
    assert retention.purge(seconds=0)["sent_mails"] == 0
    seen: list[int] = []
    assert retention.purge(on_purged=seen.append)["sent_mails"] == 5
    assert [count for count in seen if count] == [2, 2, 1]


class TestCommand:
    def run(self, *arguments: str) -> str:
        out = StringIO()
        call_command("purge", *arguments, stdout=out)
        return out.getvalue()

    def test_dry_run_only_counts(self, make_user):
        sent_mail(make_user, ago("sent_mails", DAY))
        assert re.search(r"sent_mails +30 days +1 would be deleted", self.run("--dry-run"))
        assert OutboxMessage.objects.count() == 1

    def test_deletes(self, make_user):
        sent_mail(make_user, ago("sent_mails", DAY))
        assert re.search(r"sent_mails +30 days +1 deleted", self.run())
        assert not OutboxMessage.objects.exists()
