"""Events by webhook: to real receivers, well, away, slow or redirecting; in order, at least once, nowhere else."""

import json
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from ipaddress import ip_network
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import Group
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection, connections, transaction
from django.db.models import F
from django.db.models.functions import Now
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from accounts import events
from accounts.events import addresses, dispatch, feed, sending, subscriptions
from accounts.events.addresses import AddressRefused
from accounts.events.sending import Outcome
from accounts.events.subscriptions import SubscriptionRefused
from accounts.models import AuditEvent, EventDelivery, EventDispatch, EventSubscription, ServiceEvent
from accounts.tests.brokers import UNREAD, broker_at
from accounts.tests.receivers import Receiver
from accounts.tests.strangers import silent_port
from accounts.tests.test_admin import sign_in
from accounts.upkeep import staff_roles
from free_ports import free_port
from tests.waiting import PATIENCE, eventually

pytestmark = pytest.mark.django_db(transaction=True)
ADA, BOB = uuid4(), uuid4()
LOOPBACK = (ip_network("127.0.0.0/8"),)


@pytest.fixture
def broker():
    """A broker that no worker reads: nothing is sent by itself."""
    with broker_at(UNREAD) as app:
        yield app
        feed.sender._words.join()


@pytest.fixture
def subscribe(settings, broker):
    """`subscribe(port)`: to a receiver at that port of loopback; gives the secret."""

    def make(port, *, name="shop", types=(), host="127.0.0.1", scheme="http"):
        settings.EVENT_WEBHOOK_HOSTS = {**settings.EVENT_WEBHOOK_HOSTS, f"{host}:{port}": LOOPBACK}
        return subscriptions.create(
            name=name, url=f"{scheme}://{host}:{port}/in?a=1", types=types, actor="test"
        ).secret

    return make


def emit(user_id=ADA, type="user.verified", **data):
    with transaction.atomic():
        events.emit(type, user_id=user_id, data=data)


def make_due():
    """As if all waiting were over."""
    EventSubscription.objects.update(rests_until=None)
    EventDelivery.objects.filter(due_at__isnull=False).update(due_at=Now())


def numbers(receiver, user_id=ADA):
    return [event["data"]["n"] for event in receiver.received if event["user_id"] == str(user_id)]


def after(seconds):
    def answer(event):
        time.sleep(seconds(event))
        return 200

    return answer


