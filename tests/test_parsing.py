"""Bodies: what is refused before a view runs, with which code, and for which field."""

import gzip
import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from django.test import override_settings

from config.errors import MalformedJSON
from config.parsing import DEEPEST, decode
from tests.effort import effort
from tests.listeners import ListenerClient

EVERY_FORM = "application/x-www-form-urlencoded"


@pytest.fixture
def client() -> ListenerClient:
    return ListenerClient("internal", urlconf="tests.sample")


def send(
    client: ListenerClient, raw: bytes, path: str = "/echo", content_type: str = "application/json"
) -> Any:
    return client.raw("POST", path, raw, content_type=content_type)


def nested(levels: int) -> bytes:
    return b'{"name":"a","metadata":' + b'{"a":' * levels + b"1" + b"}" * levels + b"}"


MALFORMED = {
    "empty text": b'""x',
    "cut short": b'{"name":"a"',
    "trailing": b'{"name":"a"} {}',
    "trailing comma": b'{"name":"a",}',
    "single quotes": b"{'name':'a'}",
    "comment": b'{"name":"a"}//',
    "NaN": b'{"name":"a","amount":NaN}',
    "infinity": b'{"name":"a","amount":-Infinity}',
    "float that overflows": b'{"name":"a","metadata":{"a":1e999}}',
    "float beyond bigint": b'{"name":"a","metadata":{"a":1e19}}',
    "integer beyond bigint": b'{"name":"a","metadata":{"a":9223372036854775808}}',
    "5,000 digits": b'{"name":"a","amount":' + b"9" * 5000 + b"}",
    "twice": b'{"name":"a","name":"b"}',
    "twice inside": b'{"name":"a","metadata":{"a":{"b":1,"b":1}}}',
    "twice by an escape": b'{"name":"a","n\\u0061me":"b"}',
    "raw NUL": b'{"name":"a\x00"}',
    "not UTF-8": b'{"name":"\xff"}',
    "UTF-16": '{"name":"a"}'.encode("utf-16"),
    "BOM": b'\xef\xbb\xbf{"name":"a"}',
    "overlong UTF-8": b'{"name":"\xc0\x80"}',
    "surrogate in UTF-8": b'{"name":"\xed\xa0\x80"}',
    "one level too deep": nested(DEEPEST),
    "60 KB of brackets": b"[" * 60_000,
    "60 KB of objects": b'{"a":' * 12_000,
}


def test_a_repeated_name_is_found_in_one_walk() -> None:
    """Comparing each with each took minutes: thousands of times as long as any reader of JSON."""
    names = ",".join(f'"{number:x}":1' for number in range(100_000))
    text = f'{{{names},"zz":1,"zz":2}}'.encode()

    def refuse() -> None:
        with pytest.raises(MalformedJSON):
            decode(text)

    assert effort(refuse) < 30 * effort(lambda: json.loads(text))


def test_a_body_of_unknown_names_is_not_answered_with_more(client: ListenerClient) -> None:
    raw = json.dumps({f"{number:x}": 1 for number in range(5_000)}).encode()
    response = send(client, raw)
    assert response.json()["code"] == "unknown_field"
    assert len(response.json()["errors"]) == 20
    assert len(response.content) < len(raw)


@pytest.mark.parametrize("raw", MALFORMED.values(), ids=MALFORMED)
def test_what_is_not_strict_json_is_malformed(client: ListenerClient, raw: bytes) -> None:
    answer = send(client, raw)
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed_json")


def test_the_deepest_allowed_body_is_taken(client: ListenerClient) -> None:
    assert send(client, nested(DEEPEST - 1)).status_code == 200


@pytest.mark.parametrize("path", ["/nobody", "/large"])
def test_malformed_bodies_are_refused_with_or_without_a_declared_shape(
    client: ListenerClient, path: str
) -> None:
    assert send(client, b"{", path).json()["code"] == "malformed_json"


