"""A URL in the environment that cannot be read is refused by the variable's name, and no part of the value is shown."""

import os
import runpy
import subprocess
import sys
import traceback
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from config.settings import environment

ROOT = Path(__file__).resolve().parent.parent
SECRET = "k9Zq"
MAILS = [
    f"smtp+tls://user:{SECRET}/rest@mail.internal:587", f"smtp+tls://user:12/{SECRET}@mail.internal:587",
    f"smtp+tls://user:{SECRET}#rest@mail.internal:587", f"smtp+tls://user:12#{SECRET}@mail.internal",
    f"smtp+tls://user:{SECRET}?rest@mail.internal:587", f"smtp+tls://user:12?{SECRET}@mail.internal",
    f"smtp+tls://user:{SECRET}[rest@mail.internal:587", f"smtp+tls://user:{SECRET}@rest@mail.internal:587",
    f"smtp+tls://user:{SECRET}\n@mail.internal", f"smtp+tls://user:{SECRET} x@mail.internal",
    f"smtp+tls://user:{SECRET}@mail.internal:port", f"smtp+tls://user:{SECRET}@mail.internal:99999",
    f"smtp+tls://user:{SECRET}@", f"smtp+tls://user:{SECRET}@:587", f"{SECRET}", f"user:{SECRET}@mail.internal:587",
    f"http://user:{SECRET}@mail.internal", f"smtp+tls://user:{SECRET}@mail.internal/box",
    "smtp://", "smtp:mail.internal",
]  # fmt: skip


@pytest.mark.parametrize("url", MAILS)
def test_a_mail_server_that_reads_in_two_ways_is_refused(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("EMAIL_URL", url)
    with pytest.raises(ImproperlyConfigured, match=r"^EMAIL_URL must be smtp\+tls://") as refusal:
        environment.mail_server("EMAIL_URL")
    shown = "".join(traceback.format_exception(refusal.value)).replace(str(ROOT), "")
    assert SECRET not in shown
    assert "rest" not in shown.replace("restore", "")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("smtp://127.0.0.1:1025", ("127.0.0.1", 1025, "", "", False, False)),
        ("smtp+tls://user:word@mail.internal:587", ("mail.internal", 587, "user", "word", True, False)),
        ("smtp+ssl://user:word@mail.internal:465/", ("mail.internal", 465, "user", "word", False, True)),
        ("smtps://mail.internal", ("mail.internal", 25, "", "", True, False)),
        (
            "smtp+tls://me%40x.org:a%2Fb%23c%3Fd%40e%25f$g@mail.internal:587",
            ("mail.internal", 587, "me@x.org", "a/b#c?d@e%f$g", True, False),
        ),
        ("smtp+tls://user:word@[fd00::1]:587", ("fd00::1", 587, "user", "word", True, False)),
    ],
)
def test_a_mail_server_is_read(monkeypatch: pytest.MonkeyPatch, url: str, said: tuple[object, ...]) -> None:
    monkeypatch.setenv("EMAIL_URL", url)
    read = environment.mail_server("EMAIL_URL")
    names = ("HOST", "PORT", "HOST_USER", "HOST_PASSWORD", "USE_TLS", "USE_SSL")
    assert tuple(read[f"EMAIL_{name}"] for name in names) == said


@pytest.mark.parametrize(
    "url",
    [
        f"postgres://user:12/{SECRET}@host", f"postgresql://user:12/{SECRET}@host/auth",
        f"postgresql://user:{SECRET}@x@host/auth",
        f"postgresql://user:12/{SECRET}@host?sslmode=require",
        f"postgresql://user:{SECRET}%@host/auth",
    ],
)  # fmt: skip
def test_a_database_that_reads_in_two_ways_is_refused(url: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=r"^DATABASE_URL ") as refusal:
        environment.postgres("DATABASE_URL", url)
    assert SECRET not in "".join(traceback.format_exception(refusal.value))


def test_passwords_with_every_character_are_read_where_they_are_encoded() -> None:
    database = environment.postgres("DATABASE_URL", "postgresql://user:a%2Fb%40c%23d%3Fe%25f@host:5433/auth")
    read = {name: database[name] for name in ("USER", "PASSWORD", "HOST", "PORT", "NAME")}
    assert read == {"USER": "user", "PASSWORD": "a/b@c#d?e%f", "HOST": "host", "PORT": "5433", "NAME": "auth"}


@pytest.mark.parametrize("value", ["$HOME", "$SECRET_KEY", "$", "a$b"])
def test_a_dollar_in_a_value_leads_to_no_other_variable(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("SERVICE_NAME", value)
    read = runpy.run_path(str(ROOT / "config/settings/service.py"))
    assert read["SERVICE_NAME"] == value


class TestListen:
    """The shell that starts a server, before anything of ours is loaded."""

    def refused(self, *command: str, **changes: str) -> str:
        done = subprocess.run(
            ["/bin/sh", *command],
            cwd=ROOT,
            env={
                **os.environ,
                "DJANGO_SETTINGS_MODULE": "config.settings.test",
                "LISTENER": "public",
                "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
                **changes,
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode != 0
        return done.stdout + done.stderr

    def listen(self, *arguments: str, **changes: str) -> str:
        return self.refused("deploy/listen", *arguments, **changes)

    @pytest.mark.parametrize("server", ["gunicorn", "granian"])
    @pytest.mark.parametrize(
        ("variable", "value"),
        [("WEB_CONCURRENCY", "k9Zq"), ("WEB_CONCURRENCY", "0"), ("WEB_THREADS", "k9Zq")],
    )
    def test_a_number_is_refused_by_name(self, server: str, variable: str, value: str) -> None:
        said = self.listen(server, "127.0.0.1", "8000", **{variable: value})
        assert f"{variable} must be a whole number, 1 or more." in said
        assert "k9Zq" not in said

    @pytest.mark.parametrize("server", ["gunicorn", "granian"])
    @pytest.mark.parametrize("port", ["k9Zq", "", "80 80", "99999", "-1"])
    def test_so_is_a_port(self, server: str, port: str) -> None:
        said = self.listen(server, "127.0.0.1", port)
        assert "PORT, INTERNAL_PORT and ADMIN_PORT must be whole numbers from 1 to 65535." in said
        assert not port or port not in said.replace("65535", "")

    @pytest.mark.parametrize("server", ["gunicorn", "granian"])
    @pytest.mark.parametrize(
        "host", ["http://k9Zq", "k9 Zq", "", "unix:", "unix:k9Zq", "k9Zq/8", "k9Zq@10.0.0.1"]
    )
    def test_and_an_address(self, server: str, host: str) -> None:
        said = self.listen(server, host, "8000")
        assert "BIND, INTERNAL_BIND and ADMIN_BIND must be an address, or unix:/path." in said
        assert "k9Zq" not in said

    @pytest.mark.parametrize("value", ["k9Zq", "0", "-1", "2 --autoscale k9Zq"])
    def test_and_the_number_of_the_workers_processes(self, value: str) -> None:
        said = self.refused("deploy/process", "worker", WORKER_CONCURRENCY=value)
        assert "WORKER_CONCURRENCY must be a whole number, 1 or more." in said
        assert "k9Zq" not in said

    def test_and_a_server_that_there_is_not(self) -> None:
        assert "WEB_SERVER" in self.listen("k9Zq", "127.0.0.1", "8000")
