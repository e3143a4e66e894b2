"""Named queries of what is live, each against a table of truth, and against the SQL that writes it out again."""

from datetime import timedelta
from itertools import product
from typing import Any, NamedTuple

import pytest
from django.db.models.functions import Now
from django.utils import timezone

from accounts import sessions
from accounts.errors import SessionRevoked
from accounts.kit.client import Client
from accounts.mail import tokens
from accounts.mail.tokens import Purpose
from accounts.models import AccountDay, MailToken, MFAToken, PendingRegistration, Session, User
from accounts.sessions import lineage
from accounts.sessions.tokens import SessionRefreshToken
from accounts.sign_in import half_sign_ins
from accounts.upkeep import days

NOBODY = Client(None, "")
DAY = timedelta(days=1)
PAST, FUTURE = Now() - DAY, Now() + DAY

# The row's columns by what has become of its time.
TIMES: dict[str, dict[str, Any]] = {
    "within": {},
    "idle": {"last_used_at": Now() - 15 * DAY, "current_expires_at": PAST},
    "over": {"current_expires_at": PAST, "expires_at": PAST},
}
CHANGES: dict[str, dict[str, Any]] = {
    "password": {"password": "another hash"},
    "address": {"email": "another@example.com"},
    "signed out everywhere": {"token_version": 1},
}
CASES = list(product((False, True), TIMES, (False, True), (False, True)))


class Opened(NamedTuple):
    session: Session
    refresh: SessionRefreshToken


def opened(user: User) -> Opened:
    pair = sessions.open_session(user, methods=["pwd"], client=NOBODY)
    assert pair is not None
    token = SessionRefreshToken(pair.refresh_token.encode())  # type: ignore[arg-type]
    return Opened(Session.objects.select_related("user").get(pk=token.session_id), token)


def is_held(session: Session) -> bool:
    try:
        sessions.hold_user(session)
    except SessionRevoked:
        return False
    return True


@pytest.mark.django_db
class TestSessions:
    @pytest.mark.parametrize(("ended", "time", "suspended", "signed_out"), CASES)
    def test_every_reader_judges_by_the_same_truth(self, make_user, ended, time, suspended, signed_out):
        user = make_user()
        session, refresh = opened(user)
        rows = Session.objects.filter(pk=session.pk)
        rows.update(**TIMES[time])
        if ended:
            rows.end(Session.EndReason.LOGOUT)
        if suspended:
            User.objects.filter(pk=user.pk).update(status=User.Status.SUSPENDED)
        if signed_out:
            User.objects.filter(pk=user.pk).update(token_version=user.token_version + 1)
        admitted = not suspended and not signed_out

        assert rows.unended().exists() == (not ended)
        assert rows.live().exists() == (not ended and time == "within")
        assert User.objects.get(pk=user.pk).admits(refresh["tv"]) == admitted
        assert is_held(session) == (not ended and admitted)
        reading = sessions.read(session.pk, user.pk)
        assert reading is not None
        assert reading.is_live(token_version=refresh["tv"]) == (not ended and time != "over" and admitted)
        advanced = lineage._advance(refresh, NOBODY)
        assert (advanced is not None) == (not ended and time == "within" and admitted)

    @pytest.mark.parametrize(("ended", "time"), list(product((False, True), TIMES)))
    def test_the_count_of_a_day_differs_by_those_that_reach_their_end_in_use(self, make_user, ended, time):
        session, _ = opened(make_user())
        rows = Session.objects.filter(pk=session.pk)
        rows.update(**TIMES[time])
        if ended:
            rows.end(Session.EndReason.LOGOUT)
        days._count_sessions(timezone.now().date())
        counted = AccountDay.objects.get(measure="sessions").count == 1
        assert counted == (rows.live().exists() or (not ended and time == "over"))

    def test_what_has_ended_keeps_its_reason(self, make_user):
        session, _ = opened(make_user())
        rows = Session.objects.filter(pk=session.pk)
        assert rows.end(Session.EndReason.LOGOUT) == 1
        assert rows.end(Session.EndReason.PASSWORD) == 0
        assert rows.get().end_reason == Session.EndReason.LOGOUT