INVALID = [
    ({}, "name", "required"),
    ({"name": None}, "name", "wrong_type"),
    ({"name": 1}, "name", "wrong_type"),
    ({"name": ""}, "name", "too_short"),
    ({"name": "a" * 11}, "name", "too_long"),
    ({"name": "a", "amount": 1.5}, "amount", "wrong_type"),
    ({"name": "a", "amount": 1.0}, "amount", "wrong_type"),
    ({"name": "a", "amount": "1"}, "amount", "wrong_type"),
    ({"name": "a", "amount": True}, "amount", "wrong_type"),
    ({"name": "a", "amount": None}, "amount", "wrong_type"),
    ({"name": "a", "amount": 0}, "amount", "too_small"),
    ({"name": "a", "amount": 10**12 + 1}, "amount", "too_large"),
    ({"name": "a", "kind": "bribe"}, "kind", "invalid_choice"),
    ({"name": "a", "metadata": []}, "metadata", "wrong_type"),
    ({"name": "a", "operations": [{"amount": 1}, {"amount": "x"}]}, "operations[1].amount", "wrong_type"),
    ({"name": "a", "operations": [{}]}, "operations[0].amount", "required"),
    ([], "", "wrong_type"),
    ("text", "", "wrong_type"),
]


@pytest.mark.parametrize(("body", "field", "code"), INVALID)
def test_a_wrong_field_is_named(client: ListenerClient, body: Any, field: str, code: str) -> None:
    answer = send(client, json.dumps(body).encode())
    assert (answer.status_code, answer.json()["code"]) == (400, "validation_error")
    (error,) = answer.json()["errors"]
    assert (error["field"], error["code"]) == (field, code)
    assert error["detail"].endswith(".")


def test_all_wrong_fields_are_named_at_once(client: ListenerClient) -> None:
    errors = send(client, b'{"amount":0,"kind":1}').json()["errors"]
    assert {error["field"] for error in errors} == {"name", "amount", "kind"}


def test_choices_are_listed_and_what_was_sent_is_not_repeated(client: ListenerClient) -> None:
    answer = send(client, b'{"name":"a","kind":"hunter2"}')
    assert "gift, loan" in answer.json()["errors"][0]["detail"]
    assert b"hunter2" not in answer.content


@pytest.mark.parametrize(
    "sent",
    [
        "x, got y",
        "length >= 1",
        "a > b",
        "missing required field",
        "unknown field",
        "x - at `$.name`",
        "\n, got ",
    ],
)
def test_a_choice_is_told_from_the_sentences_of_other_faults(client: ListenerClient, sent: str) -> None:
    (error,) = send(client, json.dumps({"name": "a", "kind": sent}).encode()).json()["errors"]
    assert (error["field"], error["code"]) == ("kind", "invalid_choice")
    assert sent not in error["detail"]


@pytest.mark.parametrize(
    ("raw", "field"),
    [
        (b'{"name":"a","role":"admin"}', "role"),
        (b'{"name":"a","operations":[{"amount":1,"balance":9}]}', "operations[0].balance"),
    ],
)
def test_unknown_fields_are_refused(client: ListenerClient, raw: bytes, field: str) -> None:
    answer = send(client, raw)
    assert (answer.status_code, answer.json()["code"]) == (400, "unknown_field")
    assert [error["field"] for error in answer.json()["errors"]] == [field]


def test_a_view_without_a_shape_takes_nothing(client: ListenerClient) -> None:
    assert send(client, b"{}", "/nobody").status_code == send(client, b"", "/nobody").status_code == 200
    assert send(client, b'{"is_staff":true}', "/nobody").json()["code"] == "unknown_field"


@pytest.mark.parametrize(
    ("raw", "field"),
    [
        (b'{"name":"\\u0000"}', "name"),
        (b'{"name":"\\ud800"}', "name"),
        (b'{"name":"a","metadata":{"a":["\\udc00"]}}', "metadata.a[0]"),
        (b'{"name":"a","metadata":{"\\u0000":1}}', "metadata"),
    ],
)
def test_nul_and_lone_surrogates_are_refused_where_they_hide_in_escapes(
    client: ListenerClient, raw: bytes, field: str
) -> None:
    answer = send(client, raw)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, field)


