"""Ids in paths, as clients spell them."""

# ruff: noqa: RUF001 -- letters that look alike are what this is about

from uuid import uuid4

import pytest

from accounts.tests.conftest import outcome
from tests.listeners import ListenerClient

SPELLINGS = [str.upper, str.lower, str.title]
OTHERS = [
    "{{{0}}}", "urn:uuid:{0}", "{0}-", " {0}", "{0}%0a", "{0}%00", "%7b{0}%7d", "{0}/", "{0}\u0660", "{0}0", "0{0}",
]  # fmt: skip


@pytest.mark.django_db
class TestOfAUser:
    @pytest.mark.parametrize("spell", SPELLINGS)
    def test_any_case_is_the_same_user(self, public, verified_user, spell):
        answer = public.get(f"/v1/auth/users/{spell(str(verified_user.pk))}")
        assert answer.json()["id"] == str(verified_user.pk)

    @pytest.mark.parametrize("frame", OTHERS)
    def test_other_spellings_are_an_unknown_path(self, public, verified_user, frame):
        answer = public.exactly(f"/v1/auth/users/{frame.format(verified_user.pk)}")
        assert outcome(answer) == (404, "not_found")

    @pytest.mark.parametrize("text", ["1", "0" * 32, "-".join("0" * 5), "٠" * 36, "g" * 36])
    def test_other_ids_are_an_unknown_path(self, public, text):
        assert outcome(public.get(f"/v1/auth/users/{text}")) == (404, "not_found")


@pytest.mark.django_db
@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "bEaReR"])
def test_the_scheme_of_a_token_is_read_in_any_case(public, verified_user, access_token, scheme):
    header = f"{scheme} {access_token(verified_user)}"
    client = ListenerClient("public", HTTP_AUTHORIZATION=header)
    assert client.get("/v1/auth/me").status_code == 200


@pytest.mark.parametrize(
    "header", ["bearertoken", "bearer", "bearer ", "basic abc", "token abc", "bearer a b"]
)
@pytest.mark.django_db
def test_other_schemes_open_nothing(header):
    assert ListenerClient("public", HTTP_AUTHORIZATION=header).get("/v1/auth/me").status_code == 401


@pytest.mark.django_db
@pytest.mark.parametrize("frame", ["/v1/credits/transactions/{}", "/v1/credits/holds/{}", "/v1/users/{}"])
def test_every_id_is_read_by_the_one_converter(internal, service_key, frame):
    client = internal.with_key(service_key())
    answers = [client.get(frame.format(spell(str(uuid4())))) for spell in SPELLINGS]
    assert {outcome(answer)[0] for answer in answers} == {404}
    assert "not_found" not in {outcome(answer)[1] for answer in answers}
