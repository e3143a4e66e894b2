"""Users of another system, with their hashes: what is taken, what is refused, and the first sign-in afterwards."""

import json
import time
from datetime import timedelta
from io import StringIO

import bcrypt
import pytest
from argon2 import PasswordHasher, Type
from django.contrib.auth.hashers import BCryptSHA256PasswordHasher, PBKDF2PasswordHasher
from django.core.management import CommandError, call_command
from django.db.models.functions import Now

from accounts import passwords
from accounts.kit.client import Client
from accounts.models import AddressChange, AuditEvent, User
from accounts.passwords import costs, imported
from accounts.tests.conftest import OTHER_PASSWORD, PASSWORD, deliver_mails, hashes, link_in, post
from accounts.tests.hashers import CheapBCryptSHA256, CheapPBKDF2

EMAIL = "ada@example.com"


def plain_bcrypt(password, prefix=b"2b", rounds=4):
    return bcrypt.hashpw(password.encode()[:72], bcrypt.gensalt(rounds, prefix)).decode()


def verify(password, encoded):
    attempt = passwords.by_stranger(EMAIL, Client("192.0.2.1", "test"))
    return passwords.verify(password, encoded, attempt)


HASHES = {
    "bcrypt": plain_bcrypt(PASSWORD),
    "bcrypt 2a": plain_bcrypt(PASSWORD, b"2a"),
    "bcrypt 2y": plain_bcrypt(PASSWORD).replace("$2b$", "$2y$"),
    "bcrypt_sha256": BCryptSHA256PasswordHasher().encode(PASSWORD, bcrypt.gensalt(4)),  # type: ignore[arg-type]
    "argon2": PasswordHasher(time_cost=1, memory_cost=64, parallelism=1).hash(PASSWORD),
    "argon2 of several lanes": PasswordHasher(time_cost=3, memory_cost=64, parallelism=4).hash(PASSWORD),
    "argon2i": PasswordHasher(time_cost=1, memory_cost=64, parallelism=2, type=Type.I).hash(PASSWORD),
    "pbkdf2": CheapPBKDF2().encode(PASSWORD, "salt"),
}
MAKERS = {
    "bcrypt": plain_bcrypt,
    "bcrypt_sha256": lambda password: CheapBCryptSHA256().encode(password, bcrypt.gensalt(4)),
    "argon2": PasswordHasher(time_cost=1, memory_cost=64, parallelism=2).hash,
    "pbkdf2": lambda password: CheapPBKDF2().encode(password, "salt"),
}
# What a hash of ours costs in tests is the least that bcrypt has: four rounds.
DEAR_HASHES = [
    plain_bcrypt(PASSWORD, rounds=5),
    BCryptSHA256PasswordHasher().encode(PASSWORD, bcrypt.gensalt(5)),  # type: ignore[arg-type]
    PasswordHasher(time_cost=1, memory_cost=32 * 1024, parallelism=8).hash(PASSWORD),
    "$argon2id$v=19$m=1024,t=99,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNo",
    "$argon2id$v=19$m=4294967295,t=4294967295,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNo",
    PBKDF2PasswordHasher().encode(PASSWORD, "salt", iterations=20_000),
    "pbkdf2_sha256$9000000$salt$aGFzaA==",
]
REFUSED_HASHES = [
    "pbkdf2_sha256$0$salt$aGFzaA==",
    plain_bcrypt(PASSWORD).replace("$04$", "$03$"),
    "md5$salt$d41d8cd98f00b204e9800998ecf8427e",
    "5f4dcc3b5aa765d61d8327deb882cf99",
    "!",
    "",
    PASSWORD,
]


@pytest.fixture
def run(tmp_path):
    """`run({...}, ...)`: what the command says about a file with these lines."""

    def run(*lines, **options):
        file = tmp_path / "users.jsonl"
        file.write_text("".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines))
        out, err = StringIO(), StringIO()
        try:
            call_command("import_users", str(file), stdout=out, stderr=err, **options)
        except CommandError as error:
            err.write(str(error))
        return out.getvalue() + err.getvalue()

    return run


