"""Passwords guessed from many addresses: at most 100 in a row, with pauses; and the owner gets in all the same."""

import re
import time
from datetime import timedelta

import pytest
from django.db.models.functions import Now

from accounts.kit import throttles
from accounts.kit.problems import RateLimited
from accounts.mail import tokens
from accounts.models import AuditEvent, Session, User
from accounts.passwords import hashing
from accounts.tests.conftest import (
    OTHER_PASSWORD,
    PASSWORD,
    deliver_mails,
    hashes,
    link_in,
    outcome,
    post,
    statements,
)

EMAIL = "ada@example.com"
THIRD_PASSWORD = "yet another sentence that only I know"
HOME = "198.51.100.7"


def login(client, ip, password=PASSWORD, email=EMAIL):
    return client.post("/v1/auth/login", {"email": email, "password": password}, REMOTE_ADDR=ip)


def guess(client, times, email=EMAIL):
    return [
        login(client, f"203.0.{number}.113", OTHER_PASSWORD, email).status_code for number in range(times)
    ]


@pytest.mark.django_db
class TestInARow:
    @pytest.fixture(autouse=True)
    def _ada(self, make_user):
        make_user(EMAIL, password=PASSWORD)

    def test_after_ten_from_anywhere_each_must_wait(self, public):
        started = time.monotonic()
        assert guess(public, 12) == [401] * 10 + [429] * 2
        answer = login(public, HOME)
        assert outcome(answer) == (429, "rate_limited")
        assert 30 - (time.monotonic() - started) <= int(answer["Retry-After"]) <= 30

    def test_an_unknown_account_is_limited_alike(self, public):
        assert guess(public, 12, "nobody@example.com") == guess(public, 12)
        seen = []
        for email in (EMAIL, "nobody@example.com"):
            with statements() as run:
                answer = login(public, "203.0.113.99", OTHER_PASSWORD, email)
            seen.append((answer.status_code, answer.json()["code"], run))
        assert seen[0] == seen[1]

    @pytest.mark.parametrize(
        ("home", "next_door", "elsewhere"),
        [
            ("198.51.100.7", "198.51.100.200", "198.51.101.7"),
            ("2001:db8:5:6::1", "2001:db8:5:6:7:8:9:a", "2001:db8:5:7::1"),
        ],
    )
    def test_the_owner_gets_in_from_the_network_where_they_were(self, public, home, next_door, elsewhere):
        assert login(public, home).status_code == 200
        guess(public, 12)
        assert login(public, elsewhere).status_code == 429
        assert login(public, next_door).status_code == 200

    def test_for_30_days(self, public):
        login(public, HOME)
        guess(public, 12)
        for days, status in ((29, 200), (31, 429)):
            before = Now() - timedelta(days=days)
            AuditEvent.objects.update(created_at=before)
            Session.objects.update(last_used_at=before)
            assert login(public, HOME).status_code == status
            guess(public, 12)

    def test_and_where_a_session_was_refreshed_since(self, public):
        tokens = login(public, HOME).json()
        body = {"refresh_token": tokens["refresh_token"]}
        assert public.post("/v1/auth/refresh", body, REMOTE_ADDR="192.0.2.1").status_code == 200
        guess(public, 12)
        assert login(public, "192.0.2.99").status_code == 200

    def test_and_that_network_has_five_an_hour_of_its_own(self, public):
        """At every address of it together; then the owner waits there as everywhere."""
        login(public, HOME)
        guess(public, 12)
        for number in range(5):
            assert login(public, f"198.51.100.{number}", OTHER_PASSWORD).status_code == 429
        assert login(public, HOME).status_code == 429

    def test_what_was_right_gives_them_back(self, public):
        login(public, HOME)
        for _ in range(3):
            guess(public, 12)
            for number in range(4):
                login(public, f"198.51.100.{number}", OTHER_PASSWORD)
            assert login(public, HOME).status_code == 200

    def test_a_pause_tells_nobody_where_the_owner_was(self, public):
        """Wrong where the account was seen, wrong and right where it was not: one answer, for the same work (A8)."""
        login(public, HOME)
        guess(public, 12)
        before = AuditEvent.objects.count()
        seen = []
        for ip, password in ((HOME, OTHER_PASSWORD), ("192.0.2.1", OTHER_PASSWORD), ("192.0.2.1", PASSWORD)):
            with statements() as run, hashes() as made:
                answer = login(public, ip, password)
            refusal = {name: text for name, text in answer.json().items() if name != "request_id"}
            left = re.findall(r";r=\d+", answer["RateLimit"])
            seen.append((answer.status_code, refusal, sorted(answer.headers), left, run, made()))
        left = [one[3] for one in seen]
        assert left == [[";r=28", ";r=4"], [";r=29", ";r=4"], [";r=28", ";r=3"]]
        assert [one[:3] + one[4:] for one in seen[1:]] == [seen[0][:3] + seen[0][4:]] * 2
        assert (seen[0][0], seen[0][1]["code"], seen[0][5]) == (429, "rate_limited", 1)
        assert AuditEvent.objects.count() == before

    def test_neighbours_do_not_use_up_the_owners_tries(self, public):
        """Many of one /24, or of one /48, who guess: another line of it is not refused for them."""
        for number in range(4):
            for _ in range(2):
                login(public, f"198.51.100.{100 + number}", OTHER_PASSWORD)
                login(public, f"2001:db8:1:{number:x}::1", OTHER_PASSWORD, "bob@example.com")
        assert login(public, HOME).status_code == 200
        assert login(public, "2001:db8:1:ff::1", email="bob@example.com").status_code == 401

    def test_a_right_password_ends_the_row(self, public):
        guess(public, 9)
        assert login(public, HOME).status_code == 200
        assert guess(public, 9) == [401] * 9

    def test_and_clears_no_counter_of_another_place(self, public):
        for _ in range(5):
            login(public, "203.0.113.1", OTHER_PASSWORD)
        assert login(public, HOME).status_code == 200
        assert login(public, "203.0.113.1").status_code == 429


