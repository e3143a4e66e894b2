"""Another address: asked for with a live session, confirmed by the new mailbox, taken back by the old one."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db.models.functions import Now
from django.utils import timezone

from accounts.identity import address_change, address_claims
from accounts.kit.client import Client
from accounts.models import (
    AddressChange,
    AuditEvent,
    MailToken,
    OutboxMessage,
    ServiceEvent,
    Session,
    User,
)
from accounts.tests.conftest import (
    OTHER_PASSWORD,
    PASSWORD,
    at_once,
    deliver_mails,
    link_in,
    outcome,
    post,
    statements,
    steady_headers,
)

OLD, NEW, NEWER = "ada@example.com", "ada@example.org", "thief@example.net"
CLIENT = Client("192.0.2.1", "test")
EVERYTHING = (User, AddressChange, MailToken, OutboxMessage, AuditEvent, ServiceEvent)


@pytest.fixture
def ada(make_user):
    return make_user(OLD, password=PASSWORD)


@pytest.fixture
def as_user(public, access_token):
    """`as_user(ada)`: the public listener with a session of hers, just signed in."""

    def as_user(user):
        user.refresh_from_db()
        return public.with_token(access_token(user))

    return as_user


@pytest.fixture
def change(as_user):
    """`change(ada, NEW)`: asks; the mails by their address, where nothing else is said to one address."""

    def change(user, new_email):
        answer = post(as_user(user), "change-email", new_email=new_email)
        assert answer.status_code == 202, answer.content
        return {
            message.to[0]: message for message in [*deliver_mails(), *deliver_mails()]
        }  # the first adds one

    return change


def rows():
    return [list(model.objects.order_by("pk").values()) for model in EVERYTHING]


def page(client: Any, path: str, token: str) -> Any:
    return client.raw(
        "POST",
        f"/v1/auth/{path}",
        f"token={token}".encode(),
        content_type="application/x-www-form-urlencoded",
    )


@pytest.mark.django_db
class TestChangeEmail:
    def test_anonymous(self, public):
        assert outcome(post(public, "change-email", new_email=NEW)) == (401, "not_authenticated")

    def test_unverified(self, user, as_user):
        assert outcome(post(as_user(user), "change-email", new_email=NEW)) == (403, "email_not_verified")
        assert not AddressChange.objects.exists()

    def test_a_sign_in_of_long_ago(self, public, ada):
        from tests.fixtures import issue_access_token

        token = issue_access_token(ada, created_at=timezone.now() - timedelta(minutes=6))
        answer = post(public.with_token(token), "change-email", new_email=NEW)
        assert outcome(answer) == (403, "reauthentication_required")
        assert not AddressChange.objects.exists()

    @pytest.mark.parametrize(
        ("new_email", "code"),
        [("ada", "invalid_email"), ("a@b.c\r\nBcc: x@y.z", "invalid_email"), (OLD, "unchanged")],
    )
    def test_refuses(self, ada, as_user, new_email, code):
        before = rows()
        answer = post(as_user(ada), "change-email", new_email=new_email)
        assert [(fault["field"], fault["code"]) for fault in answer.json()["errors"]] == [("new_email", code)]
        assert rows() == before

    def test_mails_a_confirmation_and_a_notice(self, ada, change):
        mails = change(ada, "Ada@EXAMPLE.org")
        assert {to: message.subject for to, message in mails.items()} == {
            OLD: "A change of your email address was requested",
            NEW: "Confirm your new email address",
        }
        assert "/v1/auth/undo-email-change?token=" in mails[OLD].body
        assert "/v1/auth/confirm-email-change?token=" in mails[NEW].body
        assert NEW not in mails[OLD].message().as_string()  # a stranger typed it
        ada.refresh_from_db()
        assert ada.email == OLD

    def test_the_newest_request_wins(self, public, ada, change):
        first = link_in(change(ada, NEW)[NEW])
        second = link_in(change(ada, NEWER)[NEWER])
        assert outcome(post(public, "confirm-email-change", token=first)) == (400, "token_invalid")
        assert post(public, "confirm-email-change", token=second).json() == {"email": NEWER}

    def test_is_limited(self, ada, as_user):
        client = as_user(ada)
        codes = [
            post(client, "change-email", new_email=f"a{number}@example.org").status_code
            for number in range(6)
        ]
        assert codes == [202] * 5 + [429]


ARMS: dict[str, dict[str, Any]] = {
    "unknown": {},
    "unverified": {"verified": False},
    "verified": {},
    "suspended": {"status": "suspended"},
    "pending_deletion": {"status": "pending_deletion"},
    "without_password": {"password": None},
}


@pytest.mark.django_db
class TestEveryArm:
    """The same whether or not the new address is taken: answer, statements, and mails to the one who asks."""

    @pytest.fixture
    def seen(self, make_user, as_user):
        post(as_user(make_user()), "change-email", new_email="first@example.com")
        _ = deliver_mails(), deliver_mails()
        seen = {}
        for arm, fields in {**ARMS, "reserved": {}}.items():
            if arm not in {"unknown", "reserved"}:
                make_user(f"{arm}@example.com", **fields)
            if arm == "reserved":
                other = make_user("moved@example.com")
                AddressChange.objects.create(
                    user=other, old_email="reserved@example.com", new_email=other.email, confirmed_at=Now()
                )
            client = as_user(make_user(f"asks-{arm}@example.com"))
            with statements() as run:
                answer = post(client, "change-email", new_email=f"{arm}@example.com")
            headers = steady_headers(answer)
            mails = [*deliver_mails(), *deliver_mails()]  # the first adds one
            to_asker = [mail.subject for mail in mails if mail.to == [f"asks-{arm}@example.com"]]
            seen[arm] = (answer.status_code, answer.content, headers, run, to_asker, len(mails))
        return seen

    @pytest.mark.parametrize("arm", [*ARMS, "reserved"])
    def test_is_the_same(self, seen, arm):
        assert seen[arm] == seen["unknown"]
        assert seen[arm][0] == 202
        assert [statement.split()[0] for statement in seen[arm][3] if "INSERT" in statement] == ["INSERT"] * 3

    def test_a_verified_holder_is_told_and_gets_no_link(self, ada, make_user, change, public):
        make_user(NEW)
        message = change(ada, NEW)[NEW]
        assert message.subject == "This address cannot be used"
        assert "token=" not in message.message().as_string()


@pytest.mark.django_db
class TestConfirmEmailChange:
    @pytest.mark.parametrize("token", ["", "x", "A" * 64, "é" * 64])
    def test_not_found(self, public, token):
        assert outcome(post(public, "confirm-email-change", token=token)) == (400, "token_invalid")

    def test_a_link_of_another_purpose_is_refused(self, public, ada, change):
        undo = link_in(change(ada, NEW)[OLD])
        before = rows()
        assert outcome(post(public, "confirm-email-change", token=undo)) == (400, "token_invalid")
        assert rows() == before

    @pytest.mark.parametrize("method", ["get", "head", "options"])
    def test_looking_changes_nothing(self, public, ada, change, method):
        token = link_in(change(ada, NEW)[NEW])
        before = rows()
        assert getattr(public, method)(f"/v1/auth/confirm-email-change?token={token}").status_code in {
            200,
            204,
        }
        assert rows() == before

    @pytest.mark.parametrize(
        "meanwhile",
        [
            lambda user: Session.objects.update(ended_at=Now(), end_reason="logout"),
            lambda user: Session.objects.all().delete(),
            lambda user: User.objects.filter(pk=user.pk).update(status="suspended"),
            lambda user: User.objects.filter(pk=user.pk).update(email="else@example.com"),
            lambda user: MailToken.objects.update(expires_at=Now()),
            lambda user: User.objects.create_user(NEW, email_verified_at=user.email_verified_at),
        ],
        ids=["session_ended", "session_purged", "suspended", "changed_else", "expired", "taken"],
    )
    def test_dies(self, public, ada, change, meanwhile):
        token = link_in(change(ada, NEW)[NEW])
        meanwhile(ada)
        before = rows()
        assert outcome(post(public, "confirm-email-change", token=token)) == (400, "token_invalid")
        assert rows() == before

    def test_changes_the_address_once_and_ends_every_session(self, public, ada, as_user, change):
        client, token = as_user(ada), link_in(change(ada, NEW)[NEW])
        answer = post(public, "confirm-email-change", token=token)
        assert (answer.status_code, answer.json()) == (200, {"email": NEW})
        assert outcome(client.get("/v1/auth/me")) == (401, "session_revoked")
        assert outcome(post(public, "login", email=OLD, password=PASSWORD)) == (401, "invalid_credentials")
        assert post(public, "login", email=NEW, password=PASSWORD).status_code == 200
        assert outcome(post(public, "confirm-email-change", token=token)) == (400, "token_invalid")
        assert ServiceEvent.objects.get(type="user.email_changed").user_id == ada.pk

    def test_the_old_address_is_told_with_the_link_of_the_notice(self, public, ada, change):
        mails = change(ada, NEW)
        post(public, "confirm-email-change", token=link_in(mails[NEW]))
        (message,) = deliver_mails()
        assert (message.to, message.subject) == ([OLD], "Your email address was changed")
        assert link_in(message) == link_in(mails[OLD])

    def test_an_unconfirmed_registration_loses_the_address(self, public, ada, change, register, sign_in):
        register(NEW, OTHER_PASSWORD)
        pair = sign_in(NEW, OTHER_PASSWORD)
        post(public, "confirm-email-change", token=link_in(change(ada, NEW)[NEW]))
        assert outcome(post(public, "login", email=NEW, password=OTHER_PASSWORD)) == (
            401,
            "invalid_credentials",
        )
        status = public.with_token(pair["access_token"]).get("/v1/auth/me/status")
        assert outcome(status) == (401, "session_revoked")

    def test_the_page_posts_a_form_and_is_answered_with_a_page(self, public, ada, change):
        token = link_in(change(ada, NEW)[NEW])
        shown = public.get(f"/v1/auth/confirm-email-change?token={token}").content.decode()
        assert 'method="post" action="/v1/auth/confirm-email-change"' in shown
        answer = page(public, "confirm-email-change", token)
        assert answer.status_code == 200
        assert NEW in answer.content.decode()
        again = page(public, "confirm-email-change", token)
        assert (again.status_code, again["Content-Type"].split(";")[0]) == (200, "text/html")
        refused = page(public, "confirm-email-change", "A" * 64)
        assert (refused.status_code, refused["Content-Type"].split(";")[0]) == (400, "text/html")


@pytest.mark.django_db
class TestUndoEmailChange:
    @pytest.mark.parametrize("token", ["", "x", "A" * 64])
    def test_not_found(self, public, token):
        assert outcome(post(public, "undo-email-change", token=token)) == (400, "token_invalid")

    def test_the_link_to_the_new_address_does_not_undo(self, public, ada, change):
        token = link_in(change(ada, NEW)[NEW])
        before = rows()
        assert outcome(post(public, "undo-email-change", token=token)) == (400, "token_invalid")
        assert rows() == before

    def test_looking_changes_nothing(self, public, ada, change):
        token = link_in(change(ada, NEW)[OLD])
        before = rows()
        for method in ("get", "head", "options"):
            getattr(public, method)(f"/v1/auth/undo-email-change?token={token}")
        assert rows() == before

    def test_cancels_before_the_change(self, public, ada, as_user, change):
        mails, client = change(ada, NEW), as_user(ada)
        answer = post(public, "undo-email-change", token=link_in(mails[OLD]))
        assert (answer.status_code, answer.json()) == (200, {"email": OLD})
        assert outcome(post(public, "confirm-email-change", token=link_in(mails[NEW]))) == (
            400,
            "token_invalid",
        )
        assert outcome(client.get("/v1/auth/me")) == (401, "session_revoked")
        assert not ServiceEvent.objects.exists()

    def test_undoes_after_the_change_once(self, public, ada, change):
        mails = change(ada, NEW)
        post(public, "confirm-email-change", token=link_in(mails[NEW]))
        deliver_mails()
        token = link_in(mails[OLD])
        assert post(public, "undo-email-change", token=token).json() == {"email": OLD}
        assert outcome(post(public, "undo-email-change", token=token)) == (400, "token_invalid")
        (message,) = deliver_mails()
        assert (message.to, message.subject) == ([OLD], "Your address is back")
        for address in (OLD, NEW):
            assert outcome(post(public, "login", email=address, password=PASSWORD)) == (
                401,
                "invalid_credentials",
            )
        reset = post(public, "password-reset", token=link_in(message), new_password=OTHER_PASSWORD)
        assert reset.status_code == 204
        assert post(public, "login", email=OLD, password=OTHER_PASSWORD).status_code == 200

    def test_seven_days_count_from_the_change(self, public, ada, change):
        mails = change(ada, NEW)
        post(public, "confirm-email-change", token=link_in(mails[NEW]))
        until, since = (
            MailToken.objects.get(purpose="undo_email").expires_at,
            AddressChange.objects.get().confirmed_at,
        )
        assert since is not None
        assert abs(until - since - timedelta(days=7)) < timedelta(seconds=5)
        MailToken.objects.filter(purpose="undo_email").update(expires_at=Now())
        assert outcome(post(public, "undo-email-change", token=link_in(mails[OLD]))) == (400, "token_invalid")
        ada.refresh_from_db()
        assert ada.email == NEW

    def test_cancels_a_pending_deletion(self, public, ada, as_user, change):
        mails = change(ada, NEW)
        post(public, "confirm-email-change", token=link_in(mails[NEW]))
        assert as_user(ada).delete("/v1/auth/me").status_code == 202
        post(public, "undo-email-change", token=link_in(mails[OLD]))
        ada.refresh_from_db()
        assert (ada.email, ada.status, ada.deletes_at) == (OLD, "active", None)

    def test_leaves_a_suspension(self, public, ada, change):
        mails = change(ada, NEW)
        User.objects.filter(pk=ada.pk).update(status="suspended")
        assert post(public, "undo-email-change", token=link_in(mails[OLD])).status_code == 200
        ada.refresh_from_db()
        assert ada.status == "suspended"

    @pytest.mark.parametrize("age", [1, 30])
    def test_ways_to_sign_in_that_were_added_since_or_just_before_are_removed(
        self, public, ada, change, settings, age
    ):
        User.objects.update(created_at=Now() - timedelta(days=age))
        ada.refresh_from_db()
        settings.ACCOUNT_HOOKS = {
            **settings.ACCOUNT_HOOKS,
            "remove_sign_in_methods": ["accounts.tests.test_address_change.remember"],
        }
        REMEMBERED.clear()
        mails = change(ada, NEW)
        post(public, "undo-email-change", token=link_in(mails[OLD]))
        week_before = AddressChange.objects.get().created_at - timedelta(days=7)
        assert [(ada.pk, max(ada.created_at, week_before))] == REMEMBERED

    def test_the_page_posts_a_form_and_is_answered_with_a_page(self, public, ada, change):
        token = link_in(change(ada, NEW)[OLD])
        assert token in public.get(f"/v1/auth/undo-email-change?token={token}").content.decode()
        assert OLD in page(public, "undo-email-change", token).content.decode()
        assert page(public, "undo-email-change", token).status_code == 200  # a second click finds it done
        assert page(public, "undo-email-change", "A" * 64).status_code == 400


REMEMBERED: list[Any] = []


def remember(*, user_id, since):
    REMEMBERED.append((user_id, since))


@pytest.mark.django_db
class TestReservation:
    @pytest.fixture
    def moved(self, public, ada, change):
        mails = change(ada, NEW)
        post(public, "confirm-email-change", token=link_in(mails[NEW]))
        deliver_mails()
        return mails

    def test_a_registration_of_the_old_address_cannot_be_confirmed(self, public, moved, register):
        message = register(OLD, OTHER_PASSWORD)
        assert message.subject == "This address is still reserved"
        assert "token=" not in message.message().as_string()
        newcomer = User.objects.get(email=OLD)
        from accounts.mail import tokens

        link = tokens.link_token(MailToken.objects.get(user=newcomer))
        assert outcome(post(public, "verify-email", token=link)) == (400, "token_invalid")

    def test_undo_takes_it_from_who_registered_it(self, public, ada, moved, register, sign_in):
        register(OLD, OTHER_PASSWORD)
        thief = sign_in(OLD, OTHER_PASSWORD)
        assert post(public, "undo-email-change", token=link_in(moved[OLD])).json() == {"email": OLD}
        assert User.objects.get(email=OLD).pk == ada.pk
        status = public.with_token(thief["access_token"]).get("/v1/auth/me/status")
        assert outcome(status) == (401, "session_revoked")
        assert outcome(post(public, "login", email=OLD, password=OTHER_PASSWORD)) == (
            401,
            "invalid_credentials",
        )

    def test_its_owner_may_go_back(self, public, ada, moved, change):
        mails = change(ada, OLD)
        assert post(public, "confirm-email-change", token=link_in(mails[OLD])).json() == {"email": OLD}

    def test_it_ends_after_seven_days(self, ada, moved):
        assert address_claims.is_reserved(OLD, other_than=uuid4())
        AddressChange.objects.update(confirmed_at=Now() - timedelta(days=7))
        assert not address_claims.is_reserved(OLD, other_than=uuid4())


@pytest.mark.django_db
class TestStolenSession:
    """A thief changes address, password, address again, closes the account: the first notice's link still wins."""

    @pytest.mark.parametrize("changes_password", [True, False])
    def test_the_owner_gets_everything_back(self, public, ada, as_user, change, changes_password):
        first = change(ada, NEW)
        post(public, "confirm-email-change", token=link_in(first[NEW]))
        if changes_password:
            stolen = as_user(ada)
            changed = post(
                stolen, "change-password", current_password=PASSWORD, new_password="thieves among themselves"
            )
            assert changed.status_code == 204
        deliver_mails()
        second = change(ada, NEWER)
        post(public, "confirm-email-change", token=link_in(second[NEWER]))
        deliver_mails()
        third = change(ada, "thief2@example.net")
        post(public, "register", email=OLD, password=OTHER_PASSWORD)
        thief = as_user(ada)
        deletion = thief.delete("/v1/auth/me")
        assert deletion.status_code == 202

        answer = post(public, "undo-email-change", token=link_in(first[OLD]))

        assert answer.json() == {"email": OLD}
        assert outcome(thief.get("/v1/auth/me")) == (401, "session_revoked")
        for token in (link_in(second[NEW]), link_in(third[NEWER])):
            assert outcome(post(public, "undo-email-change", token=token)) == (400, "token_invalid")
        assert outcome(post(public, "confirm-email-change", token=link_in(third["thief2@example.net"]))) == (
            400,
            "token_invalid",
        )
        for address in (OLD, NEW, NEWER):
            for password in (PASSWORD, OTHER_PASSWORD, "thieves among themselves"):
                assert outcome(post(public, "login", email=address, password=password)) == (
                    401,
                    "invalid_credentials",
                )
        ada.refresh_from_db()
        assert (ada.email, ada.status) == (OLD, "active")
        reset = next(message for message in deliver_mails() if message.subject == "Your address is back")
        assert (
            post(public, "password-reset", token=link_in(reset), new_password=OTHER_PASSWORD).status_code
            == 204
        )
        assert post(public, "login", email=OLD, password=OTHER_PASSWORD).status_code == 200

    def test_the_thief_may_undo_his_own_second_change_and_loses_all_the_same(self, public, ada, change):
        first = change(ada, NEW)
        post(public, "confirm-email-change", token=link_in(first[NEW]))
        deliver_mails()
        second = change(ada, NEWER)
        post(public, "confirm-email-change", token=link_in(second[NEWER]))
        assert post(public, "undo-email-change", token=link_in(second[NEW])).json() == {"email": NEW}
        assert post(public, "undo-email-change", token=link_in(first[OLD])).json() == {"email": OLD}


