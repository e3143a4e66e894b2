"""The outbox: no mail is lost, none is doubled without need, and no request waits for a broker or a mail server."""

import smtplib
import time
from contextvars import copy_context
from datetime import timedelta
from functools import partial
from uuid import uuid4

import pytest
from django.core import mail
from django.core.mail.backends.base import BaseEmailBackend
from django.db import connection, transaction
from django.db.models.functions import Now

from accounts import audit
from accounts.audit import Event
from accounts.identity import mail_requests
from accounts.kit import typed_codes
from accounts.kit.nudge import Nudge
from accounts.mail import delivery, kinds, outbox, tokens
from accounts.models import MailToken, OutboxMessage
from accounts.tests.brokers import away, broker_at
from accounts.tests.conftest import PASSWORD, at_once, post
from accounts.tests.strangers import CUT, STALL, MailServer, silent_port
from free_ports import free_port

EMAIL = "ada@example.com"
BROKER_PATIENCE = 60.0  # seconds for which someone who talks to a silent broker waits


deliver = partial(delivery.deliver, resolve=mail_requests.resolve)


@pytest.fixture
def message(make_user):
    return write(make_user(EMAIL, verified=False))


def write(user):
    """A row that nobody has handed over: the process died after its commit."""
    with transaction.atomic():
        token = tokens.issue(tokens.Purpose.VERIFY, user_id=user.pk, email=user.email)
        return OutboxMessage.objects.create(kind=kinds.VERIFY_EMAIL, user=user, token=token)


@pytest.fixture(autouse=True)
def _server_may_be_tried():
    delivery.rest.end()


@pytest.fixture
def mail_server_at(settings):
    def move(port):
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_TIMEOUT = "127.0.0.1", port, 0.5

    return move


def pass_time(**fields):
    OutboxMessage.objects.update(**dict.fromkeys(fields or ("due_at", "leased_until"), Now()))


@pytest.mark.django_db(transaction=True)
class TestHandingOver:
    def test_a_mail_leaves_on_commit(self, public):
        post(public, "register", email=EMAIL, password=PASSWORD)
        assert [one.to for one in mail.outbox] == [[EMAIL]]
        assert OutboxMessage.objects.get().sent_at is not None

    def test_and_not_when_the_transaction_fails(self, make_user):
        user = make_user(EMAIL)
        with transaction.atomic():
            outbox.enqueue(kinds.VERIFICATION_REQUESTED, user_id=user.pk, requested_email=EMAIL)
            transaction.set_rollback(True)
        assert not OutboxMessage.objects.exists()
        assert mail.outbox == []

    @pytest.mark.parametrize("fault", ["closed", "silent"])
    def test_a_broker_that_is_gone_costs_a_request_nothing(self, public, fault):
        post(public, "register", email="warm@example.com", password=PASSWORD)
        mail.outbox.clear()
        with (
            silent_port() as silent,
            broker_at(away(silent if fault == "silent" else free_port()), patience=BROKER_PATIENCE),
        ):
            started = time.monotonic()
            for number in range(5):
                assert (
                    post(public, "register", email=f"{number}@example.com", password=PASSWORD).status_code
                    == 202
                )
            assert time.monotonic() - started < BROKER_PATIENCE  # so not one of them waited for the broker
            assert mail.outbox == []
        assert outbox.relay() == 5
        assert len(mail.outbox) == 5
        assert outbox.relay() == 0

    def test_a_full_queue_drops_the_id_and_the_relay_has_it(self, message):
        postman = Nudge(outbox.DELIVER, most=1)
        postman._words.put_nowait((copy_context(), (str(message.pk),)))
        postman._put((str(message.pk),))  # neither waits nor raises
        assert outbox.relay() == 1

    def test_what_a_stranger_cannot_cause_overtakes_what_anyone_can(self, public, make_user, settings):
        """At the broker, however many wait there; and where the relay has to hand them over (A4)."""
        user = make_user(EMAIL)
        prefix = {"global_keyprefix": f"{uuid4()}-"}
        with broker_at(settings.CELERY_BROKER_URL, patience=5, **prefix) as app:
            for number in range(20):
                post(public, "password-reset-request", email=f"{number}@example.com")
            with transaction.atomic():
                event = audit.record(Event.PASSWORD_CHANGED, user_id=user.pk)
                outbox.notify(kinds.PASSWORD_CHANGED, user=user, event=event)
            notice = str(OutboxMessage.objects.get(user=user).pk)
            with (
                app.connection_for_read() as connected,
                connected.SimpleQueue(app.conf.task_default_queue) as waiting,
            ):
                for postman in (outbox.slow_postman, outbox.postman):
                    postman._words.join()  # all words are at the broker
                assert waiting.get(timeout=5).payload[0] == [notice]
                waiting.clear()
        OutboxMessage.objects.filter(user=user).update(due_at=Now())  # the last to come
        assert [str(key) for key in outbox.queue.hand_over(most=1, again=timedelta(0))] == [notice]

    def test_the_relay_leaves_alone_what_it_has_just_handed_over(self, message):
        with broker_at(away(free_port())), pytest.raises(Exception, match=r"refused|Error"):
            outbox.relay()
        assert outbox.relay() == 0
        pass_time(due_at=True)
        assert outbox.relay() == 1
        assert len(mail.outbox) == 1

    def test_relays_at_once_send_each_mail_once(self, make_user):
        for number in range(20):
            write(make_user(f"{number}@example.com", verified=False))
        assert sum(at_once(4, lambda _: outbox.relay())) == 20
        assert sorted(one.to[0] for one in mail.outbox) == sorted(
            f"{number}@example.com" for number in range(20)
        )

    def test_workers_at_once_send_one_mail_once(self, message):
        at_once(20, lambda _: deliver(message.pk))
        assert len(mail.outbox) == 1


