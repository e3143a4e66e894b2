"""The documents of both listeners: valid OpenAPI 3.1, complete, and true to their own examples."""

import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import pytest
from drf_spectacular.validation import validate_schema
from jsonschema import Draft202012Validator, FormatChecker  # type: ignore[import-untyped]

from config import openapi
from tests.listeners import ListenerClient
from tests.surface import routes_of

LISTENERS = ["public", "internal"]


@cache
def document(listener: str) -> dict[str, Any]:
    return dict(ListenerClient(listener).get("/v1/schema").json())


def operations(listener: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in document(listener)["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def validator(listener: str, schema: dict[str, Any]) -> Draft202012Validator:
    """References point into the document, so it stands around the schema."""
    around = {**schema, "components": document(listener)["components"]}
    return Draft202012Validator(around, format_checker=FormatChecker())


def contents(operation: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for part in (operation.get("requestBody", {}), *operation["responses"].values()):
        yield from part.get("content", {}).values()


@pytest.mark.parametrize("listener", LISTENERS)
class TestDocument:
    def test_it_is_valid_openapi(self, listener: str) -> None:
        found = document(listener)
        assert found["openapi"].startswith("3.1")
        validate_schema(found)
        for schema in found["components"]["schemas"].values():
            Draft202012Validator.check_schema(schema)

    def test_it_lists_exactly_the_endpoints_of_the_listener(self, listener: str) -> None:
        listed = {name for name, _ in operations(listener)}
        routed = {
            f"{route.method} {route.path}"
            for route in routes_of(listener)
            if route.note not in {"docs", "metrics"}
        }
        assert listed == routed

    def test_every_operation_is_explained(self, listener: str) -> None:
        for name, operation in operations(listener):
            assert operation["summary"], name
            assert len(operation["description"]) > 40, name

    def test_every_body_and_answer_has_an_example_that_fits(self, listener: str) -> None:
        for name, operation in operations(listener):
            for content in contents(operation):
                examples = [content["example"]] if "example" in content else []
                examples += [entry["value"] for entry in content.get("examples", {}).values()]
                assert examples, name
                for example in examples:
                    errors = validator(listener, content["schema"]).iter_errors(example)
                    assert not [error.message for error in errors], name

    def test_a_refusal_names_the_header_that_its_status_demands(self, listener: str) -> None:
        wanted = {"401": "WWW-Authenticate", "429": "Retry-After", "503": "Retry-After"}
        for name, operation in operations(listener):
            for status in wanted.keys() & operation["responses"].keys():
                assert wanted[status] in operation["responses"][status]["headers"], (name, status)

    def test_names_are_unique(self, listener: str) -> None:
        identifiers = [operation["operationId"] for _, operation in operations(listener)]
        assert len(identifiers) == len(set(identifiers))

    def test_security_is_that_of_the_tier(self, listener: str) -> None:
        schemes = {
            "public": [],
            "authenticated": ["BearerJWT"],
            "verified": ["BearerJWT"],
            "internal": ["ApiKey"],
        }
        tiers = {f"{route.method} {route.path}": route for route in routes_of(listener)}
        for name, operation in operations(listener):
            assert [scheme for entry in operation["security"] for scheme in entry] == schemes[
                tiers[name].tier
            ]
            if tiers[name].tier == "internal":
                assert all(f"`{scope}`" in operation["description"] for scope in tiers[name].scopes())

    def test_the_page_and_its_assets_are_local(self, listener: str) -> None:
        client = ListenerClient(listener)
        answer = client.get("/docs")
        page = answer.content.decode()
        assert "'unsafe-inline'" not in answer.headers["Content-Security-Policy"].split("style-src")[0]
        assert "<script>" not in page
        sources = [part.split('"')[0] for part in page.split('src="')[1:]]
        assert len(sources) == 2
        for source in sources:
            found = client.get(source)
            assert found.status_code == 200, source
            assert "javascript" in found.headers["Content-Type"]
            found.close()


def test_each_code_of_a_refusal_has_a_schema_with_its_members() -> None:
    """Tell front ends that are made from the document of second factors: they locked out everyone who has one."""
    login = dict(operations("public"))["POST /v1/auth/login"]
    refused = login["responses"]["401"]["content"]["application/problem+json"]["schema"]
    assert set(refused["discriminator"]["mapping"]) == {"invalid_credentials", "mfa_required"}
    shape = document("public")["components"]["schemas"]["MFARequiredProblem"]
    assert shape["properties"]["code"]["const"] == "mfa_required"
    assert {"mfa_token", "methods"} <= set(shape["required"])


@pytest.mark.parametrize("listener", LISTENERS)
def test_no_field_of_a_request_has_a_default_in_its_schema(listener: str) -> None:
    """Keep generators of types from taking such a field for one that must be sent."""
    shapes = document(listener)["components"]["schemas"]
    bodies = [shape for name, shape in shapes.items() if name.endswith("Body")]
    assert len(bodies) > 10
    assert not [field for shape in bodies for field in shape["properties"].values() if "default" in field]


@pytest.mark.parametrize("listener", LISTENERS)
def test_every_section_is_introduced_and_names_its_operations(listener: str) -> None:
    found = document(listener)
    assert "## Errors" in found["info"]["description"]
    used = {tag for _, operation in operations(listener) for tag in operation["tags"]}
    assert {tag["name"] for tag in found["tags"]} == used
    assert all(
        re.fullmatch("[a-z][A-Za-z]+", operation["operationId"]) for _, operation in operations(listener)
    )


def test_an_idempotent_call_says_so() -> None:
    use = dict(operations("internal"))["POST /v1/credits/use"]
    header = next(parameter for parameter in use["parameters"] if parameter["in"] == "header")
    assert (header["name"], header["required"]) == ("Idempotency-Key", True)
    assert {"400", "401", "402", "403", "404", "409", "413", "415", "422", "503"} <= set(use["responses"])
    assert "Idempotency-Replayed" in use["responses"]["201"]["headers"]


def test_a_list_says_how_to_go_on() -> None:
    listing = dict(operations("internal"))["GET /v1/credits/transactions"]
    assert {"limit", "cursor", "since", "until"} <= {parameter["name"] for parameter in listing["parameters"]}
    assert set(listing["responses"]["200"]["content"]["application/json"]["example"]) == {"results", "next"}


def test_the_page_of_problems_has_an_entry_for_each_type() -> None:
    page = ListenerClient("internal").get("/docs/problems").content.decode()
    types = {
        entry["value"]["type"]
        for _, operation in operations("internal")
        for content in contents(operation)
        for entry in content.get("examples", {}).values()
    }
    assert len(types) > 10
    assert page.count('id="mfa_invalid_code"') == 1
    assert page.count("<code>mfa_invalid_code</code>") == 2, "400 where it is added, 401 where it signs in"
    for kind in types:
        assert f'id="{kind.partition("#")[2]}"' in page


def test_first_requests_at_once_have_it_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two threads that made it at once met a class that the other had half loaded: 500."""
    made: list[str] = []

    class Generator:
        def __init__(self, urlconf: str) -> None:
            made.append(urlconf)

        def get_schema(self, **_options: Any) -> dict[str, Any]:
            time.sleep(0.1)
            return {"info": {}, "paths": {}}

    monkeypatch.setattr(openapi, "SchemaGenerator", Generator)
    with ThreadPoolExecutor(8) as threads:
        assert len(set(threads.map(openapi.openapi, ["no.listener"] * 8))) == 1
    assert made == ["no.listener"]
