"""docs/contract.md and the code say the same: endpoints, tiers, fields, answers, statuses, problem codes, events."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from accounts.kit.problems import Problem
from config.docs import all_problems
from config.openapi import openapi
from tests.surface import LISTENERS, routes_of

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTED = ("public", "internal")
PACKAGES = ("accounts", "billing", "config", "credits")
FORM = "application/x-www-form-urlencoded"
EMITTING = frozenset({"emit", "emit_if", "ServiceEvent", "_event"})
_ENDPOINT = re.compile(r"`(?P<name>[A-Z]+ /\S*)`(?P<keyed> \[K\])?")
_CODES = re.compile(r"(\d{3})\s+((?:`[a-z_]+`(?:,\s+| \([^)]*\), )?)+)")
_EVENT = re.compile(r"`([a-z]+\.[a-z_]+)`")


class Row(NamedTuple):
    """One endpoint, as the page has it."""

    keyed: bool
    tier: str
    fields: set[str]
    takes_forms: bool
    status: str
    is_list: bool
    shape: str
    refusals: set[tuple[str, str]]


def contract() -> str:
    return (ROOT / "docs" / "contract.md").read_text()


def cells(part: str) -> Iterator[list[str]]:
    for line in part.splitlines():
        if line.startswith("| "):
            yield [cell.strip() for cell in line.strip("|").split(" |")]


def section(title: str) -> str:
    found = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", contract(), re.MULTILINE | re.DOTALL)
    assert found, title
    return found[1]


def written(listener: str) -> dict[str, Row]:
    """The rows of the tables of one listener by `METHOD /path`."""
    rows: dict[str, Row] = {}
    for row in cells(section(f"{listener.capitalize()} listener")):
        if endpoint := _ENDPOINT.fullmatch(row[0]):
            assert endpoint["name"] not in rows, endpoint["name"]
            rows[endpoint["name"]] = _row(*row[1:], keyed=endpoint["keyed"] is not None)
    return rows


def _row(tier: str, request: str, answer: str, refusals: str, *, keyed: bool) -> Row:
    shape = re.search(r"`(\w+)`", answer)
    return Row(
        keyed=keyed,
        tier=tier.replace("`", ""),
        fields=set(re.findall(r"`(\w+\??)`", re.sub(r"\([^)]*\)", "", request))),
        takes_forms="JSON or form" in request,
        status=answer[:3],
        is_list=" list of " in answer,
        shape=shape[1] if shape else "",
        refusals=set(_pairs(refusals)),
    )


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    for status, codes in _CODES.findall(text):
        for code in re.findall(r"`(\w+)`", re.sub(r"\([^)]*\)", "", codes)):
            yield status, code


@cache
def document(listener: str) -> Any:
    return msgspec.json.decode(openapi(f"config.urls.{listener}"))


def operations(listener: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in document(listener)["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def served(listener: str, operation: dict[str, Any]) -> dict[str, Any]:
    """The same facts, as the OpenAPI document has them; tiers are compared with the URLconf."""
    parameters = operation.get("parameters", [])
    body = operation.get("requestBody", {}).get("content", {})
    status = min(
        (status for status in operation["responses"] if status.startswith("2")),
        key=lambda status: set(operation["responses"][status].get("content", {})) == {"text/html"},
    )
    item, is_list = _answer(operation["responses"][status])
    return {
        "keyed": any(one["name"] == "Idempotency-Key" and one["required"] for one in parameters),
        "fields": _query_fields(parameters) | _body_fields(listener, body),
        "takes_forms": FORM in body,
        "status": status,
        "is_list": is_list,
        "shape": item.get("$ref", "").rpartition("/")[2],
    }


def _query_fields(parameters: list[dict[str, Any]]) -> set[str]:
    pages = {"limit", "cursor"}
    named = [one for one in parameters if one["in"] == "query" and one["name"] not in pages]
    return {one["name"] + ("" if one["required"] else "?") for one in named}


def _body_fields(listener: str, content: dict[str, Any]) -> set[str]:
    if not content:
        return set()
    name = content["application/json"]["schema"]["$ref"].rpartition("/")[2]
    shape = document(listener)["components"]["schemas"][name]
    return {field + ("" if field in shape.get("required", ()) else "?") for field in shape["properties"]}


def _answer(response: dict[str, Any]) -> tuple[dict[str, Any], bool]:
    schema = response.get("content", {}).get("application/json", {}).get("schema", {})
    is_list = set(schema.get("properties", ())) == {"results", "next"}
    return (schema["properties"]["results"]["items"] if is_list else schema), is_list


def refusals_of(operation: dict[str, Any]) -> set[tuple[str, str]]:
    return {
        (status, code)
        for status, response in operation["responses"].items()
        for content in response.get("content", {}).values()
        for code in content.get("examples", ())
    }


def problems() -> set[tuple[str, str]]:
    """Every refusal that the code can answer with: the classes that name a code."""
    all_problems()
    return {(str(kind.status_code), kind.default_code) for kind in _below(Problem) if _is_ours(kind)}


def _below(kind: type[Problem]) -> Iterator[type[Problem]]:
    for child in kind.__subclasses__():
        yield child
        yield from _below(child)


def _is_ours(kind: type[Problem]) -> bool:
    return "default_code" in vars(kind) and kind.__module__.partition(".")[0] in PACKAGES


def listed_problems() -> tuple[set[tuple[str, str]], set[tuple[str, str]]]:
    """Return the codes of any call, and those of single calls."""
    of_any, of_single = section("Problem codes").split("Single calls may be refused")
    return _listed(of_any), _listed(of_single)


def _listed(part: str) -> set[tuple[str, str]]:
    return {(row[0], row[1].strip("`")) for row in cells(part) if row[0].isdecimal()}


@pytest.mark.parametrize("listener", LISTENERS)
def test_every_endpoint_is_in_the_contract_with_its_tier_and_no_other(listener: str) -> None:
    routed = {
        f"{route.method} {route.path}": ", ".join(filter(None, (route.tier, route.note)))
        for route in routes_of(listener)
    }
    assert {name: row.tier for name, row in written(listener).items()} == routed


@pytest.mark.parametrize("listener", DOCUMENTED)
def test_requests_and_answers_are_those_of_the_document(listener: str) -> None:
    rows = written(listener)
    for name, operation in operations(listener):
        facts = served(listener, operation)
        assert {fact: getattr(rows[name], fact) for fact in facts} == facts, name


@pytest.mark.parametrize("listener", DOCUMENTED)
def test_refusals_are_those_of_the_document(listener: str) -> None:
    rows, (of_any, _) = written(listener), listed_problems()
    for name, operation in operations(listener):
        possible = refusals_of(operation)
        assert possible - of_any <= rows[name].refusals <= possible, name


@pytest.mark.parametrize("listener", DOCUMENTED)
def test_shapes_are_those_of_the_document(listener: str) -> None:
    schemas = document(listener)["components"]["schemas"]
    shapes = {row[0].strip("`"): set(re.findall(r"`(\S+)`", row[1])) for row in _shape_rows(listener)}
    for name, fields in shapes.items():
        required = schemas[name].get("required", ())
        assert fields == {
            field + ("" if field in required or "default" in shape else "?")
            for field, shape in schemas[name]["properties"].items()
        }, name
    assert {row.shape for row in written(listener).values()} - {""} <= set(shapes) | _shared_shapes(listener)


def _shape_rows(listener: str) -> Iterator[list[str]]:
    part = section(f"{listener.capitalize()} listener").split("### Shapes")[1]
    return (row for row in cells(part) if row[0].startswith("`"))


def _shared_shapes(listener: str) -> set[str]:
    """Return the shapes of the public listener, which the others share."""
    return set() if listener == "public" else {"LiveAnswer", "ReadyAnswer", "KeySet", "ServerMetadata"}


def test_every_problem_code_is_listed_once_with_its_status_and_no_other() -> None:
    of_any, of_single = listed_problems()
    assert of_any | of_single == problems()
    assert not of_any & of_single


def test_every_code_that_the_text_names_exists() -> None:
    named = set(_pairs(contract()))
    assert len(named) > 60
    assert named <= problems()


def test_every_event_type_is_described_and_no_other() -> None:
    sources = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py") if _emits(path)]
    emitted = {type_ for path in sources for type_ in _event_types(ast.parse(path.read_text()))}
    described = [row[0] for row in cells(section("Events"))]
    described += [row[0] for row in cells((ROOT / "docs" / "billing.md").read_text())]
    assert {name for cell in described for name in _EVENT.findall(cell)} == emitted


def _emits(path: Path) -> bool:
    return not {"tests", "migrations"} & set(path.parts)


def _event_types(tree: ast.AST) -> Iterator[str]:
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and EMITTING & {
            getattr(call.func, "id", ""),
            getattr(call.func, "attr", ""),
        }:
            values = [*call.args, *(keyword.value for keyword in call.keywords)]
            texts = [value.value for value in values if isinstance(value, ast.Constant)]
            yield from (text for text in texts if isinstance(text, str) and _EVENT.fullmatch(f"`{text}`"))