@pytest.mark.django_db
class TestImport:
    @pytest.mark.parametrize("kind", HASHES)
    def test_signs_in_and_is_upgraded(self, run, public, kind):
        said = run({"email": "Ada@Example.com", "password_hash": HASHES[kind], "email_verified": True})
        assert said == "1 imported, 0 already present, 0 refused.\n"
        user = User.objects.get()
        assert (user.email, user.email_verified) == (EMAIL, True)
        assert post(public, "login", email=EMAIL, password=OTHER_PASSWORD).status_code == 401
        assert post(public, "login", email=EMAIL, password=PASSWORD).status_code == 200
        user.refresh_from_db()
        assert user.password.startswith("bcrypt_sha256$")
        assert post(public, "login", email=EMAIL, password=PASSWORD).status_code == 200

    @pytest.mark.parametrize("text", REFUSED_HASHES, ids=range(len(REFUSED_HASHES)))
    def test_refuses_hashes_of_another_kind(self, run, text):
        said = run({"email": EMAIL, "password_hash": text})
        assert "line 1: password_hash" in said
        assert not User.objects.exists()

    @pytest.mark.parametrize("text", DEAR_HASHES, ids=range(len(DEAR_HASHES)))
    def test_a_hash_that_costs_more_than_ours_stays_behind_and_its_owner_is_mailed(self, run, public, text):
        line = {"email": EMAIL, "password_hash": text, "email_verified": True}
        said = run(line, dry_run=True)
        assert said.endswith(
            "1 of them would be asked to choose a password: their hashes cost too much to check.\n"
        )
        assert not User.objects.exists()
        said = run(line, {"email": "eve@example.com", "password_hash": HASHES["bcrypt"]})
        assert said == (
            "2 imported, 0 already present, 0 refused.\n"
            "1 of them were asked to choose a password: their hashes cost too much to check.\n"
        )
        assert not User.objects.get(email=EMAIL).has_usable_password()
        assert post(public, "login", email=EMAIL, password=PASSWORD).status_code == 401
        (message,) = deliver_mails()
        assert message.to == [EMAIL]
        chosen = post(public, "password-reset", token=link_in(message), new_password=OTHER_PASSWORD)
        assert chosen.status_code == 204
        assert post(public, "login", email=EMAIL, password=OTHER_PASSWORD).status_code == 200
        assert run(line).startswith("0 imported, 1 already present")
        assert not [mail for mail in deliver_mails() if "password-reset?token" in mail.body]

    @pytest.mark.parametrize(
        "line",
        [
            "{",
            "[]",
            '{"email": "ada"}',
            '{"email": "ada@example.com", "is_staff": true}',
            '{"email": "ada@example.com", "display_name": "a\\u0000b"}',
            '{"email": "ada@example.com", "locale": "x!"}',
            '{"email": 1}',
        ],
    )
    def test_names_the_line_that_it_refuses_and_takes_the_others(self, run, line):
        said = run({"email": "first@example.com"}, line)
        assert "1 imported, 0 already present, 1 refused." in said
        assert "line 2: " in said
        assert User.objects.get().email == "first@example.com"

    @pytest.mark.parametrize("dry_run", [False, True])
    def test_an_address_that_its_former_owner_may_take_back_is_nobody_elses(self, run, make_user, dry_run):
        """An undo would take it from the newcomer again, verified or not."""
        ada = make_user("ada.new@example.com")
        AddressChange.objects.create(user=ada, old_email=EMAIL, new_email=ada.email, confirmed_at=Now())
        lines = [{"email": EMAIL, "email_verified": True}, {"email": "bob@example.com"}]
        said = run(*lines, dry_run=dry_run)
        assert "line 1: email: a former owner may still take this address back, within 7 days.\n" in said
        assert ", 0 already present, 1 refused." in said
        assert User.objects.filter(email="bob@example.com").exists() is not dry_run
        assert not User.objects.filter(email=EMAIL).exists()
        AddressChange.objects.update(confirmed_at=Now() - timedelta(days=7, seconds=1))
        assert "1 refused" not in run(*lines, dry_run=dry_run)
        assert User.objects.filter(email=EMAIL).exists() is not dry_run

    def test_a_dry_run_stores_nothing(self, run):
        said = run({"email": EMAIL, "password_hash": HASHES["bcrypt"]}, dry_run=True)
        assert said == "1 would be imported, 0 already present, 0 refused.\n"
        assert not User.objects.exists()

    def test_is_repeated_after_it_was_cut_short(self, run, make_user):
        make_user(EMAIL, password=PASSWORD)
        before = User.objects.get().password
        lines = [{"email": f"user{number}@example.com"} for number in range(1200)]
        assert run({"email": EMAIL, "password_hash": HASHES["argon2"]}, *lines[:600]).startswith(
            "600 imported, 1 already present"
        )
        assert run(*lines, lines[0]).startswith("600 imported, 601 already present")
        assert User.objects.get(email=EMAIL).password == before
        assert AuditEvent.objects.filter(type="user_imported").count() == 1200

    @pytest.mark.parametrize("text", DEAR_HASHES[:3] + DEAR_HASHES[5:6], ids=range(4))
    def test_one_that_an_earlier_version_took_over_is_found_and_left_behind(self, public, make_user, text):
        stored = imported.as_stored(text)
        for name, encoded in (("ada", stored), ("eve", HASHES["pbkdf2"]), ("joe", None)):
            make_user(f"{name}@example.com", password=PASSWORD)
            if encoded:
                User.objects.filter(email=f"{name}@example.com").update(password=encoded)
        assert post(public, "login", email=EMAIL, password=PASSWORD).status_code == 401
        said = StringIO()
        call_command("dear_passwords", dry_run=True, stdout=said)
        assert User.objects.get(email=EMAIL).password == stored
        call_command("dear_passwords", stdout=said)
        call_command("dear_passwords", stdout=said)
        assert said.getvalue() == "".join(
            f"{found} asked to choose a password.\n" for found in ("1 would be", "1 were", "0 were")
        )
        assert [message.to for message in deliver_mails()] == [[EMAIL]]
        assert not User.objects.get(email=EMAIL).has_usable_password()
        for name in ("eve", "joe"):
            assert post(public, "login", email=f"{name}@example.com", password=PASSWORD).status_code == 200

    @pytest.mark.parametrize("typed", ["e\u0301t\u00e9 \ufb01ve \u2460 \uff21da knows", PASSWORD + "\u00b2"])
    @pytest.mark.parametrize("kind", MAKERS)
    def test_a_password_that_normalization_changes_is_found_as_it_was_typed(
        self, run, public, sign_in, typed, kind
    ):
        """Most other systems hash what was typed; from then on ours is of the normal form."""
        assert passwords.canonical(typed) != typed
        run({"email": EMAIL, "password_hash": MAKERS[kind](typed), "email_verified": True})
        assert post(public, "login", email=EMAIL, password=OTHER_PASSWORD).status_code == 401
        assert sign_in(EMAIL, typed)["access_token"]
        stored = User.objects.get().password
        assert CheapBCryptSHA256().verify(passwords.canonical(typed), stored)
        assert sign_in(EMAIL, passwords.canonical(typed))["access_token"]
        assert User.objects.get().password == stored

    @pytest.mark.parametrize("kind", MAKERS)
    def test_and_as_it_is_normalized(self, run, sign_in, kind):
        typed = PASSWORD + "\u00b2"
        run({"email": EMAIL, "password_hash": MAKERS[kind](PASSWORD + "2"), "email_verified": True})
        assert sign_in(EMAIL, typed)["access_token"]

    def test_without_a_hash_there_is_no_password(self, run, public):
        run({"email": EMAIL})
        assert not User.objects.get().has_usable_password()
        assert post(public, "login", email=EMAIL, password="").status_code == 401


