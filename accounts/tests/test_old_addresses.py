"""Addresses as the version before stored them, brought to this one: asked again, or listed."""

from importlib import import_module

import pytest
from django.apps import apps
from django.core.management import CommandError, call_command
from django.db import connection

from accounts import audit
from accounts.audit import Event
from accounts.google import client as google_client
from accounts.mail import tokens
from accounts.mail.tokens import Purpose
from accounts.models import PendingRegistration, User
from accounts.tests.conftest import deliver_mails, link_in, outcome, post
from tests.fixtures import PASSWORD

pytestmark = pytest.mark.django_db
folded_addresses = import_module("accounts.migrations.0018_folded_addresses")


@pytest.fixture
def upgrade():
    """Carry out what the migration does with rows; it changes no table."""
    return lambda: folded_addresses.void_links(apps, connection.schema_editor())


@pytest.fixture
def registered(make_user):
    """Someone who waits for a link, as the version before stored them."""

    def make(email):
        user = make_user(email, verified=False)
        registration = PendingRegistration.objects.create(user=user, founding=True, password=user.password)
        return tokens.issue(Purpose.VERIFY, user_id=user.pk, email=email, registration=registration)

    return make


def confirm(public, token):
    return post(public, "verify-email", token=tokens.link_token(token))


@pytest.mark.parametrize(
    "email", ["info@strasse.de", "gross@example.com", "jörg@example.com", "a@xn--nxasmq6b.com"]
)
def test_an_unverified_address_is_asked_again(public, registered, upgrade, email):
    token = registered(email)
    upgrade()
    assert outcome(confirm(public, token)) == (400, "token_invalid")
    assert not User.objects.get(email=email).email_verified


def test_it_is_confirmed_by_asking_for_another_link(public, registered, upgrade):
    registered("info@strasse.de")
    upgrade()
    assert post(public, "resend-verification", email="info@strasse.de").status_code == 202
    (mail,) = deliver_mails()
    assert mail.to == ["info@strasse.de"]
    assert post(public, "verify-email", token=link_in(mail)).status_code == 200


def test_who_had_typed_the_other_spelling_registers_with_it_beside(public, registered, upgrade):
    registered("info@strasse.de")
    upgrade()
    assert post(public, "register", email="info@straße.de", password=PASSWORD).status_code == 202
    assert set(User.objects.values_list("email", flat=True)) == {
        "info@strasse.de",
        "info@xn--strae-oqa.de",
    }


def test_other_links_are_as_good_as_before(public, registered, make_user, upgrade):
    token = registered("ada@example.com")
    owner = make_user("info@strasse.de")
    reset = tokens.issue(Purpose.RESET, user_id=owner.pk, email="info@strasse.de")
    upgrade()
    assert confirm(public, token).status_code == 200
    new = {"token": tokens.link_token(reset), "new_password": "another sentence of mine"}
    assert post(public, "password-reset", **new).status_code == 204


def test_verified_ones_are_listed_with_their_proof_and_nothing_is_changed(make_user, capsys):
    by_google, imported, by_mail = (make_user(f"{name}@strasse.de") for name in ("a", "b", "c"))
    make_user("ada@example.com")
    make_user("d@strasse.de", verified=False)
    other = make_user("a@xn--strae-oqa.de")  # the other spelling has an account too: two people, perhaps
    by_google.socialaccount_set.create(provider=google_client.provider_name(), uid="1")
    audit.record_each(Event.USER_IMPORTED, user_ids=[imported.pk], actor="manage.py import_users")
    before = list(User.objects.order_by("pk").values())
    call_command("addresses", "--ambiguous")
    listed = {line.split()[0]: line.split()[1:] for line in capsys.readouterr().out.splitlines()}
    assert listed == {
        str(by_google.pk): ["google", "a@strasse.de"],
        str(imported.pk): ["import", "b@strasse.de"],
        str(by_mail.pk): ["mail", "c@strasse.de"],
    }
    assert str(other.pk) not in listed
    assert list(User.objects.order_by("pk").values()) == before


def test_it_has_to_be_told_what_to_list():
    with pytest.raises(CommandError):
        call_command("addresses")