@pytest.mark.django_db
class TestSending:
    def test_a_repeat_carries_the_same_message_id_and_link(self, message):
        """Killed between the mail server's answer and our note of it."""
        outbox.queue.claim_this(message.pk)
        composed = kinds.compose(OutboxMessage.objects.get(pk=message.pk))
        assert composed is not None
        composed.send()

        deliver(message.pk)  # still leased by the dead worker
        assert len(mail.outbox) == 1

        pass_time(leased_until=True)
        deliver(message.pk)
        first, second = mail.outbox
        assert (
            first.extra_headers["Message-ID"]
            == second.extra_headers["Message-ID"]
            == f"<{message.pk}@auth.test>"
        )
        assert first.body == second.body

    def test_a_lease_is_over_before_half_a_minute(self, message):
        outbox.queue.claim_this(message.pk)
        message.refresh_from_db()
        assert message.leased_until - message.due_at < timedelta(seconds=25)
        assert timedelta(seconds=delivery.SECONDS_TO_SEND) < outbox.queue.lease

    @pytest.mark.parametrize("end", ["used_at", "voided_at"])
    def test_a_link_that_is_spent_is_not_mailed(self, message, end):
        type(message.token).objects.update(**{end: Now()})
        deliver(message.pk)
        message.refresh_from_db()
        assert (mail.outbox, message.sent_at is not None, message.last_error) == ([], True, "nothing to send")

    def test_over_smtp(self, message, mail_server_at):
        server = MailServer()
        with server.running() as port:
            mail_server_at(port)
            deliver(message.pk)
        assert f"Message-ID: <{message.pk}@auth.test>" in server.received[0]
        message.refresh_from_db()
        assert (message.sent_at is not None, message.attempts) == (True, 1)


