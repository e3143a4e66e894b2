"""Below a field of the admin stands what its name does not say, or its name says everything."""

import re
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.admin.utils import flatten_fieldsets, help_text_for_field
from django.test import RequestFactory
from unfold.admin import ModelAdmin

from accounts.admin.lists import PlotsAdmin
from accounts.admin.site import load_pages
from accounts.models import User
from tests.fixtures import staff_session

pytestmark = pytest.mark.django_db
# Fields whose names say everything, wherever they stand.
PLAIN = {
    "amount", "applied_at", "assigned_at", "at", "cancelled_at", "changed_at", "count", "counted_at", "created_at",
    "customer", "day", "delivered_at", "description", "detail", "display_name", "end_reason", "ended_at", "event",
    "event_id", "kind", "new_email", "old_email", "order_id", "paid_at", "payment", "person", "plan", "quantity",
    "paid", "reason", "received_at", "revoked_at", "sent_at", "service", "subscription", "type", "used_at", "user",
    "user_id", "what",
}  # fmt: skip
load_pages()
# The others have a page of their own, with words of its own.
GENERIC = [
    one for one in admin.site._registry.values()
    if type(one).change_view is ModelAdmin.change_view and not isinstance(one, PlotsAdmin)
]  # fmt: skip


@pytest.fixture
def boss(db: None) -> User:
    return User.objects.create_superuser("boss@example.com")


def shown(page: Any, boss: User) -> dict[str, str]:
    """Return the fields of a row's page, with the text below each."""
    request = RequestFactory().get("/")
    request.user = boss
    names = flatten_fieldsets(page.get_fieldsets(request, page.model()))
    form = page.get_form(request, page.model(), change=True)
    texts = form._meta.help_texts or {}
    return {name: str(texts.get(name) or _otherwise(form, page, name)) for name in names}


def _otherwise(form: Any, page: Any, name: str) -> str:
    if name in form.base_fields:
        return str(form.base_fields[name].help_text)
    return help_text_for_field(name, page.model)


@pytest.mark.parametrize("page", GENERIC, ids=lambda page: page.model._meta.model_name)
def test_no_field_is_left_to_be_guessed(page: Any, boss: User) -> None:
    fields = shown(page, boss)
    assert [name for name, text in fields.items() if not text and name not in PLAIN] == []
    told = getattr(page, "help_texts", None) or page.form._meta.help_texts
    assert set(told) <= set(fields), "a text of a field that is not shown"


def test_there_are_pages_of_rows() -> None:
    assert len(GENERIC) > 20


def test_abbreviations_are_written_as_such(boss: User) -> None:
    client = staff_session(boss)
    answer: Any = client.get(f"/admin/accounts/session/{boss.sessions.get().pk}/change/")
    assert re.search(r"<label[^>]*>IP address</label>", answer.content.decode())


@pytest.mark.parametrize("path", ["accounts/servicekey/new/", "accounts/eventsubscription/new/"])
def test_a_form_for_something_new_says_what_it_makes(boss: User, path: str) -> None:
    page: str = staff_session(boss).get(f"/admin/{path}").content.decode()
    assert re.search(r"<h2[^>]*>New (service key|subscription)</h2>", page)


def test_the_text_stands_on_the_page(boss: User) -> None:
    client = staff_session(boss)
    session = boss.sessions.get()
    answer: Any = client.get(f"/admin/accounts/session/{session.pk}/change/")
    assert "When the session ends, however often it is used." in answer.content.decode()


@pytest.mark.parametrize(
    "path", ["billing/plan/add/", "credits/featureprice/add/", "accounts/servicekey/new/"]
)
def test_what_a_field_is_described_by_is_on_the_page(boss: User, path: str) -> None:
    answer: Any = staff_session(boss).get(f"/admin/{path}")
    page = answer.content.decode()
    described = {name for names in re.findall(r'aria-describedby="([^"]*)"', page) for name in names.split()}
    assert described
    assert described <= set(re.findall(r' id="([^"]*)"', page))