class TestSending:
    def test_it_is_signed_and_is_what_the_feed_says(self, subscribe, internal, service_key):
        receiver = Receiver()
        with receiver.running() as port:
            secret = subscribe(port)
            emit(n=1)
            assert dispatch.send_events() == 1
        headers, body = receiver.tried[0]
        assert Webhook(secret).verify(body, headers) == receiver.received[0]
        with pytest.raises(WebhookVerificationError):
            Webhook("whsec_" + "A" * 43 + "=").verify(body, headers)
        feed = internal.with_key(service_key()).get("/v1/events").json()["results"]
        assert receiver.received == feed
        assert headers["webhook-id"] == f"evt_{feed[0]['id']}"

    def test_only_what_is_wanted_and_only_from_now_on(self, subscribe):
        emit(n=0)
        receiver = Receiver()
        with receiver.running() as port:
            subscribe(port, types=["credits.low"])
            emit(n=1)
            emit(type="credits.low", n=2)
            dispatch.send_events()
        assert numbers(receiver) == [2]

    def test_it_leaves_by_itself_after_the_commit_and_not_without_it(self, subscribe, broker):
        receiver = Receiver()
        with receiver.running() as port:
            subscribe(port)
            feed.sender._words.join()
            broker.conf.task_always_eager = True  # the worker's task, at once
            emit(n=1)
            with transaction.atomic():
                events.emit("user.verified", user_id=ADA, data={"n": 2})
                transaction.set_rollback(True)
        assert numbers(receiver) == [1]

    def test_who_answers_410_is_left_alone_until_staff_say_otherwise(self, subscribe):
        receiver = Receiver(lambda event: 410)
        with receiver.running() as port:
            subscribe(port)
            emit(n=1)
            dispatch.send_events()
            emit(n=2)
            make_due()
            assert dispatch.send_events() == 0
            assert len(receiver.tried) == 1
            assert EventSubscription.objects.get().enabled is False
            told = AuditEvent.objects.get(type="event_subscription_gone")
            assert (told.actor, told.detail["subscription"]) == ("receiver", "shop")
            receiver.answer = lambda event: 200
            subscriptions.change(name="shop", actor="test", enabled=True)
            make_due()
            dispatch.send_events()
        assert numbers(receiver) == [1, 2]

    def test_a_secret_rotates_without_a_failed_delivery(self, subscribe):
        receiver = Receiver()
        with receiver.running() as port:
            old = subscribe(port)
            new = subscriptions.rotate(name="shop", actor="test").secret
            emit(n=1)
            dispatch.send_events()
            subscriptions.retire(name="shop", actor="test")
            emit(n=2)
            dispatch.send_events()
        (both, first), (only_new, second) = receiver.tried
        Webhook(old).verify(first, both)
        Webhook(new).verify(first, both)
        Webhook(new).verify(second, only_new)
        with pytest.raises(WebhookVerificationError):
            Webhook(old).verify(second, only_new)

    def test_no_secret_is_in_a_row_and_it_moves_to_no_other(self, subscribe):
        secret = subscribe(free_port())
        row = EventSubscription.objects.values().get()
        assert secret.removeprefix("whsec_") not in str(row)
        assert row["secrets"][0].startswith("sealed1:")

    def test_a_pause_keeps_what_happens(self, subscribe):
        receiver = Receiver()
        with receiver.running() as port:
            subscribe(port)
            subscriptions.change(name="shop", enabled=False, actor="test")
            emit(n=1)
            assert dispatch.send_events() == 0
            subscriptions.change(name="shop", enabled=True, actor="test")
            dispatch.send_events()
        assert numbers(receiver) == [1]


class TestOrder:
    def test_each_user_in_order_over_many_at_once(self, subscribe):
        receiver = Receiver(after(lambda event: 0.002 * (event["id"] % 5)))
        people = [uuid4() for _ in range(6)]
        with receiver.running() as port:
            subscribe(port)
            for number in range(8):
                for person in people:
                    emit(person, n=number)
            dispatch.send_events()
        assert all(numbers(receiver, person) == list(range(8)) for person in people)

    def test_a_failed_one_holds_back_its_user_here_and_nobody_else(self, subscribe):
        picky = Receiver(lambda event: 500 if event["data"] == {"n": 1} else 200)
        other = Receiver()
        with picky.running() as port, other.running() as other_port:
            subscribe(port)
            subscribe(other_port, name="mail")
            for number in (1, 2):
                emit(ADA, n=number)
            emit(BOB, n=3)
            dispatch.send_events()
            assert (numbers(picky), numbers(picky, BOB)) == ([], [3])
            assert (numbers(other), numbers(other, BOB)) == ([1, 2], [3])
            picky.answer = lambda event: 200
            make_due()
            dispatch.send_events()
        assert numbers(picky) == [1, 2]


