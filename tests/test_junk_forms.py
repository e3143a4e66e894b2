"""No form and no page gives a 5xx or a trace: the pages behind mailed links, and every page of the admin.

What is sent is made by Hypothesis of fields that the pages have and of fields that they do not: junk, NUL, huge, twice,
in a wrong charset, as multipart that is none. `FUZZ_FORMS` says how many of each kind.
"""

import os
import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote, urlencode

import msgspec
import pytest
from django.contrib import admin
from django.urls import URLPattern, URLResolver
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from accounts.models import ServiceEvent, Session, User
from accounts.upkeep import staff_roles
from credits import ledger
from credits.ledger.calls import Call
from credits.models import FeaturePrice
from tests.fixtures import give_app, issue_access_token, staff_session
from tests.listeners import ListenerClient
from tests.surface import surface

pytestmark = pytest.mark.django_db
EXAMPLES = int(os.environ.get("FUZZ_FORMS", "25"))
TRACES = re.compile(r"Traceback|psycopg|SELECT |/site-packages/|django\.(?:db|core|utils|http)")

TEXTS = [
    "", " ", "0", "-1", "1.5", "on", "true", "\0", "a\0b", "\ufeff", "\u202e", "\U0010ffff", "a\nb",
    "a\r\nSet-Cookie: x", "x" * 60_000, "9" * 5_000, "9223372036854775808", "2026-02-30", "0001-01-01",
    "9999-12-31T23:59:59.999999-23:59", "00000000-0000-0000-0000-000000000000", "' OR 1=1 --", "%00",
    "../../etc/passwd", "{{7*7}}", "{% debug %}", "[]", "{", "null", "a@b@c", "x@" + "a." * 200 + "com",
    "<script>alert(1)</script>", "\\", "%", "*", "(", "nan", "inf", "1e999",
]  # fmt: skip
STRANGE = [
    "id", "pk", "is_staff", "is_superuser", "password", "_save", "_popup", "_to_field", "action", "select_across",
    "index", "_selected_action", "post", "next", "q", "o", "p", "e", "all", "_changelist_filters", "form-0-id",
    "form-TOTAL_FORMS", "user__password__startswith", "_connector", "", "\0", "a" * 5_000, "[]", "__proto__",
    "csrfmiddlewaretoken",
]  # fmt: skip
FORM = "application/x-www-form-urlencoded"
TYPES = [
    FORM, FORM, FORM, FORM, f"{FORM}; charset=utf-16", f"{FORM}; charset=latin-1", f"{FORM}; charset=none",
    "multipart/form-data; boundary=x", "multipart/form-data", "multipart/form-data; boundary=", "text/plain", "",
    "\x00/;;=", "application/json", "multipart/form-data; boundary=" + "b" * 300,
    "multipart/form-data; boundary=\xff",
]  # fmt: skip

texts = st.one_of(st.sampled_from(TEXTS), st.text(max_size=20).filter(str.isprintable))