def test_a_pair_of_surrogates_is_one_character() -> None:
    assert decode(b'"\\ud83d\\ude00"') == "\N{GRINNING FACE}"


def test_an_empty_body_is_an_empty_object(client: ListenerClient) -> None:
    answer = client.raw("POST", "/echo", b"", content_type="")
    assert answer.json()["errors"][0] == {
        "field": "name",
        "code": "required",
        "detail": "This field is required.",
    }


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "text/plain",
        "application/json; charset=latin-1",
        "multipart/form-data; boundary=x",
        "application/xml",
        ";",
    ],
)
def test_only_json_in_utf8_is_read(client: ListenerClient, content_type: str) -> None:
    answer = send(client, b'{"name":"a"}', content_type=content_type)
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize(
    "content_type", ["application/json;charset=UTF-8", 'Application/JSON; charset="utf-8"']
)
def test_the_type_may_say_utf8(client: ListenerClient, content_type: str) -> None:
    assert send(client, b'{"name":"a"}', content_type=content_type).status_code == 200


@pytest.mark.parametrize("coding", ["gzip", "GZIP", "br", "deflate", "identity, gzip", "unknown"])
@pytest.mark.parametrize("content_type", ["application/json", "application/json;charset=utf-8", EVERY_FORM])
def test_a_compressed_body_is_refused_as_such(client: ListenerClient, coding: str, content_type: str) -> None:
    answer = client.raw(
        "POST",
        "/echo",
        gzip.compress(b'{"name":"a"}'),
        content_type=content_type,
        HTTP_CONTENT_ENCODING=coding,
    )
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")
    assert "Content-Encoding" in answer.json()["detail"]
    assert answer["Accept-Encoding"] == "identity"


def test_an_answer_to_another_type_names_no_codings(client: ListenerClient) -> None:
    """A client could not tell otherwise which of the two was refused (RFC 9110, 15.5.16)."""
    assert "Accept-Encoding" not in send(client, b"a", content_type="text/plain").headers


@pytest.mark.parametrize(
    ("raw", "coding"), [(b'{"name":"a"}', "identity"), (b'{"name":"a"}', ""), (b"", "gzip")]
)
def test_a_body_as_it_is_may_say_so(client: ListenerClient, raw: bytes, coding: str) -> None:
    path = "/echo" if raw else "/nobody"
    answer = client.raw("POST", path, raw, HTTP_CONTENT_ENCODING=coding)
    assert answer.status_code == 200


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("listener", "path"), [("public", "/v1/auth/login"), ("internal", "/v1/credits/use")]
)
def test_both_listeners_refuse_a_compressed_body(
    listener: str, path: str, service_key: Callable[..., str]
) -> None:
    caller = ListenerClient(listener).with_key(service_key("shop", "credits:use"))
    answer = caller.raw("POST", path, gzip.compress(b"{}"), HTTP_CONTENT_ENCODING="gzip")
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")


class TestForms:
    def test_a_form_gives_the_same_shape(self, client: ListenerClient) -> None:
        answer = send(client, b"name=a%20b&amount=7", content_type=EVERY_FORM)
        assert (answer.json()["name"], answer.json()["amount"]) == ("a b", 7)

    def test_only_where_the_view_takes_forms(self, client: ListenerClient) -> None:
        assert send(client, b"a=b", "/nobody", EVERY_FORM).status_code == 415

    @pytest.mark.parametrize("raw", [b"name=%ff", b"name=\xff", b"name=a&name=b", b"name=%00", b"a=1&" * 100])
    def test_a_bad_form_is_refused(self, client: ListenerClient, raw: bytes) -> None:
        assert send(client, raw, content_type=EVERY_FORM).status_code == 400

    def test_a_form_knows_no_other_fields_either(self, client: ListenerClient) -> None:
        assert send(client, b"name=a&role=x", content_type=EVERY_FORM).json()["code"] == "unknown_field"