@pytest.mark.django_db
class TestEveryProofIsCounted:
    """Whatever has a password hashed is counted per account and network before, right or wrong, at every door."""

    @pytest.fixture
    def few(self, settings):
        """`few(account, network)`: so many proofs are allowed, and nothing else is ever too much."""

        def few(of_account, of_network):
            rules = dict.fromkeys(settings.RATE_LIMITS, (1000, 60))
            settings.RATE_LIMITS = {
                **rules,
                "proofs": (of_network, 60),
                **dict.fromkeys(("proofs_named", "proofs_held"), (of_account, 300)),
            }

        return few

    @pytest.fixture(params=["login", "reauthenticate", "password", "register", "password-reset"])
    def door(self, request, public, make_user, access_token):
        """`door(account)`: one more right proof of that account; the status."""
        names = ("ada", "eve", "joe") if request.param != "register" else ()
        people = {name: access_token(make_user(f"{name}@example.com", password=PASSWORD)) for name in names}

        def reset(account):
            user = User.objects.get(email=f"{account}@example.com")
            link = tokens.link_token(tokens.issue(tokens.Purpose.RESET, user_id=user.pk, email=user.email))
            return post(public, "password-reset", token=link, new_password=PASSWORD)

        def change(account):
            body = {"current_password": PASSWORD, "new_password": PASSWORD}
            return public.with_token(people[account]).post("/v1/auth/change-password", body)

        doors = {
            "login": lambda account: login(public, HOME, email=f"{account}@example.com"),
            "reauthenticate": lambda account: public.with_token(people[account]).post(
                "/v1/auth/reauthenticate", {"password": PASSWORD}
            ),
            "password": change,
            "register": lambda account: post(
                public, "register", email=f"new-{account}@example.com", password=PASSWORD
            ),
            "password-reset": reset,
        }
        hashed = 2 if request.param == "password" else 1
        return lambda account: doors[request.param](account).status_code, hashed

    def test_per_account_and_what_it_is_refused_does_not_use_up_its_network(self, few, door):
        ask, hashed = door
        few(2 * hashed, 3 * hashed)
        assert [ask("ada") < 300 for _ in range(2)] == [True, True]
        with hashes() as made:
            assert [ask("ada") for _ in range(3)] == [429] * 3
        assert made() == 0
        assert ask("eve") < 300

    def test_per_network(self, few, door):
        ask, hashed = door
        few(1000, 2 * hashed)
        assert [ask(account) < 300 for account in ("ada", "eve")] == [True, True]
        with hashes() as made:
            assert ask("joe") == 429
        assert made() == 0

    def test_who_only_names_an_account_shuts_nobody_else_out(self, few, public, make_user):
        few(2, 1000)
        make_user(EMAIL, password=PASSWORD)
        for _ in range(3):
            login(public, "203.0.113.1")
        assert login(public, "203.0.113.1").status_code == 429
        assert login(public, HOME).status_code == 200

    def test_what_was_not_hashed_is_not_counted(self, few, public, make_user, monkeypatch):
        few(2, 2)
        make_user(EMAIL, password=PASSWORD)
        with monkeypatch.context() as full:
            full.setattr(hashing._turns, "_patience", -1.0)
            full.setattr(hashing._turns, "_running", 0)
            assert [login(public, HOME).status_code for _ in range(4)] == [503] * 4
        assert login(public, HOME).status_code == 200