@pytest.mark.django_db
class TestWork:
    """Measures a wrong password: it costs the same as for a user who does not exist, where the hash is bcrypt."""

    @pytest.fixture(autouse=True)
    def _rounds(self, monkeypatch):
        monkeypatch.setattr(CheapBCryptSHA256, "rounds", 6)

    @pytest.mark.parametrize(("rounds", "more"), [(4, 2), (5, 1), (6, 0)])
    def test_a_cheaper_bcrypt_is_made_up_for_exactly(self, rounds, more):
        """2^4 + 2^4 + 2^5 = 2^6."""
        with hashes() as made:
            assert not verify(OTHER_PASSWORD, f"bcrypt${plain_bcrypt(PASSWORD, rounds=rounds)}").right
        assert made() == more
        own = BCryptSHA256PasswordHasher().encode(PASSWORD, bcrypt.gensalt(rounds))  # type: ignore[arg-type]
        with hashes() as made:
            assert not verify(OTHER_PASSWORD, own).right
        assert made() == more + 1

    @pytest.mark.parametrize("spent", [0.0, 0.25, 0.6, 0.99, 1.2])
    def test_another_kind_is_made_up_for_by_its_time(self, monkeypatch, spent):
        """The work that is left, in steps of the least that bcrypt has: a quarter of one of ours here."""

        class Slow(CheapPBKDF2):
            def verify(self, password, encoded):
                until = time.thread_time() + spent * costs.ours_lately()
                while time.thread_time() < until:
                    pass
                return False

        monkeypatch.setattr(costs, "ours_lately", lambda: 0.1)
        monkeypatch.setattr("accounts.passwords.hashing.identify_hasher", lambda encoded: Slow())
        with hashes() as made:
            assert not verify(OTHER_PASSWORD, HASHES["pbkdf2"]).right
        steps = round((1 - min(spent, 1)) * 4)
        assert made() == steps.bit_count()

    @pytest.mark.parametrize("kind", [*HASHES, None])
    def test_what_normalization_changes_costs_two_in_every_arm(self, monkeypatch, kind):
        monkeypatch.setattr(CheapBCryptSHA256, "rounds", 4)
        encoded = HASHES[kind] if kind else None
        with hashes() as made:
            assert not verify(f"{OTHER_PASSWORD} \ufb01", encoded).right
            for_one_password = made()
            assert not verify(f"{OTHER_PASSWORD} 1", encoded).right
            assert not verify(f"{OTHER_PASSWORD} 2", encoded).right
            for_two = made() - for_one_password
        assert for_one_password == for_two

    @pytest.mark.parametrize("password", ["x" * 300, "é" * 40, "\U0001f989" * 30])
    def test_long_passwords_are_cut_where_bcrypt_cuts_them(self, password):
        stored = f"bcrypt${plain_bcrypt('x' * 72)}"
        assert verify(password, stored).right == password.startswith("x")
        own = bcrypt.hashpw(password.encode()[:72], bcrypt.gensalt(4)).decode()
        assert verify(password, f"bcrypt${own}").right