class TestSize:
    LIMIT = 64 * 1024

    def body(self, size: int) -> bytes:
        return b'{"name":"a"}'.ljust(size)

    def test_up_to_the_limit_is_read(self, client: ListenerClient) -> None:
        assert send(client, self.body(self.LIMIT)).status_code == 200

    @pytest.mark.parametrize("path", ["/echo", "/nobody", "/raw"])
    def test_one_byte_more_is_not(self, client: ListenerClient, path: str) -> None:
        answer = send(client, self.body(self.LIMIT + 1), path)
        assert (answer.status_code, answer.json()["code"], answer.json()["limit"]) == (
            413,
            "body_too_large",
            self.LIMIT,
        )

    def test_a_view_may_have_a_limit_of_its_own(self, client: ListenerClient) -> None:
        assert send(client, self.body(1024 * 1024), "/large").status_code == 200
        assert send(client, self.body(1024 * 1024 + 1), "/large").status_code == 413

    def test_a_body_is_not_read_when_its_length_says_enough(self, client: ListenerClient) -> None:
        answer = client.raw("POST", "/echo", b"x", CONTENT_LENGTH="999999999999")
        assert answer.status_code == 413

    def test_a_chunked_body_is_read_and_limited(self, client: ListenerClient) -> None:
        assert self.chunked(client, self.body(1000)).json()["name"] == "a"
        source = io.BytesIO(self.body(10 * self.LIMIT))
        assert self.chunked(client, source).status_code == 413
        assert source.tell() <= 2 * self.LIMIT

    @pytest.mark.parametrize("failure", [OSError("reset"), ValueError("bad chunk"), RuntimeError("gone")])
    def test_broken_framing_is_the_callers_fault(self, client: ListenerClient, failure: Exception) -> None:
        class Broken(io.BytesIO):
            def read(self, size: int | None = -1, /) -> bytes:
                raise failure

        answer = self.chunked(client, Broken())
        assert (answer.status_code, answer.json()["code"]) == (400, "body_unreadable")

    def test_half_a_body_is_no_body(self, client: ListenerClient) -> None:
        """The caller hung up: what arrived may be whole JSON and is not what was sent."""
        answer = client.request(
            REQUEST_METHOD="POST",
            PATH_INFO="/echo",
            CONTENT_TYPE="application/json",
            CONTENT_LENGTH="20",
            **{"wsgi.input": io.BytesIO(b'{"name":"a"}')},
        )
        assert (answer.status_code, answer.json()["code"]) == (400, "body_unreadable")

    def chunked(self, client: ListenerClient, source: bytes | io.BytesIO) -> Any:
        stream = io.BytesIO(source) if isinstance(source, bytes) else source
        return client.request(
            REQUEST_METHOD="POST",
            PATH_INFO="/echo",
            CONTENT_TYPE="application/json",
            HTTP_TRANSFER_ENCODING="chunked",
            **{"wsgi.input": stream},
        )

    @override_settings(BODY_LIMIT=10)
    def test_the_limit_is_a_setting(self, client: ListenerClient) -> None:
        assert send(client, self.body(12)).status_code == 413


class TestQuery:
    def test_numbers_are_read_and_unknown_names_ignored(self, client: ListenerClient) -> None:
        assert client.get("/echo?size=7&_connector=OR&ordering=password").json() == {"size": 7}

    @pytest.mark.parametrize("text", ["x", "", "1.5", "%00", "9" * 5000, "\u0661"])
    def test_a_bad_one_is_named(self, client: ListenerClient, text: str) -> None:
        answer = client.get(f"/echo?size={text}")
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "size")


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("rol", "rol"),
        ("svc_live_" + "A1b2" * 20, "svc_live_A1b2A1b2A1b2A1b2A1b2A1b"),
        ("<script>", "?script?"),
        ("a\nb c\u202ed", "a?b?c?d"),
        ("x` - at `$.password", "x??-?at???.password"),
    ],
)
def test_a_name_that_nobody_knows_is_repeated_within_bounds(
    client: ListenerClient, name: str, shown: str
) -> None:
    """A secret may stand in the place of a name."""
    answer = send(client, json.dumps({name: 1}).encode(), "/nobody")
    assert [error["field"] for error in answer.json()["errors"]] == [shown]
    assert name == shown or name.encode() not in answer.content
