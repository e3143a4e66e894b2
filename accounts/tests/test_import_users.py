"""Users of another system, with their hashes: what is taken, what is refused, and the first sign-in afterwards."""

import json
from io import StringIO

import bcrypt
import pytest
from argon2 import PasswordHasher
from django.contrib.auth.hashers import BCryptSHA256PasswordHasher, PBKDF2PasswordHasher
from django.core.management import CommandError, call_command

from accounts import passwords
from accounts.kit.client import Client
from accounts.models import AuditEvent, User
from accounts.tests.conftest import OTHER_PASSWORD, PASSWORD, hashes, post
from accounts.tests.hashers import CheapBCryptSHA256

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
    "argon2": PasswordHasher(time_cost=1, memory_cost=8 * 1024, parallelism=1).hash(PASSWORD),
    "pbkdf2": PBKDF2PasswordHasher().encode(PASSWORD, "salt", iterations=1000),
}
REFUSED_HASHES = [
    plain_bcrypt(PASSWORD).replace("$04$", "$15$"),
    "$argon2id$v=19$m=524288,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNo",
    "$argon2id$v=19$m=1024,t=99,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNo",
    "pbkdf2_sha256$9000000$salt$aGFzaA==",
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
        assert said == "1 imported, 0 there already, 0 refused.\n"
        user = User.objects.get()
        assert (user.email, user.email_verified) == (EMAIL, True)
        assert post(public, "login", email=EMAIL, password=OTHER_PASSWORD).status_code == 401
        assert post(public, "login", email=EMAIL, password=PASSWORD).status_code == 200
        user.refresh_from_db()
        assert user.password.startswith("bcrypt_sha256$")
        assert post(public, "login", email=EMAIL, password=PASSWORD).status_code == 200

    @pytest.mark.parametrize("text", REFUSED_HASHES, ids=range(len(REFUSED_HASHES)))
    def test_refuses_hashes_of_another_kind_or_cost(self, run, text):
        said = run({"email": EMAIL, "password_hash": text})
        assert "line 1: password_hash" in said
        assert not User.objects.exists()

    @pytest.mark.parametrize(
        "line",
        [
            "{",
            "[]",
            '{"email": "ada"}',
            '{"email": "ada@example.com", "is_staff": true}',
            '{"email": "ada@example.com", "display_name": "a\\u0000b"}',
            '{"email": "ada@example.com", "locale": "xx"}',
            '{"email": 1}',
        ],
    )
    def test_names_the_line_that_it_refuses_and_takes_the_others(self, run, line):
        said = run({"email": "first@example.com"}, line)
        assert "1 imported, 0 there already, 1 refused." in said
        assert "line 2: " in said
        assert User.objects.get().email == "first@example.com"

    def test_a_dry_run_stores_nothing(self, run):
        said = run({"email": EMAIL, "password_hash": HASHES["bcrypt"]}, dry_run=True)
        assert said == "1 would be imported, 0 there already, 0 refused.\n"
        assert not User.objects.exists()

    def test_is_repeated_after_it_was_cut_short(self, run, make_user):
        make_user(EMAIL, password=PASSWORD)
        before = User.objects.get().password
        lines = [{"email": f"user{number}@example.com"} for number in range(1200)]
        assert run({"email": EMAIL, "password_hash": HASHES["argon2"]}, *lines[:600]).startswith(
            "600 imported, 1 there"
        )
        assert run(*lines, lines[0]).startswith("600 imported, 601 there")
        assert User.objects.get(email=EMAIL).password == before
        assert AuditEvent.objects.filter(type="user_imported").count() == 1200

    def test_without_a_hash_there_is_no_password(self, run, public):
        run({"email": EMAIL})
        assert not User.objects.get().has_usable_password()
        assert post(public, "login", email=EMAIL, password="").status_code == 401


@pytest.mark.django_db
class TestWork:
    """What a wrong password costs: the same as for a user who does not exist, where the hash is bcrypt."""

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

    @pytest.mark.parametrize("password", ["x" * 300, "é" * 40, "\U0001f989" * 30])
    def test_long_passwords_are_cut_where_bcrypt_cuts_them(self, password):
        stored = f"bcrypt${plain_bcrypt('x' * 72)}"
        assert verify(password, stored).right == password.startswith("x")
        own = bcrypt.hashpw(password.encode()[:72], bcrypt.gensalt(4)).decode()
        assert verify(password, f"bcrypt${own}").right