@pytest.mark.django_db
class TestFailing:
    def failed(self, message):
        deliver(message.pk)
        message.refresh_from_db()
        return message

    @pytest.mark.parametrize("verb", ["MAIL", "RCPT", "DATA", "END"])
    def test_5xx_is_dead_at_once(self, message, mail_server_at, verb):
        with MailServer(**{verb: "550 no such person ada@example.com"}).running() as port:
            mail_server_at(port)
            failed = self.failed(message)
        assert failed.dead_at is not None
        assert "550" in failed.last_error
        assert EMAIL not in failed.last_error

    @pytest.mark.parametrize(
        ("verb", "said"),
        [("MAIL", "451 later"), *((verb, "421 closing") for verb in ("MAIL", "RCPT", "DATA", "END"))],
    )
    def test_a_server_that_cannot_just_now_costs_no_try(self, message, mail_server_at, verb, said):
        with MailServer(**{verb: said}).running() as port:
            mail_server_at(port)
            failed = self.failed(message)
        assert (failed.dead_at, failed.sent_at, failed.attempts) == (None, None, 0)
        assert failed.due_at > failed.created_at + timedelta(seconds=4)
        assert not delivery.rest.is_over()

    @pytest.mark.parametrize("verb", ["RCPT", "DATA", "END"])
    def test_a_4xx_about_one_mail_delays_that_one_alone(self, make_user, message, mail_server_at, verb):
        with MailServer(**{verb: "451 greylisted"}).running() as port:
            mail_server_at(port)
            failed = self.failed(message)
        assert (failed.dead_at, failed.sent_at, failed.attempts) == (None, None, 1)
        assert failed.due_at > failed.created_at + timedelta(seconds=40)
        assert delivery.rest.is_over()
        with MailServer().running() as port:
            mail_server_at(port)
            assert self.failed(write(make_user("bob@example.com", verified=False))).sent_at is not None

    def test_such_a_mail_is_tried_for_hours_and_then_a_dead_letter(self, message, mail_server_at):
        tried = []
        with MailServer(RCPT="451 greylisted").running() as port:
            mail_server_at(port)
            while message.dead_at is None:
                self.failed(message)
                tried.append(round((message.due_at - message.leased_until).total_seconds()))
        assert (tried[0], tried[-1], len(tried)) == (60, 3600, 12)
        assert sum(tried[:-1]) > 5 * 3600

    def test_25_greylisted_people_delay_nobody_else(self, make_user, mail_server_at):
        """All of them are tried first, as one worker would, and then someone whose server takes the mail."""
        grey = [write(make_user(f"grey{number}@example.com", verified=False)) for number in range(25)]
        other = write(make_user("bob@example.com", verified=False))
        server = MailServer(RCPT={"grey": "450 4.2.0 greylisted, see you later"})
        with server.running() as port:
            mail_server_at(port)
            started = time.monotonic()
            for one in (*grey, other):
                deliver(one.pk)
            assert time.monotonic() - started < 3.0
        other.refresh_from_db()
        assert other.sent_at is not None
        assert [text for text in server.received if "To: bob@example.com" in text]
        assert set(OutboxMessage.objects.filter(sent_at=None).values_list("attempts", flat=True)) == {1}

    @pytest.mark.parametrize("answers", [{"DATA": CUT}, {"END": CUT}, {"END": STALL}, {"RCPT": {"ada": CUT}}])
    def test_a_mail_at_which_the_server_hangs_up_delays_that_one_alone(
        self, make_user, message, mail_server_at, answers
    ):
        """As some content filters do; the connection itself was taken."""
        other = write(make_user("bob@example.com", verified=False))
        with MailServer(**answers).running() as port:
            mail_server_at(port)
            failed = self.failed(message)
        assert (failed.dead_at, failed.sent_at, failed.attempts) == (None, None, 1)
        assert failed.last_error == "CutOff"
        assert failed.due_at > failed.created_at + timedelta(seconds=40)
        with MailServer().running() as port:
            mail_server_at(port)
            assert self.failed(other).sent_at is not None

    @pytest.mark.parametrize("fault", ["closed", "silent"])
    def test_a_server_that_is_away_costs_no_try(self, message, mail_server_at, fault):
        with silent_port() as silent:
            mail_server_at(silent if fault == "silent" else free_port())
            failed = self.failed(message)
        assert (failed.dead_at, failed.attempts, failed.leased_until) == (None, 0, None)

    def test_and_is_left_alone_for_a_moment(self, make_user, message, mail_server_at):
        mail_server_at(free_port())
        self.failed(message)
        other = write(make_user("bob@example.com", verified=False))
        assert self.failed(other).last_error == "the mail server was away a moment ago"

    def test_for_a_day_at_most(self, message, mail_server_at):
        OutboxMessage.objects.update(created_at=Now() - timedelta(hours=25))
        mail_server_at(free_port())
        assert self.failed(message).dead_at is not None

    def test_a_mail_that_always_raises_is_a_dead_letter_after_eight_tries(self, message, settings):
        settings.EMAIL_BACKEND = "accounts.tests.test_outbox.Raises"
        delays: list[float] = []
        for number in range(1, 9):
            self.failed(message)
            assert message.attempts == number
            delays.append(round((message.due_at - message.created_at).total_seconds(), -1))
        assert message.dead_at is not None
        assert delays == sorted(delays)
        assert message.last_error == "ZeroDivisionError"
        deliver(message.pk)
        assert OutboxMessage.objects.get().attempts == 8

    def test_a_worker_that_is_killed_each_time_is_counted(self, message):
        for _ in range(3):
            outbox.queue.claim_this(message.pk)
            pass_time(leased_until=True)
        assert OutboxMessage.objects.get().attempts == 3

    def test_one_that_fails_does_not_stop_the_others(self, make_user, message, settings):
        settings.EMAIL_BACKEND = "accounts.tests.test_outbox.RaisesForAda"
        other = write(make_user("bob@example.com", verified=False))
        assert self.failed(message).sent_at is None
        assert self.failed(other).sent_at is not None