class TestFaults:
    def test_a_dead_letter_after_all_tries_lets_the_next_go(self, subscribe, settings):
        settings.EVENT_DELIVERY_DELAYS = [5, 30]
        picky = Receiver(lambda event: 500 if event["data"] == {"n": 1} else 200)
        with picky.running() as port:
            subscribe(port)
            emit(n=1)
            emit(n=2)
            for tries in (1, 2, 3):
                make_due()
                dispatch.send_events()
                first = EventDelivery.objects.order_by("position")[0]
                assert (first.attempts, first.dead_at is not None) == (tries, tries == 3)
                assert (first.last_status, first.last_error) == (500, "HTTP 500")
            make_due()  # three failures in a row: the receiver rests
            dispatch.send_events()
            assert numbers(picky) == [2]

            picky.answer = lambda event: 200
            call_command("event_subscription", "send-again", "shop")
            dispatch.send_events()
        assert numbers(picky) == [2, 1]
        assert AuditEvent.objects.filter(type="events_sent_again").count() == 1

    def test_later_and_later(self, subscribe, settings):
        subscribe(free_port())
        emit(n=1)
        for delay in settings.EVENT_DELIVERY_DELAYS[:3]:
            make_due()
            started = time.monotonic()
            dispatch.send_events()
            row: Any = EventDelivery.objects.annotate(left=F("due_at") - Now()).get()
            passed = timedelta(seconds=time.monotonic() - started)
            assert timedelta(seconds=delay) - passed <= row.left <= timedelta(seconds=delay)
            assert row.last_error == "ConnectionRefusedError"

    @pytest.mark.parametrize(
        ("said", "waits"),
        [
            ("90", 90),
            (lambda now: format_datetime(now + timedelta(seconds=90), usegmt=True), 90),
            ("86400", 3600),
            ("9" * 5000, 3600),
            ("0", 5),
            ("-90", 5),
            ("soon", 5),
            (lambda now: format_datetime(now - timedelta(days=1), usegmt=True), 5),
        ],
    )
    @pytest.mark.parametrize("status", [429, 503])
    def test_who_says_when_to_come_again_is_left_alone_until_then(self, subscribe, said, waits, status):
        busy, started = Receiver(lambda event: status), time.monotonic()
        busy.retry_after = said if isinstance(said, str) else said(datetime.now(UTC))
        with busy.running() as port:
            subscribe(port)
            emit(ADA, n=1)
            dispatch.send_events()
            row: Any = EventDelivery.objects.annotate(left=F("due_at") - Now()).get()
            passed = time.monotonic() - started + 1  # a date has whole seconds
            assert waits - passed <= row.left.total_seconds() <= waits
            emit(BOB, n=1)
            assert dispatch.send_events() == (0 if waits > 5 else 1)
            subscriptions.change(name="shop", actor="test")  # staff say that it is back
            assert dispatch.send_events() == (1 if waits > 5 else 0)

    def test_who_takes_an_event_is_not_left_alone_whatever_it_says(self, subscribe):
        receiver = Receiver()
        receiver.retry_after = "90"
        with receiver.running() as port:
            subscribe(port)
            for number in range(3):
                emit(n=number)
            dispatch.send_events()
        assert numbers(receiver) == [0, 1, 2]

    @pytest.mark.parametrize("hints", [[100], [102], [103, 103], [102, 100, 103]])
    def test_what_comes_before_the_answer_is_none(self, subscribe, hints):
        """Informational responses (RFC 9110, 15.2): `Processing`, early hints of a proxy."""
        receiver = Receiver()
        receiver.hints = hints
        with receiver.running() as port:
            subscribe(port)
            emit(n=1)
            dispatch.send_events()
        assert EventDelivery.objects.get().last_status == 200

    def test_a_receiver_that_is_away_is_asked_with_one_event_not_with_all(self, subscribe):
        subscribe(free_port())
        for _ in range(20):
            emit(uuid4(), n=1)
        assert dispatch.send_events() < 10
        assert EventSubscription.objects.get().rests_until is not None
        assert dispatch.send_events() <= 1

    def test_and_gets_all_of_it_when_it_is_back(self, subscribe):
        port = free_port()
        subscribe(port)
        people = [uuid4() for _ in range(5)]
        for number in range(3):
            for person in people:
                emit(person, n=number)
        dispatch.send_events()
        receiver = Receiver()
        with receiver.running(port=port):
            for _ in range(3):
                make_due()
                dispatch.send_events()
        assert all(numbers(receiver, person) == [0, 1, 2] for person in people)

    @pytest.mark.parametrize("fault", ["silent", "endless"])
    def test_a_slow_one_is_cut_off(self, subscribe, fault):
        endless = Receiver()
        endless.endless = True
        with silent_port() as silent, endless.running() as port:
            subscribe(silent if fault == "silent" else port)
            emit(n=1)
            event = events.in_order().get()
            url = EventSubscription.objects.get().url
            outcome = sending.send(event, url=url, secrets=["whsec_" + "A" * 43 + "="], seconds=0.3)
            endless.endless = False  # neither would have come to an end by itself
        assert outcome == Outcome(error="TimeoutError")

    def test_a_slow_receiver_does_not_hold_up_another(self, subscribe, monkeypatch):
        go_on = threading.Event()
        slow, quick = Receiver(lambda event: 200 if go_on.wait(PATIENCE) else 500), Receiver()
        monkeypatch.setattr(sending.send, "__kwdefaults__", {"seconds": PATIENCE})  # nobody is cut off
        with slow.running() as slow_port, quick.running() as port:
            subscribe(slow_port)
            subscribe(port, name="quick")
            for _ in range(8):
                emit(uuid4(), n=1)
            run = threading.Thread(target=_run_and_close)
            run.start()
            eventually(lambda: len(quick.received) == 8, "all eight at the quick one")
            assert slow.received == []
            go_on.set()
            run.join()
        assert len(slow.received) == 8

    def test_a_redirect_is_a_failure_and_is_not_followed(self, subscribe):
        inside, outside = Receiver(), Receiver(lambda event: 302)
        with inside.running() as port, outside.running() as other:
            outside.location = f"http://127.0.0.1:{port}/"
            subscribe(other)
            emit(n=1)
            dispatch.send_events()
        assert inside.tried == []
        assert EventDelivery.objects.get().last_error == "HTTP 302"


