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


def test_makes_no_second_one_when_the_first_has_changed_address(capsys: pytest.CaptureFixture[str]) -> None:
    """Each release runs the command; the old address may be someone else's by now."""
    call_command("ensure_admin")
    User.objects.update(email="new@example.com")
    capsys.readouterr()
    call_command("ensure_admin")
    assert User.objects.get().email == "new@example.com"
    printed = "".join(capsys.readouterr())
    assert "Another superuser is active" in printed
    assert "new@example.com" not in printed


@pytest.mark.parametrize("status", ["suspended", "pending_deletion"])
def test_makes_one_when_the_others_are_not_active(make_user: Callable[..., User], status: str) -> None:
    make_user("first@example.com", is_staff=True, is_superuser=True, status=status)
    call_command("ensure_admin")
    assert User.objects.get(email="boss@example.com").is_superuser
    User.objects.update(status=status)
    with pytest.raises(CommandError, match="not an active superuser"):
        call_command("ensure_admin")


def test_makes_nobody_a_superuser_who_is_not(make_user: Callable[..., User]) -> None:
    make_user("boss@example.com")
    with pytest.raises(CommandError, match="not an active superuser"):
        call_command("ensure_admin")
    assert not User.objects.filter(is_superuser=True).exists()


@pytest.mark.parametrize("password", ["a", "short one", "aaaaaaaaaaaaaaaa", "boss@example.com", "x" * 257])
def test_holds_to_the_rules_of_everybody(monkeypatch: pytest.MonkeyPatch, password: str) -> None:
    monkeypatch.setenv("ADMIN_PASSWORD", password)
    with pytest.raises(CommandError, match="ADMIN_PASSWORD: ") as refusal:
        call_command("ensure_admin")
    assert password not in str(refusal.value).removeprefix("ADMIN_EMAIL or ADMIN_PASSWORD") or password == "a"
    assert not User.objects.exists()


@pytest.mark.parametrize("email", ["boss", "bo ss@example.com", "b\u00f6ss@example.com"])
def test_wants_an_address_that_mails_reach(monkeypatch: pytest.MonkeyPatch, email: str) -> None:
    monkeypatch.setenv("ADMIN_EMAIL", email)
    with pytest.raises(CommandError, match="ADMIN_EMAIL"):
        call_command("ensure_admin")
    assert not User.objects.exists()


def test_so_do_djangos_own_commands(monkeypatch: pytest.MonkeyPatch, make_user: Callable[..., User]) -> None:
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", "a")
    with pytest.raises(CommandError, match="Use at least 12 characters"):
        call_command("createsuperuser", "--no-input", email="root@example.com")
    ada = make_user("ada@example.com")
    monkeypatch.setattr("getpass.getpass", lambda prompt="": "a")
    with pytest.raises(CommandError, match="Aborting"):
        call_command("changepassword", "ada@example.com")
    assert list(User.objects.values_list("password", flat=True)) == [ada.password]