@st.composite
def bodies(draw: Any, names: list[str]) -> bytes:
    """A form of some of the names, each with junk; now and then it is not a form."""
    known = st.sampled_from(names) if names else st.sampled_from(STRANGE)
    fields = draw(st.lists(st.tuples(st.one_of(known, st.sampled_from(STRANGE)), texts), max_size=6))
    encoded = urlencode(fields, errors="replace").encode()
    multipart = "".join(
        f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{text}\r\n' for name, text in fields
    )
    whole = multipart.encode() + b"--x--\r\n"
    return bytes(
        draw(
            st.one_of(
                st.just(encoded),
                st.just(encoded + b"&" + encoded),
                st.just(encoded + b"&a=%ff%fe&%ff=%00"),
                st.just(whole),
                st.just(whole[: len(whole) // 2]),
                st.just(
                    b'--x\r\nContent-Disposition: form-data; name="f"; filename="/\0"\r\n\r\n\xff\r\n--x--\r\n'
                ),
                st.just(b"&".join(b"f%d=" % number for number in range(2_000))),
                st.binary(max_size=50),
            )
        )
    )


def fuzz(test: Callable[..., None], **strategies: Any) -> None:
    """Run it with so many made-up arguments, the same at every run."""
    limits = settings(
        max_examples=EXAMPLES,
        phases=[Phase.generate],
        database=None,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    limits(given(**strategies)(test))()


def require_quiet(answer: Any, *what: object) -> None:
    shown = [str(each)[:300] for each in what]
    assert answer.status_code < 500, shown
    assert not TRACES.search(answer.content.decode(errors="replace")), shown


@pytest.fixture(autouse=True)
def _no_limits(settings: Any) -> None:
    settings.RATE_LIMITS_FACTOR = 100_000


# ---------------------------------------------------------------- pages of mailed links


FORMS = {
    route.path: [field.encode_name for field in msgspec.structs.fields(route.view().shape("POST"))]
    for route in surface()
    if route.listener == "public" and route.method == "POST" and route.view and route.view.takes_forms
}


def test_the_forms_are_those_of_the_mails() -> None:
    assert {"/v1/auth/verify-email", "/v1/auth/password-reset", "/v1/auth/undo-email-change"} <= set(FORMS)


def test_pages_of_mailed_links(public: ListenerClient) -> None:
    def send(form: tuple[str, bytes], content_type: str, language: str) -> None:
        path, body = form
        answer = public.raw(
            "POST", path, body, content_type=content_type, headers={"Accept-Language": language}
        )
        require_quiet(answer, path, content_type, body)
        query = body.decode("latin-1")[:4_000]
        shown = public.request(
            REQUEST_METHOD="GET", PATH_INFO=path, QUERY_STRING=query, HTTP_ACCEPT_LANGUAGE=language
        )
        require_quiet(shown, path, query)

    fuzz(
        send,
        form=st.sampled_from(sorted(FORMS)).flatmap(
            lambda path: st.tuples(st.just(path), bodies(FORMS[path]))
        ),
        content_type=st.sampled_from(TYPES),
        language=st.sampled_from(["", "de", "x" * 300, "de;q=9", "\xff", "*;q=0"]),
    )


# ---------------------------------------------------------------- the admin


@pytest.fixture
def ada(make_user: Any) -> User:
    """Someone with a row of most kinds."""
    staff_roles.sync()
    user: User = make_user("ada@example.com", display_name="<script>alert(1)</script>")
    issue_access_token(user)
    give_app(user)
    FeaturePrice.objects.create(feature="a", credits=1)
    ServiceEvent.objects.create(type="user.registered", user_id=user.pk, position=1)
    ledger.add(user_id=user.pk, amount=100, call=Call(service="shop", key="k"))
    return user


def walk(patterns: list[Any], prefix: str) -> Iterator[str]:
    for pattern in patterns:
        path = prefix + re.sub(r"[\^$]|\\Z", "", str(pattern.pattern))
        if isinstance(pattern, URLResolver):
            yield from walk(list(pattern.url_patterns), path)
        elif isinstance(pattern, URLPattern):
            yield path


def admin_paths(user: User) -> list[str]:
    """Every page, with the ids of things that there are, and those of rows with ids that cannot be."""
    found: list[str] = []
    session = str(Session.objects.filter(user=user)[0].pk)
    for path in walk(admin.site.urls[0], "/admin/"):
        if "logout" in path or "jsi18n" in path or "final_catch_all" in path or "(?P" in path:
            continue
        model = path.split("/")[3] if path.count("/") > 3 else ""
        real = {"featureprice": "a", "session": session}.get(model, str(user.pk))
        named = path.replace("<id:target>", session).replace("<slug:verb>", "replay")
        strange = [] if "<id" in path else ["_00", "a\0b"] if path.endswith("/change/") else ["x"]
        values = [real, *strange] if "<" in named else [""]
        found.extend(re.sub(r"<[^>]+>", quote(value), named) for value in values)
    return found


def lists() -> list[str]:
    return [f"/admin/{model._meta.app_label}/{model._meta.model_name}/" for model in admin.site._registry]


@pytest.fixture
def boss(make_user: Any) -> ListenerClient:
    return staff_session(make_user("boss@example.com", is_staff=True, is_superuser=True))


def names_on(client: ListenerClient, path: str) -> list[str]:
    """The fields that the page's own forms have."""
    answer = client.exactly(path)
    require_quiet(answer, path)
    return sorted(set(re.findall(r'name="([^"]{1,80})"', answer.content.decode())) - {"csrfmiddlewaretoken"})


def test_lists_of_the_admin(boss: ListenerClient, ada: User) -> None:
    """Filters and search as a link of someone else would have them."""
    parameters = {
        path: [
            name.partition("=")[0]
            for name in re.findall(r'href="\?([^"&]+)', boss.get(path).content.decode())
        ]
        for path in lists()
    }
    found = {name for names in parameters.values() for name in names} | {
        "q",
        "o",
        "p",
        "e",
        "all",
        "user__exact",
    }

    def look(path: str, query: list[tuple[str, str]]) -> None:
        text = urlencode([(name, value[:2_000]) for name, value in query], errors="replace")
        require_quiet(boss.request(REQUEST_METHOD="GET", PATH_INFO=path, QUERY_STRING=text), path, text)

    fuzz(
        look,
        path=st.sampled_from(lists()),
        query=st.lists(st.tuples(st.sampled_from(sorted(found)), texts), max_size=2),
    )
    assert boss.get("/admin/").status_code == 200


def test_forms_of_the_admin(boss: ListenerClient, ada: User) -> None:
    pages = {path: names_on(boss, path) for path in admin_paths(ada)}
    assert len(pages) > 100
    token = boss.cookies["csrftoken"].value

    def send(form: tuple[str, bytes], content_type: str) -> None:
        path, body = form
        answer = boss.raw("POST", path, body, content_type=content_type, headers={"X-CSRFToken": token})
        require_quiet(answer, path, content_type, body)

    fuzz(
        send,
        form=st.sampled_from(sorted(pages)).flatmap(
            lambda path: st.tuples(st.just(path), bodies(pages[path]))
        ),
        content_type=st.sampled_from(TYPES),
    )
    assert boss.get("/admin/").status_code == 200, (
        "the fuzz ended its own session: it reached nothing after that"
    )


@pytest.mark.parametrize(
    "path", ["/admin/login/", "/admin/factor/", "/admin/enrol/", "/admin/accounts/user/"]
)
def test_pages_before_anyone_is_signed_in(admin_site: ListenerClient, path: str) -> None:
    names = ["username", "password", "next", "code", "credential", "token"]
    admin_site.get("/admin/login/")
    token = admin_site.cookies["csrftoken"].value

    def send(body: bytes, content_type: str, protected: bool) -> None:
        headers = {"X-CSRFToken": token} if protected else {}
        answer = admin_site.raw("POST", path, body, content_type=content_type, headers=headers)
        require_quiet(answer, path, content_type, body)

    fuzz(send, body=bodies(names), content_type=st.sampled_from(TYPES), protected=st.booleans())