@pytest.mark.django_db(transaction=True)
class TestAtOnce:
    @pytest.fixture(autouse=True)
    def _no_limits(self, settings):
        settings.RATE_LIMITS_FACTOR = 100

    def test_one_of_50_confirmations_succeeds(self, ada, change):
        token = link_in(change(ada, NEW)[NEW])
        results = at_once(50, lambda _: address_change.confirm(token, client=CLIENT).email, threads=50)
        assert (results.count(NEW), results.count("token_invalid")) == (1, 49)

    def test_one_of_50_undos_succeeds(self, public, ada, change):
        mails = change(ada, NEW)
        post(public, "confirm-email-change", token=link_in(mails[NEW]))
        token = link_in(mails[OLD])
        results = at_once(50, lambda _: address_change.undo(token, client=CLIENT).email, threads=50)
        assert (results.count(OLD), results.count("token_invalid")) == (1, 49)

    def test_confirming_and_undoing_at_once_ends_with_the_owner(self, ada, make_user, change):
        for number in range(5):
            user = make_user(f"owner{number}@example.com")
            mails = change(user, f"new{number}@example.com")
            links = {
                address: link_in(mails[address])
                for address in (f"owner{number}@example.com", f"new{number}@example.com")
            }

            def job(turn, number=number, links=links):
                if turn % 2:
                    return address_change.confirm(links[f"new{number}@example.com"], client=CLIENT).email
                return address_change.undo(links[f"owner{number}@example.com"], client=CLIENT).email

            results = at_once(8, job)
            assert results.count(f"owner{number}@example.com") == 1
            user.refresh_from_db()
            assert user.email == f"owner{number}@example.com"
            assert not Session.objects.filter(user=user, ended_at=None).exists()

    def test_two_who_want_one_address(self, make_user, change):
        links = [link_in(change(make_user(), NEW)[NEW]) for _ in range(4)]
        results = at_once(16, lambda number: address_change.confirm(links[number % 4], client=CLIENT).email)
        assert (results.count(NEW), results.count("token_invalid")) == (1, 15)
        assert User.objects.filter(email=NEW).count() == 1