class Raises(BaseEmailBackend):
    def send_messages(self, messages):
        raise ZeroDivisionError("with a secret in it")


class RaisesForAda(Raises):
    def send_messages(self, messages):
        if messages[0].to == [EMAIL]:
            raise ZeroDivisionError
        return 1


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (smtplib.SMTPAuthenticationError(535, b"no"), "SERVER_AWAY"),
        (smtplib.SMTPConnectError(554, b"no"), "SERVER_AWAY"),
        (smtplib.SMTPServerDisconnected(), "SERVER_AWAY"),
        (smtplib.SMTPDataError(452, b"full"), "PUT_OFF"),
        (smtplib.SMTPDataError(421, b"closing"), "SERVER_AWAY"),
        (smtplib.SMTPSenderRefused(451, b"later", "me"), "SERVER_AWAY"),
        (smtplib.SMTPDataError(552, b"full"), "REFUSED_FOR_GOOD"),
        (smtplib.SMTPSenderRefused(553, b"no", "me"), "REFUSED_FOR_GOOD"),
        (smtplib.SMTPRecipientsRefused({"a": (451, b""), "b": (550, b"")}), "PUT_OFF"),
        (smtplib.SMTPRecipientsRefused({"a": (421, b"")}), "SERVER_AWAY"),
        (smtplib.SMTPNotSupportedError(), "THIS_MESSAGE"),
        (TimeoutError(), "SERVER_AWAY"),
        (KeyError(), "THIS_MESSAGE"),
    ],
)
def test_whose_fault_it_was(error, failure):
    assert delivery.judge(error) is delivery.Failure[failure]


@pytest.mark.django_db
def test_no_link_and_no_code_is_stored(register):
    message = register(EMAIL)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT string_agg(row_to_json(r)::text, '') FROM"
            " (SELECT to_jsonb(m) FROM accounts_mailtoken m"
            " UNION ALL SELECT to_jsonb(o) FROM accounts_outboxmessage o) r"
        )
        dump = cursor.fetchone()[0]
    token = MailToken.objects.get()
    code = tokens.code(token)
    for secret in (tokens.link_token(token), typed_codes.grouped(code)):
        assert secret in message.body
        assert secret not in dump
    assert code not in dump