@pytest.mark.django_db
class TestDeviceToken:
    """With one its device is not shut out, wherever it is and whatever strangers do."""

    @pytest.fixture(autouse=True)
    def _ada(self, make_user):
        self.ada = make_user(EMAIL, password=PASSWORD)

    def token(self, public, **body):
        answer = public.post("/v1/auth/login", {"email": EMAIL, "password": PASSWORD, **body})
        assert answer.status_code == 200
        return answer.json()["device_token"]

    def login(self, public, token, ip="192.0.2.50", password=PASSWORD, email=EMAIL):
        body = {"email": email, "password": password, "device_token": token}
        return public.post("/v1/auth/login", body, REMOTE_ADDR=ip)

    def test_gets_in_under_attack_from_everywhere(self, public):
        token = self.token(public)
        guess(public, 12)
        for _ in range(5):  # and the attacker sits behind the same address
            login(public, "192.0.2.50", OTHER_PASSWORD)
        for number in range(30):
            login(public, "192.0.2.50", OTHER_PASSWORD, f"{number}@example.com")
        assert login(public, "192.0.2.50").status_code == 429
        assert self.login(public, token).status_code == 200

    def test_and_gives_the_next_one(self, public):
        token = self.token(public)
        for number in range(3):
            guess(public, 12)
            token = self.login(public, token, f"192.0.{number}.1").json()["device_token"]

    def test_five_wrong_ones_an_hour_on_that_device_alone(self, public):
        one, two = self.token(public), self.token(public)
        guess(public, 12)
        codes = [self.login(public, one, password=OTHER_PASSWORD).status_code for _ in range(6)]
        assert codes == [401] * 5 + [429]
        assert self.login(public, one).status_code == 429
        assert self.login(public, two).status_code == 200

    def test_its_tries_are_no_guesses_of_strangers(self, public):
        token = self.token(public)
        for _ in range(5):
            self.login(public, token, password=OTHER_PASSWORD)
        assert guess(public, 12) == [401] * 10 + [429] * 2

    def test_twenty_a_minute_of_one_account_right_or_wrong(self, public):
        """Each is a hash: nobody holds the machine with tokens of their own."""
        tokens = [self.token(public) for _ in range(2)]
        guess(public, 12)
        assert {self.login(public, tokens[number % 2]).status_code for number in range(20)} == {200}
        guess(public, 12)
        assert self.login(public, tokens[0], "198.18.0.1").status_code == 429

    def test_is_of_one_account(self, public, make_user):
        make_user("bob@example.com", password=PASSWORD)
        token = self.token(public)
        guess(public, 12, "bob@example.com")
        assert self.login(public, token, email="bob@example.com").status_code == 429
        assert self.login(public, token, email="nobody@example.com").status_code == 401

    @pytest.mark.parametrize("spoil", ["", "x", "é" * 64, "a.b~c~d", "A" * 4000])
    def test_a_made_up_one_is_as_none(self, public, spoil):
        guess(public, 12)
        with statements() as run:
            assert self.login(public, spoil).status_code == 429
        with statements() as without:
            login(public, "192.0.2.50")
        assert run == without

    @pytest.mark.parametrize("part", [0, 10, 40, -1])
    def test_an_altered_one_is_too(self, public, part):
        token = self.token(public)
        guess(public, 12)
        letters = list(token)
        letters[part] = "B" if letters[part] != "B" else "C"
        assert self.login(public, "".join(letters)).status_code == 429

    @pytest.mark.parametrize("end", ["logout-all", "reset"])
    def test_ends_with_all_sessions(self, public, end):
        answer = login(public, "198.18.0.1")
        token, password = answer.json()["device_token"], PASSWORD
        if end == "logout-all":
            post(public.with_token(answer.json()["access_token"]), "logout-all")
        else:
            post(public, "password-reset-request", email=EMAIL)
            link = next(link_in(one) for one in deliver_mails() if "password-reset?" in str(one.body))
            password = THIRD_PASSWORD
            post(public, "password-reset", token=link, new_password=password)
        guess(public, 12)
        assert self.login(public, token, password=password).status_code == 429

    def test_outlives_a_logout_and_a_change_of_the_password(self, public):
        answer = public.post("/v1/auth/login", {"email": EMAIL, "password": PASSWORD}).json()
        client = public.with_token(answer["access_token"])
        post(client, "change-password", current_password=PASSWORD, new_password=THIRD_PASSWORD)
        post(client, "logout")
        guess(public, 12)
        assert self.login(public, answer["device_token"], password=THIRD_PASSWORD).status_code == 200

    def test_runs_out(self, public, settings):
        token = self.token(public)
        guess(public, 12)
        settings.DEVICE_TOKEN_LIFETIME = timedelta(seconds=-1)
        assert self.login(public, token).status_code == 429

    def test_a_refresh_gives_none(self, public):
        refresh = public.post("/v1/auth/login", {"email": EMAIL, "password": PASSWORD}).json()[
            "refresh_token"
        ]
        assert "device_token" not in post(public, "refresh", refresh_token=refresh).json()