@pytest.mark.django_db
class TestMailTokens:
    @pytest.mark.parametrize(
        ("used", "voided", "expired"),
        [case for case in product((False, True), repeat=3) if case[:2] != (True, True)],
    )
    def test_a_link_and_a_code_are_judged_alike(self, make_user, used, voided, expired):
        user = make_user("ada@example.com")
        token = tokens.issue(Purpose.VERIFY, user_id=user.pk, email="ada@example.com")
        rows = MailToken.objects.filter(pk=token.pk)
        rows.update(used_at=Now() if used else None, voided_at=Now() if voided else None)
        if expired:
            rows.update(expires_at=PAST, code_expires_at=PAST)
        unspent, live = not used and not voided, not used and not voided and not expired

        assert rows.unspent().exists() == unspent
        assert rows.live().exists() == live
        assert (tokens.holder(token.pk, Purpose.VERIFY) == user) == live
        by_code = tokens.id_from_code(tokens.code(token), email="ada@example.com", purpose=Purpose.VERIFY)
        assert (by_code == token.pk) == live
        assert tokens.use(token.pk, Purpose.VERIFY) == live
        assert rows.void() == (unspent and not live)


@pytest.mark.django_db
class TestHalfSignIns:
    @pytest.mark.parametrize(("used", "expired", "tried"), list(product((False, True), repeat=3)))
    def test_one_is_live_until_it_is_used_late_or_tried_too_often(self, make_user, used, expired, tried):
        text = half_sign_ins.issue(make_user(), methods=["pwd"], cancel_deletion=False)
        rows, token = MFAToken.objects.all(), MFAToken.objects.get()
        rows.update(used_at=Now() if used else None, tries=MFAToken.TRIES if tried else 0)
        if expired:
            rows.update(expires_at=PAST)
        live = not used and not expired and not tried

        assert rows.live().exists() == live
        assert (half_sign_ins.find(text) == token) == live
        assert half_sign_ins.count_try(token) == live

    @pytest.mark.parametrize("change", CHANGES)
    def test_one_is_void_once_the_account_has_changed(self, make_user, change):
        user = make_user("ada@example.com")
        text = half_sign_ins.issue(user, methods=["pwd"], cancel_deletion=False)
        assert half_sign_ins.find(text) is not None
        User.objects.update(**CHANGES[change])
        assert half_sign_ins.find(text) is None
        assert not half_sign_ins.use(MFAToken.objects.get(), User.objects.get())


@pytest.mark.django_db
@pytest.mark.parametrize("change", [*CHANGES, "suspended", "nothing"])
def test_a_session_opens_for_the_account_as_it_was_judged(make_user, change):
    user = make_user("ada@example.com")
    fields = {**CHANGES, "suspended": {"status": User.Status.SUSPENDED}, "nothing": {}}[change]
    User.objects.filter(pk=user.pk).update(**fields or {"timezone": "UTC"})
    as_judged = User.objects.active().as_judged(user).exists()
    assert as_judged == (change in {"address", "nothing"})
    opens = sessions.open_session(user, methods=["pwd"], client=NOBODY)
    assert (opens is not None) == as_judged


@pytest.mark.django_db
def test_voiding_leaves_a_confirmed_registration_as_it_is(make_user):
    made = {"user": make_user(), "display_name": "Ada"}
    waiting = PendingRegistration.objects.create(founding=True, password="a hash", **made)
    confirmed = PendingRegistration.objects.create(founding=False, confirmed_at=timezone.now(), **made)
    assert list(PendingRegistration.objects.waiting()) == [waiting]
    assert PendingRegistration.objects.void() == 1
    waiting.refresh_from_db()
    assert (waiting.password, waiting.display_name) == ("", "")
    confirmed.refresh_from_db()
    assert (confirmed.voided_at, confirmed.display_name) == (None, "Ada")
