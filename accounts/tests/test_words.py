"""Passwords and clients as text: what is the same, what is refused, what is believed."""

import gzip
import threading
import time
import unicodedata

import pytest
from django.contrib.auth import password_validation
from django.test import RequestFactory

from accounts import passwords
from accounts.kit import client, names
from accounts.kit.problems import ServiceUnavailable
from accounts.kit.slots import Slots
from accounts.passwords import common
from tests.effort import effort


class TestPasswords:
    def test_the_list_is_long_and_of_long_ones(self):
        listed = common.load()
        assert len(listed) >= 3000
        assert all(len(one) >= common.SHORTEST for one in listed)

    def test_it_holds_every_long_one_of_djangos(self):
        source = f"{password_validation.__file__.rpartition('/')[0]}/common-passwords.txt.gz"
        with gzip.open(source, "rt", encoding="utf-8") as lines:
            long = {line.strip().casefold() for line in lines if 12 <= len(line.strip()) <= 24}
        assert {one for one in long if one.isprintable()} <= common.load()

    @pytest.mark.parametrize(
        "password",
        [
            "correct horse battery staple",
            "adas cat sits on the mat",
            "x" * 256,
            "y7#Kq!2mVz0p",
            "ada@example.com is not my password",
        ],
    )
    def test_good_ones(self, password):
        assert passwords.faults(password, known=("ada@example.com", "Ada Lovelace")) == []

    def test_a_flood_of_accents_is_not_put_in_order(self):
        """Normalizing sorts them by insertion: 30,000 took two seconds in which the process answered nobody."""
        flood = "a" + "\u0301\u0316" * 15_000

        def refuse():
            assert [code for _, code, _ in passwords.faults(flood, known=())] == ["password_too_long"]
            assert passwords.canonical(flood) == flood
            assert names.fault(names.clean(flood)) == ("too_long", "Use at most 100 characters.")

        sorting_a_third = effort(lambda: unicodedata.normalize("NFC", flood[:10_000]))
        assert effort(refuse) < sorting_a_third / 10

    def test_the_longest_password_counts_composed(self):
        written_apart = unicodedata.normalize("NFD", "\u1f82") * 256
        assert len(written_apart) == 4 * 256
        assert passwords.canonical(written_apart) == "\u1f82" * 256

    def test_saturation_is_refused_at_once_and_the_wait_is_bounded(self):
        slots, holding, done = (
            Slots(running=1, waiting=1, patience=0.2),
            threading.Event(),
            threading.Event(),
        )

        def hold():
            with slots.one():
                holding.set()
                done.wait()

        holder = threading.Thread(target=hold)
        holder.start()
        holding.wait()
        started = time.monotonic()
        with pytest.raises(ServiceUnavailable) as refusal, slots.one():
            pass
        waited = time.monotonic() - started
        done.set()
        holder.join()
        assert waited > 0.1  # and it came to an end while the other still had the slot
        assert refusal.value.retry_after == 1
        with slots.one():
            pass

    def test_only_so_many_wait(self):
        patience = 60
        slots = Slots(running=1, waiting=0, patience=patience)
        with slots.one():
            started = time.monotonic()
            with pytest.raises(ServiceUnavailable), slots.one():
                pass
            assert time.monotonic() - started < patience

    def test_whether_there_is_room_is_asked_without_taking_it(self):
        slots = Slots(running=1, waiting=0, patience=30)
        slots.require_room()
        with slots.one(), pytest.raises(ServiceUnavailable):
            slots.require_room()
        slots.require_room()


class TestClient:
    @pytest.mark.parametrize(
        ("proxies", "forwarded", "ip"),
        [
            (0, "203.0.113.7", "192.0.2.1"),
            (0, None, "192.0.2.1"),
            (1, "203.0.113.7", "203.0.113.7"),
            (1, "6.6.6.6, 203.0.113.7", "203.0.113.7"),
            (2, "6.6.6.6, 203.0.113.7, 10.0.0.1", "203.0.113.7"),
            (2, "203.0.113.7", "192.0.2.1"),  # came round one of the proxies: the socket counts
            (1, None, "192.0.2.1"),
            (1, "unknown", "192.0.2.1"),
            (1, "203.0.113.7:4711", "203.0.113.7"),
            (1, "[2001:db8::1]:4711", "2001:db8::1"),
            (1, "2001:DB8:0::1", "2001:db8::1"),
            (1, "::ffff:203.0.113.7", "203.0.113.7"),
            (1, "fe80::1%eth0", "fe80::1"),
            (1, "203.0.113.7,", "192.0.2.1"),
        ],
    )
    def test_exactly_the_trusted_proxies_are_believed(self, settings, proxies, forwarded, ip):
        settings.TRUSTED_PROXY_COUNT = proxies
        headers = {} if forwarded is None else {"HTTP_X_FORWARDED_FOR": forwarded}
        assert client.client_ip(RequestFactory().get("/", REMOTE_ADDR="192.0.2.1", **headers)) == ip

    def test_a_unix_socket_has_no_address(self):
        assert client.client_ip(RequestFactory().get("/", REMOTE_ADDR="")) is None
        assert client.network(None) == "unknown"

    def test_one_ipv6_customer_is_one_subject(self):
        seen = {client.network(ip) for ip in ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::1")}
        assert seen == {"2001:db8:1:2::/64"}
        assert client.network("192.0.2.1") == "192.0.2.1"

    @pytest.mark.parametrize(
        ("ip", "names"),
        [
            ("192.0.2.77", ["192.0.2.77", "192.0.2.0/24"]),
            ("2001:db8:1:2ff::5", ["2001:db8:1:2ff::/64", "2001:db8:1:200::/56", "2001:db8:1::/48"]),
            (None, ["unknown"]),
        ],
    )
    def test_the_networks_around_a_client_may_do_more_the_wider_they_are(self, ip, names):
        around = client.networks(ip)
        assert [one.name for one in around] == names
        shares = [one.share for one in around]
        assert shares[0] == 1.0
        assert shares == sorted(set(shares))

    def test_user_agent_is_cut_and_printable(self):
        request = RequestFactory().get("/", HTTP_USER_AGENT="a\x00\r\nb" + "c" * 500)
        assert client.user_agent(request).startswith("abc")
        assert len(client.user_agent(request)) <= 255
