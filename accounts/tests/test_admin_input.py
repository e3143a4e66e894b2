"""Staff and their browsers send this to the admin: NUL, forms of another tab, addresses in Unicode."""

import re
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.contrib import admin

from accounts.admin import user_search
from accounts.models import AddressChange, User
from tests.authenticators import code_of
from tests.fixtures import PASSWORD, give_app, staff_session
from tests.listeners import ListenerClient

pytestmark = pytest.mark.django_db
LOGIN = "/admin/login/"
ALWAYS = [
    "q",
    "p",
    "o",
    "e",
    "all",
    "_facets",
    "user",
    "user__exact",
    "user__id__exact",
    "is_popup",
    "_to_field",
]


@pytest.fixture
def boss(make_user: Any) -> ListenerClient:
    return staff_session(make_user("boss@example.com", is_staff=True, is_superuser=True))


def test_no_value_of_a_parameter_of_a_list_is_a_500(boss: ListenerClient) -> None:
    """The values that no column has; tests/test_junk_forms.py makes up others."""
    asked = []
    for model in admin.site._registry:
        path = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
        shown = set(re.findall(r'href="\?([^"&=]+)', boss.get(path).content.decode()))
        queries = [f"{name}=a%00b" for name in {*shown, *ALWAYS}] + [f"{name}={'9' * 30}" for name in shown]
        for query in queries:
            answer = boss.request(REQUEST_METHOD="GET", PATH_INFO=path, QUERY_STRING=query)
            asked.append(answer.status_code)
            assert answer.status_code in ({400} if "%00" in query else {200, 302}), (path, query)
    assert len(asked) > 300


def test_nul_in_the_name_of_a_parameter_too(boss: ListenerClient) -> None:
    answer = boss.request(REQUEST_METHOD="GET", PATH_INFO="/admin/accounts/user/", QUERY_STRING="a%00b=1")
    assert answer.status_code == 400


class TestSigningIn:
    @pytest.fixture
    def secret(self, make_user: Any) -> str:
        return give_app(make_user("boss@example.com", is_staff=True, is_superuser=True))

    def sign_in(self, client: ListenerClient, secret: str, page: str = LOGIN, **more: str) -> Any:
        client.get(page)
        send(client, page, username="boss@example.com", password=PASSWORD, **more)
        return send(client, "/admin/factor/", code=code_of(secret))

    def test_without_a_page_that_was_asked_for_ends_at_the_first(self, admin_site, secret):
        assert self.sign_in(admin_site, secret)["Location"] == "/admin/"

    @pytest.mark.parametrize("elsewhere", ["https://evil.example/", "//evil.example", "/\\evil.example", ""])
    def test_never_leads_elsewhere(self, admin_site, secret, elsewhere):
        assert self.sign_in(admin_site, secret, next=elsewhere)["Location"] == "/admin/"

    def test_ends_where_it_was_asked_for(self, admin_site, secret):
        asked = f"{LOGIN}?next=/admin/accounts/user/"
        assert self.sign_in(admin_site, secret, asked)["Location"] == "/admin/accounts/user/"

    def test_a_second_tab_comes_back_to_the_form(self, admin_site, secret):
        admin_site.get(LOGIN)
        old = admin_site.cookies["csrftoken"].value
        self.sign_in(admin_site, secret)
        for page in (LOGIN, "/admin/factor/"):
            fields = {"username": "boss@example.com", "password": PASSWORD, "next": "/admin/accounts/user/"}
            answer = admin_site.post(page, {**fields, "csrfmiddlewaretoken": old}, format="multipart")
            assert (answer.status_code, urlsplit(answer["Location"]).path) == (302, page)
        assert admin_site.get(f"{LOGIN}?next=/admin/accounts/user/").status_code == 302  # signed in already

    def test_any_other_stale_form_is_refused_with_a_page(self, boss, verified_user):
        answer = boss.post(
            f"/admin/accounts/user/{verified_user.pk}/suspend", {"reason": "x"}, format="multipart"
        )
        assert answer.status_code == 403
        assert "Reload this page" in answer.content.decode()
        assert User.objects.get(pk=verified_user.pk).status == "active"


def send(client: ListenerClient, path: str, **fields: str) -> Any:
    token = client.cookies["csrftoken"].value
    return client.post(path, {**fields, "csrfmiddlewaretoken": token}, format="multipart")


@pytest.mark.parametrize(
    "term",
    [
        "Ada <ada.o'neil@example.com>",
        '"Neil, Ada" <ada.o\'neil@example.com>',
        "<ada.o'neil@example.com>",
        "mailto:ada.o'neil@example.com?subject=x",
        "ada.o'neil@example.com,",
        "ada.o'neil@example.com.",
        "(ada.o'neil@example.com)",
    ],
)
def test_an_address_is_found_as_mail_programs_copy_it(make_user, term):
    ada = make_user("ada.o'neil@example.com")
    make_user("neil@example.com")
    assert user_search.ids(term) == [ada.pk]


class TestAddressesInUnicode:
    @pytest.mark.parametrize(
        "term",
        [
            "münchen",
            "MÜNCHEN.de",
            "info@münchen.de",
            "xn--mnchen",
            "info@xn--mnchen-3ya.de",
            "ünc",
            "mün",
            "fo@mün",
            "ünchen.d",
        ],
    )
    def test_are_found_in_both_spellings(self, make_user, term):
        ada = make_user("info@xn--mnchen-3ya.de")
        make_user("info@munchen.de")
        assert user_search.ids(term) == [ada.pk]

    def test_names_are_found_beside_them(self, make_user):
        ada, bob = (
            make_user("info@xn--mnchen-3ya.de"),
            make_user("bob@example.com", display_name="Bob münchen"),
        )
        assert set(user_search.ids("münchen")) == {ada.pk, bob.pk}

    def test_are_shown_in_both(self, boss, make_user):
        ada = make_user("info@xn--mnchen-3ya.de")
        AddressChange.objects.create(user=ada, old_email="a@example.com", new_email="b@xn--mnchen-3ya.de")
        both = "info@münchen.de (xn--mnchen-3ya.de)"
        for page in (
            "/admin/accounts/user/",
            f"/admin/accounts/user/{ada.pk}/change/",
            "/admin/accounts/addresschange/",
        ):
            assert both in boss.get(page).content.decode(), page
        assert (
            "b@münchen.de (xn--mnchen-3ya.de)" in boss.get("/admin/accounts/addresschange/").content.decode()
        )
