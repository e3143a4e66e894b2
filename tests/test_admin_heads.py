"""Pages of the admin say whose they are, begin with a link past the menu, and hand over secrets that are shown once."""

import re
from typing import Any

import pytest

from accounts.models import User
from accounts.upkeep import staff_roles
from tests.fixtures import give_app, staff_session
from tests.listeners import ListenerClient

pytestmark = pytest.mark.django_db
ADDRESS = "ada@example.com"


@pytest.fixture
def boss(db: None) -> ListenerClient:
    staff_roles.sync()
    return staff_session(User.objects.create_superuser("boss@example.com"))


def post(client: ListenerClient, path: str, **fields: Any) -> str:
    client.get(path)
    fields["csrfmiddlewaretoken"] = client.cookies["csrftoken"].value
    answer: Any = client.post(path, fields, format="multipart", follow=True)
    assert answer.status_code == 200
    return str(answer.content.decode())


@pytest.mark.parametrize(
    "path",
    [
        "accounts/user/{}/change/",
        "accounts/user/{}/suspend",
        "credits/usercredit/{}/change/",
        "credits/usercredit/{}/adjust/",
        "billing/billingaccount/{}/change/",
    ],
)
def test_a_page_about_a_person_is_headed_with_them(boss, make_user, path) -> None:
    page = boss.get(f"/admin/{path.format(make_user(ADDRESS).pk)}").content.decode()
    title, head = (
        re.search(r"<title>(.*?)</title>", page, re.DOTALL),
        re.search("<h1.*?</h1>", page, re.DOTALL),
    )
    assert title is not None
    assert head is not None
    assert ADDRESS in title[1]
    assert f">{ADDRESS}<" in head[0]


def test_a_page_begins_with_a_link_past_the_menu_and_has_an_icon(boss) -> None:
    page = boss.get("/admin/").content.decode()
    assert re.search(r'<body[^>]*>.*?<a[^>]*href="#content"', page, re.DOTALL)
    assert page.index('href="#content"') < page.index("<nav" if "<nav" in page else 'id="main"')
    assert 'id="content"' in page
    assert re.search(r'<link rel="icon" href="[^"]*favicon[^"]*\.svg"', page)


def test_a_promised_removal_of_factors_says_when(boss, make_user) -> None:
    ada = make_user(ADDRESS)
    give_app(ada)
    page = post(boss, f"/admin/accounts/user/{ada.pk}/remove-factors", reason="lost the phone")
    assert "All second factors will be removed in 72 hours unless the owner objects." in page
    assert "Takes effect on the next request" not in page


@pytest.mark.parametrize(
    ("scopes", "call"),
    [(["credits:use", "credits:read"], "/v1/credits/transactions?limit=1"), (["credits:use"], "/livez")],
)
def test_a_new_key_comes_with_a_call_to_try_it(boss, scopes, call) -> None:
    page = post(boss, "/admin/accounts/servicekey/new/", service="shop", scopes=scopes, reason="a shop")
    key = re.search(r'id="key"[^>]*>([^<]+)<', page)
    assert key is not None
    assert f"curl -H &#x27;X-API-Key: {key[1]}&#x27;" in page or f"curl -H 'X-API-Key: {key[1]}'" in page
    assert f'"$INTERNAL_URL{call}"' in page
    assert 'data-do="copy" data-of="key"' in page
    assert "accounts/secrets.js" in page
