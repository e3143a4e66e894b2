"""The first superuser comes from the environment, once."""

from collections.abc import Callable

import pytest
from django.core.management import CommandError, call_command

from accounts.models import AuditEvent, User

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADMIN_EMAIL", "Boss@Example.com")
    monkeypatch.setenv("ADMIN_PASSWORD", "a quiet harbour at dawn")


@pytest.mark.parametrize("variable", ["ADMIN_EMAIL", "ADMIN_PASSWORD"])
def test_needs_both_variables(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, "")
    with pytest.raises(CommandError, match=variable):
        call_command("ensure_admin")
    assert not User.objects.exists()


def test_makes_a_superuser_who_can_sign_in(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("ensure_admin")
    user = User.objects.get()
    assert (user.email, user.is_staff, user.is_superuser) == ("boss@example.com", True, True)
    assert user.email_verified
    assert user.check_password("a quiet harbour at dawn")
    assert AuditEvent.objects.order_by("pk").first().type == "superuser_created"  # type: ignore[union-attr]
    printed = "".join(capsys.readouterr())
    assert "/admin/enrol/?token=" in printed
    assert "harbour" not in printed


def test_never_changes_one(monkeypatch: pytest.MonkeyPatch) -> None:
    call_command("ensure_admin")
    before = User.objects.values().get()
    monkeypatch.setenv("ADMIN_PASSWORD", "another harbour, at dusk")
    call_command("ensure_admin")
    assert User.objects.values().get() == before


def test_makes_nobody_a_superuser_who_is_not(make_user: Callable[..., User]) -> None:
    make_user("boss@example.com")
    with pytest.raises(CommandError, match="no superuser"):
        call_command("ensure_admin")
    assert not User.objects.filter(is_superuser=True).exists()