class TestDelays:
    @pytest.fixture(params=["redis", "postgresql"])
    def store(self, request, db, settings):
        settings.RATE_LIMITS = {"row": (100, 3600, 2, 1000), "small": (3, 3600, 2, 0)}
        if request.param == "postgresql":
            throttles.rest.begin()
            throttles.rest._until += 3600
        yield request.param
        throttles.rest.end()

    def waits(self, hit):
        try:
            throttles.take(hit)
        except RateLimited as refusal:
            return refusal.retry_after
        return 0

    def test_begin_after_the_free_ones(self, store):
        hit = throttles.hit("row", "a")
        assert [self.waits(hit) for _ in range(4)] == [0, 0, 1000, 1000]

    def test_are_gone_when_forgotten(self, store):
        hit = throttles.hit("row", "a")
        for _ in range(3):
            self.waits(hit)
        throttles.forget(hit)
        assert self.waits(hit) == 0

    def test_double_and_end_at_an_hour(self, settings):
        settings.RATE_LIMITS = {"row": (100, 10**6, 2, 1000)}
        hit = throttles.hit("row", "a")
        waits = [hit.wait([0] * count, 0) // 10**6 for count in (2, 3, 4, 5, 6, 50)]
        assert waits == [1000, 1000, 2000, 2000, 3600, 3600]

    def test_say_how_many_are_left(self, store):
        assert [throttles.take(throttles.hit("small", "a")) for _ in range(3)] == [2, 1, 0]
