"""RateLimit-Policy and RateLimit: what each limited call tells of its limits, in Redis and in PostgreSQL alike."""

import re

import pytest
from django.conf import settings
from django.urls import URLResolver, get_resolver

from accounts.kit import throttles
from accounts.tests.conftest import OTHER_PASSWORD, PASSWORD, post

EMAIL = "ada@example.com"
# Rules of which callers learn nothing but a 429: of someone else's tries, and of mails that are silently not sent.
UNSAID = {
    "login_account",
    "known_source",
    "known_source_in_a_row",
    "device_login",
    "proofs",
    "proofs_named",
    "proofs_held",
    "factor_pauses",
    "session_factor_pauses",
    "pause_ended_by_reset",
    "admin_login",
    "admin_login_failures",
    "admin_login_account",
    "mails_by_strangers",
    "mails_but_resets",
    "resets_at_home",
    "mail_requests_in_all",
    "assertion",
    "asserted",
}


def views(patterns):
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            yield from views(pattern.url_patterns)
        elif hasattr(pattern.callback, "cls"):
            yield pattern.callback.cls


def standing(answer):
    """{rule: (left, reset)} of the header."""
    text = answer.headers["RateLimit"]
    return {
        rule: (int(left), int(reset)) for rule, left, reset in re.findall(r'"(\w+)";r=(\d+);t=(\d+)', text)
    }


def login(client, password=PASSWORD):
    return post(client, "login", email=EMAIL, password=password)


def test_every_rule_is_told_by_the_endpoint_that_counts_it():
    told = {
        rule
        for view in views(get_resolver("config.urls.public").url_patterns)
        for rules in getattr(view, "limits", {}).values()
        for rule in rules
    }
    assert told == set(settings.RATE_LIMITS) - UNSAID


@pytest.mark.django_db
class TestHeaders:
    @pytest.fixture(params=["redis", "postgresql"], autouse=True)
    def store(self, request):
        if request.param == "postgresql":
            throttles.rest.begin()
            throttles.rest._until += 3600
        yield
        throttles.rest.end()

    @pytest.fixture(autouse=True)
    def _ada(self, make_user):
        make_user(EMAIL, password=PASSWORD)

    def test_the_policy_is_that_of_the_settings(self, public):
        assert login(public).headers["RateLimit-Policy"] == '"login";q=30;w=60, "login_failures";q=5;w=300'

    def test_each_wrong_password_leaves_one_less(self, public):
        for left in (4, 3, 2, 1, 0):
            told = standing(login(public, OTHER_PASSWORD))
            assert told["login_failures"][0] == left
            assert 290 < told["login_failures"][1] <= 300
        refused = login(public, OTHER_PASSWORD)
        assert refused.status_code == 429
        assert standing(refused) == {"login_failures": (0, int(refused.headers["Retry-After"]))}

    def test_a_right_one_is_given_back(self, public):
        login(public, OTHER_PASSWORD)
        assert standing(login(public))["login_failures"][0] == 4
        assert standing(login(public))["login"][0] == 27

    def test_one_hit_after_another_until_the_limit(self, public):
        answers = [post(public, "password-reset-request", email=EMAIL) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [202, 202, 202, 429]
        assert [standing(answer)["password_reset_request"][0] for answer in answers] == [2, 1, 0, 0]

    def test_a_request_that_is_not_counted_tells_the_policy_alone(self, public):
        answer = public.post("/v1/auth/login", {"email": EMAIL})
        assert answer.status_code == 400
        assert "RateLimit-Policy" in answer.headers
        assert "RateLimit" not in answer.headers

    def test_no_request_sees_the_standing_of_the_one_before(self, public):
        login(public, OTHER_PASSWORD)
        assert "RateLimit" not in public.post("/v1/auth/login", {"email": EMAIL}).headers
        assert "RateLimit-Policy" not in public.get("/v1/auth/me/status").headers

    def test_the_factor_raises_what_is_told(self, public, settings):
        settings.RATE_LIMITS_FACTOR = 10
        answer = login(public, OTHER_PASSWORD)
        assert '"login_failures";q=50;w=300' in answer.headers["RateLimit-Policy"]
        assert standing(answer)["login_failures"][0] == 49

    def test_a_browser_may_read_them(self, settings):
        assert {"RateLimit", "RateLimit-Policy"} <= set(settings.CORS_EXPOSE_HEADERS)


def test_the_document_names_them(public):
    paths = public.get("/v1/schema").json()["paths"]
    for status in ("202", "429", "400"):
        assert {"RateLimit", "RateLimit-Policy"} <= set(
            paths["/v1/auth/register"]["post"]["responses"][status]["headers"]
        )
    assert "headers" not in paths["/v1/auth/me/status"]["get"]["responses"]["200"]
