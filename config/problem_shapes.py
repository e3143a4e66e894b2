"""The refusals of an operation in OpenAPI: for each code its own schema, with the members that it adds."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from accounts.kit.problems import Problem, title

MEDIA_TYPE = "application/problem+json"
EXAMPLE_REQUEST_ID = "5f0c2b7de94a4168a3c1e6d8b7f92041"
_STRING = {"type": "string"}


def every_problem() -> list[type[Problem]]:
    """Return one class for each (status, code) that this process can answer with, sorted by code."""
    kinds = {(kind.default_code, kind.status_code): kind for kind in _below(Problem)}
    return [kinds[answer] for answer in sorted(kinds)]


def _below(kind: type[Problem]) -> Iterator[type[Problem]]:
    for child in kind.__subclasses__():
        if "default_code" in vars(child):  # the others are only base classes
            yield child
        yield from _below(child)


@cache
def _statuses(code: str) -> int:
    return sum(kind.default_code == code for kind in every_problem())


def name_of(problem: type[Problem]) -> str:
    """Return the name of a problem's schema: `MFARequiredProblem`; with the status if two problems share a code."""
    words = re.split(r"\W", title(problem.default_code))
    status = problem.status_code if _statuses(problem.default_code) > 1 else ""
    return "".join(word[0].upper() + word[1:] for word in words) + f"{status}Problem"


def members_of(problem: type[Problem]) -> type[msgspec.Struct]:
    """Return the members that a class adds to its problem documents, as a struct."""
    fields = [
        (name, kind, UNSET) if UnsetType in getattr(kind, "__args__", ()) else (name, kind)
        for name, kind in problem.members.items()
    ]
    return msgspec.defstruct("Members", fields, kw_only=True)


def schema_of(problem: type[Problem], members: dict[str, Any]) -> dict[str, Any]:
    """Return the JSON Schema of a problem document (RFC 9457), given the schema of its `members_of`."""
    added = members.get("properties", {})
    code = problem.default_code
    return {
        "title": name_of(problem),
        "description": str(problem.default_detail),
        "type": "object",
        "properties": {
            "type": {"type": "string", "format": "uri-reference"},
            "title": _STRING,
            "status": {"type": "integer", "const": problem.status_code},
            "code": {"type": "string", "const": code},
            "detail": _STRING,
            "request_id": _STRING,
            **added,
        },
        "required": ["type", "title", "status", "code", "detail", "request_id", *members.get("required", ())],
    }


def example_of(problem: type[Problem]) -> dict[str, Any]:
    """Return a problem document as the service would send it."""
    made = problem.__new__(problem)
    Problem.__init__(made, **problem.example)
    return made.document(EXAMPLE_REQUEST_ID)


def by_status(problems: Iterable[type[Problem]]) -> dict[str, list[type[Problem]]]:
    """Group classes by status, one per code, both sorted."""
    groups: dict[str, dict[str, type[Problem]]] = defaultdict(dict)
    for problem in problems:
        groups[str(problem.status_code)].setdefault(problem.default_code, problem)
    return {status: [kinds[code] for code in sorted(kinds)] for status, kinds in sorted(groups.items())}


def one_of(problems: list[type[Problem]], references: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the schema of all answers with one status, distinguished by `code`."""
    if len(references) == 1:
        return references[0]
    codes = (problem.default_code for problem in problems)
    mapping = {code: reference["$ref"] for code, reference in zip(codes, references, strict=True)}
    return {"oneOf": references, "discriminator": {"propertyName": "code", "mapping": mapping}}
