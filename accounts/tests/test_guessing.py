"""Passwords guessed from many addresses: at most 100 in a row, with pauses; and the owner gets in all the same."""

import time

import pytest

from accounts.kit import throttles
from accounts.kit.problems import RateLimited
from accounts.mail import tokens
from accounts.models import User
from accounts.passwords import hashing
from accounts.tests.conftest import OTHER_PASSWORD, PASSWORD, hashes, outcome, post, statements

EMAIL = "ada@example.com"
HOME = "198.51.100.7"


def login(client, ip, password=PASSWORD, email=EMAIL):
    return client.post("/v1/auth/login", {"email": email, "password": password}, REMOTE_ADDR=ip)


def guess(client, times, email=EMAIL):
    return [
        login(client, f"203.0.113.{number}", OTHER_PASSWORD, email).status_code for number in range(times)
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

    def test_the_owner_gets_in_from_where_they_were(self, public):
        assert login(public, HOME).status_code == 200
        guess(public, 12)
        assert login(public, "198.51.100.8").status_code == 429
        assert login(public, HOME).status_code == 200

    def test_and_that_place_has_a_row_of_its_own(self, public):
        login(public, HOME)
        guess(public, 12)
        codes = [login(public, HOME, OTHER_PASSWORD).status_code for _ in range(6)]
        assert codes == [401] * 5 + [429]

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

    def test_per_account(self, few, door):
        ask, hashed = door
        few(2 * hashed, 1000)
        assert [ask("ada") < 300 for _ in range(2)] == [True, True]
        with hashes() as made:
            assert ask("ada") == 429
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