@contextmanager
def taken_by_another():
    """Have another connection hold the lease; its backend, which ends with the block."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(dispatch._take, uuid4()).result()
        try:
            yield thread.submit(lambda: connection.connection.info.backend_pid).result()
        finally:
            thread.submit(connections.close_all).result()


def is_there(backend):
    with connection.cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT FROM pg_stat_get_activity(%s))", [backend])
        return cursor.fetchone()[0]


class TestKilled:
    def test_what_a_killed_process_had_in_hand_is_sent_after_its_lease(self, subscribe):
        receiver = Receiver()
        with receiver.running() as port:
            subscribe(port)
            emit(n=1)
            emit(n=2)
            dispatch.fan_out()
            EventDispatch.objects.create(holder=uuid4(), held_until=Now() + timedelta(seconds=20))
            EventDelivery.objects.update(
                due_at=None
            )  # killed between the end of one and the release of the next
            assert dispatch.send_events() == 0
            EventDispatch.objects.update(held_until=Now())
            dispatch.send_events()
        assert numbers(receiver) == [1, 2]

    @pytest.mark.own_session
    def test_nobody_waits_for_the_lease_of_one_whose_connection_is_gone(self, subscribe):
        receiver = Receiver()
        with receiver.running() as port:
            subscribe(port)
            emit(n=1)
            with taken_by_another():
                assert dispatch.send_events() == 0
            eventually(dispatch.send_events, "the end of the other connection's backend")
        assert numbers(receiver) == [1]

    @pytest.mark.own_session
    def test_behind_a_pooler_a_lease_outlives_the_backend(self, subscribe, settings):
        settings.DATABASE_POOL = "transaction"
        receiver = Receiver()
        with receiver.running() as port:
            subscribe(port)
            emit(n=1)
            with taken_by_another() as backend:
                pass
            eventually(lambda: not is_there(backend), "the end of the other connection's backend")
            assert dispatch.send_events() == 0
            EventDispatch.objects.update(held_until=Now())
            dispatch.send_events()
        assert numbers(receiver) == [1]

    def test_runs_at_once_send_each_event_once(self, subscribe):
        receiver = Receiver()
        with receiver.running() as port:
            subscribe(port)
            for number in range(10):
                emit(n=number)
            runs = [threading.Thread(target=_run_and_close) for _ in range(4)]
            for run in runs:
                run.start()
            for run in runs:
                run.join()
        assert numbers(receiver) == list(range(10))

    def test_late_commits_are_not_skipped(self, subscribe):
        receiver = Receiver()
        with receiver.running() as port:
            subscribe(port)
            written, go = threading.Event(), threading.Event()

            def late():
                with transaction.atomic():
                    events.emit("user.verified", user_id=BOB, data={"n": 1})
                    written.set()
                    go.wait(PATIENCE)
                _close()

            thread = threading.Thread(target=late)
            thread.start()
            assert written.wait(PATIENCE)
            emit(n=2)
            dispatch.send_events()
            go.set()
            thread.join()
            dispatch.send_events()
        assert (numbers(receiver), numbers(receiver, BOB)) == ([2], [1])


def _run_and_close():
    dispatch.send_events(seconds=PATIENCE)
    _close()


def _close():
    from django.db import connection

    connection.close()


class TestAddresses:
    @pytest.mark.parametrize(
        "url",
        [
            "ftp://shop.test/",
            "http://shop.test/",
            "https://other.test/",
            "https://shop.test:8443/",
            "https://user:pw@shop.test/",
            "https://shop.test@evil.test/",
            "https://evil.test#@shop.test/",
            "https://shop.test/#x",
            "https://shop.test\\@evil.test/",
            "https://shop.test/\r\nX: y",
            "https://169.254.169.254/latest",
            "https://[::1]/",
            "https://shop.test:x/",
            "https:///",
            "",
        ],
    )
    def test_only_https_to_listed_hosts(self, settings, url):
        settings.EVENT_WEBHOOK_HOSTS = {"shop.test:443": ()}
        addresses.parse("https://SHOP.test/in?x=1")
        with pytest.raises(AddressRefused):
            addresses.parse(url)
        with pytest.raises(SubscriptionRefused):
            subscriptions.create(name="shop", url=url, types=(), actor="test")

    def test_production_takes_no_plain_http(self, settings):
        settings.EVENT_WEBHOOK_HOSTS, settings.EVENT_WEBHOOK_PLAIN_HTTP = {"127.0.0.1:80": LOOPBACK}, False
        with pytest.raises(AddressRefused):
            addresses.parse("http://127.0.0.1/")

    @pytest.mark.parametrize(
        "address",
        [
            "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0",  # noqa: S104
            "224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1%eth0", "fc00::1", "::ffff:127.0.0.1",
            "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "2001:0:7f00:1::", "ff02::1",
        ],
    )  # fmt: skip
    def test_a_listed_host_that_lies_inside_gets_nothing(self, settings, monkeypatch, address):
        settings.EVENT_WEBHOOK_HOSTS = {"shop.test:443": ()}
        monkeypatch.setattr(addresses, "resolve", lambda host, port: ["93.184.215.14", address])
        with pytest.raises(AddressRefused):
            addresses.pin(addresses.parse("https://shop.test/"))

    def test_a_private_network_that_is_listed_with_the_host_is_allowed(self, settings, monkeypatch):
        settings.EVENT_WEBHOOK_HOSTS = {"shop.test:443": (ip_network("10.1.0.0/16"),)}
        target = addresses.parse("https://shop.test/")
        monkeypatch.setattr(addresses, "resolve", lambda host, port: ["10.1.2.3"])
        assert addresses.pin(target) == "10.1.2.3"
        monkeypatch.setattr(addresses, "resolve", lambda host, port: ["10.2.2.3"])
        with pytest.raises(AddressRefused):
            addresses.pin(target)

    def test_a_name_that_is_bound_anew_is_asked_for_once(self, subscribe, monkeypatch):
        """The first answer is judged and connected to; the second, which leads elsewhere, is never asked for."""
        right, wrong = Receiver(), Receiver()
        answers = [["127.0.0.1"], ["127.0.0.2"], ["127.0.0.2"]]
        monkeypatch.setattr(addresses, "resolve", lambda host, port: answers.pop(0))
        with right.running() as port, wrong.running():
            subscribe(port, host="shop.test")
            emit(n=1)
            dispatch.send_events()
        assert (numbers(right), len(answers)) == ([1], 2)
        assert right.tried[0][0]["host"] == f"shop.test:{port}"

    def test_tls_is_checked_against_the_name(self, subscribe, settings, monkeypatch, certificate_for):
        server, trusting = certificate_for("shop.test")
        monkeypatch.setattr(sending, "tls", lambda: trusting)
        monkeypatch.setattr(addresses, "resolve", lambda host, port: ["127.0.0.1"])
        receiver = Receiver()
        with receiver.running(server) as port:
            subscribe(port, host="shop.test", scheme="https")
            subscribe(port, name="other", host="other.test", scheme="https")
            emit(n=1)
            dispatch.send_events()
        assert numbers(receiver) == [1]
        failed = EventDelivery.objects.get(subscription__name="other")
        assert failed.last_error == "SSLCertVerificationError"


class TestCommand:
    def test_create_list_rotate_and_refusals(self, subscribe, capsys):
        subscribe(443, host="shop.test", name="first", scheme="https")
        call_command("event_subscription", "create", "shop", "https://shop.test/x", "--types", "credits.low")
        assert capsys.readouterr().out.startswith("whsec_")
        call_command("event_subscription", "list")
        assert "shop            enabled" in capsys.readouterr().out
        call_command("event_subscription", "list", "--json")
        (_, shop) = json.loads(capsys.readouterr().out)["results"]
        assert (shop["name"], shop["types"], shop["open"]) == ("shop", ["credits.low"], 0)
        for arguments in (
            ["create", "shop", "https://shop.test/x"],
            ["create", "Shop", "https://shop.test/x"],
            ["create", "other", "https://evil.test/x"],
            ["create", "other", "https://shop.test/x", "--types", "nonsense"],
            ["rotate", "unknown"],
        ):
            with pytest.raises(CommandError):
                call_command("event_subscription", *arguments)
        assert EventSubscription.objects.count() == 2


class TestAdmin:
    PAGE = "/admin/accounts/eventsubscription/"

    @pytest.fixture
    def boss(self, subscribe, admin_site, make_user):
        """The client of a superuser, and a subscription."""
        subscribe(443, host="shop.test", name="first", scheme="https")
        assert sign_in(admin_site, make_user(is_staff=True, is_superuser=True).email).status_code == 302
        return admin_site

    @pytest.fixture
    def first(self, boss):
        return EventSubscription.objects.get(name="first")

    def choose(self, client, verb, *chosen):
        """The address of the page that asks why, to which the list's action leads."""
        fields = {"action": verb, "_selected_action": [str(one.pk) for one in chosen]}
        return form_post(client, self.PAGE, fields).headers["Location"]

    def test_a_superuser_subscribes_and_sends_again(self, boss):
        fields = {"name": "shop", "url": "https://shop.test/in", "types": "credits.low, user.deleted"}
        assert "whsec_" not in form_post(boss, f"{self.PAGE}new/", fields).content.decode()
        fields["reason"] = "the shop goes live"
        made = form_post(boss, f"{self.PAGE}new/", fields).content.decode()
        made_again = form_post(boss, f"{self.PAGE}new/", fields).content.decode()
        assert "whsec_" in made
        assert "already exists" in made_again
        shop = EventSubscription.objects.get(name="shop")
        assert shop.types == ["credits.low", "user.deleted"]
        assert last_reason("event_subscription_created") == "the shop goes live"
        assert "sealed1:" not in boss.get(f"{self.PAGE}{shop.pk}/change/").content.decode()

        event = ServiceEvent.objects.create(type="credits.low", user_id=ADA, position=1)
        dead = EventDelivery.objects.create(
            subscription=shop, event=event, position=1, user_id=ADA, dead_at=Now(), attempts=10
        )
        deliveries = "/admin/accounts/eventdelivery/"
        form_post(boss, deliveries, {"action": "send_again", "_selected_action": str(dead.pk)})
        dead.refresh_from_db()
        assert (dead.dead_at, dead.attempts) == (None, 0)

    def test_pausing_and_going_on_ask_why(self, boss, first):
        for verb, enabled in (("pause", False), ("resume", True)):
            page = self.choose(boss, verb, first)
            assert "first" in boss.get(page).content.decode()
            assert form_post(boss, page, {"reason": ""}).status_code == 200
            first.refresh_from_db()
            assert first.enabled is not enabled
            assert form_post(boss, page, {"reason": f"{verb} it"}).status_code == 302
            first.refresh_from_db()
            assert first.enabled is enabled
            assert last_reason("event_subscription_changed") == f"{verb} it"

    def test_rotating_and_retiring_ask_why_and_a_form_sent_twice_rotates_once(self, boss, first):
        page = self.choose(boss, "rotate", first)
        found = re.search(r'name="newest" value="(\w+)"', boss.get(page).content.decode())
        assert found is not None
        newest = found[1]
        assert "whsec_" not in form_post(boss, page, {"reason": "", "newest": newest}).content.decode()
        assert "whsec_" not in boss.get(page).content.decode()
        fields = {"reason": "it leaked", "newest": newest}
        assert "whsec_" in form_post(boss, page, fields).content.decode()
        again = form_post(boss, page, fields).content.decode()
        assert "whsec_" not in again
        assert "since this page was opened" in again
        assert last_reason("event_subscription_rotated") == "it leaked"
        before = EventSubscription.objects.get(name="first").secrets
        assert len(before) == 2
        retire = self.choose(boss, "retire", first)
        assert form_post(boss, retire, {"reason": ""}).status_code == 200
        assert form_post(boss, retire, {"reason": "all know it"}).status_code == 302
        assert EventSubscription.objects.get(name="first").secrets == before[:1]
        assert last_reason("event_subscription_retired") == "all know it"

    def test_orders_for_nobody_change_nothing(self, boss, first):
        for query in ("", "?subscription=junk", f"?subscription={ADA}"):
            assert form_post(boss, f"{self.PAGE}order/pause{query}", {"reason": "why"}).status_code == 200
            assert boss.get(f"{self.PAGE}order/rotate{query}").status_code == 404
        first.refresh_from_db()
        assert first.enabled

    @pytest.mark.parametrize("path", ["new/", "order/pause", "order/resume", "order/retire", "order/rotate"])
    def test_other_staff_cannot(self, subscribe, admin_site, make_user, path):
        subscribe(443, host="shop.test", name="first", scheme="https")
        staff_roles.sync()
        operator = make_user(is_staff=True)
        operator.groups.set(Group.objects.filter(name="operator"))
        assert sign_in(admin_site, operator.email).status_code == 302
        page = f"{self.PAGE}{path}?subscription={EventSubscription.objects.get().pk}"
        assert admin_site.get(page).status_code == 403
        assert form_post(admin_site, page, {"reason": "why"}).status_code == 403
        assert EventSubscription.objects.get().enabled
        assert len(EventSubscription.objects.get().secrets) == 1


def last_reason(type_: str) -> str:
    reason: str = AuditEvent.objects.filter(type=type_).latest("pk").detail["reason"]
    return reason


def form_post(client, path, fields):
    client.get(path)
    fields = {**fields, "csrfmiddlewaretoken": client.cookies["csrftoken"].value}
    return client.post(path, fields, format="multipart")
