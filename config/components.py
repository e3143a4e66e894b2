"""The named schemas of an OpenAPI document: bodies, answers and refusals, as JSON Schema that code generators read
correctly.

They come from the msgspec types that check the requests, so the document always matches the checks.
"""

import json
from typing import Any

import msgspec
from django.db.models import Choices
from drf_spectacular.plumbing import ComponentRegistry, ResolvedComponent

from accounts.kit import problems
from config import problem_shapes

REFERENCE = "#/components/schemas/{name}"


def _schema_of_choices(kind: type) -> dict[str, Any]:
    """Return the schema of Django's TextChoices, whose metaclass msgspec does not know."""
    if issubclass(kind, Choices):
        return {"type": "string", "enum": list(kind.values)}
    raise NotImplementedError


class Components:
    """Registers the named schemas of a document, each once."""

    def __init__(self, registry: ComponentRegistry) -> None:
        self.registry = registry

    def schema_of(self, kind: Any) -> dict[str, Any]:
        """Return the JSON Schema of an answer's type; its structs become components."""
        schema, found = _json_schema(kind)
        self.add_all(found)
        return schema

    def body(self, kind: type[msgspec.Struct], name: str) -> dict[str, Any]:
        """Register the schema of a request body under a name, with defaults described in words: code generators assume
        that a field with a default is always present, which is true of answers only.
        """
        _, found = _json_schema(kind)
        named = {name if component == kind.__name__ else component: found[component] for component in found}
        self.add_all({component: _without_defaults(shape) for component, shape in named.items()})
        return {"$ref": REFERENCE.format(name=name)}

    def problem(self, kind: type[problems.Problem]) -> dict[str, Any]:
        """Register the schema of a refusal; classes with the same status and code share one."""
        name = problem_shapes.name_of(kind)
        if not self.has(name):
            members, found = _json_schema(problem_shapes.members_of(kind))
            own = found.pop(members["$ref"].rpartition("/")[2])
            self.add_all(found)
            self.add(name, problem_shapes.schema_of(kind, own))
        return {"$ref": REFERENCE.format(name=name)}

    def has(self, name: str) -> bool:
        return ResolvedComponent(name, ResolvedComponent.SCHEMA, object=name) in self.registry  # type: ignore[no-untyped-call]

    def add_all(self, found: dict[str, Any]) -> None:
        for name, definition in found.items():
            self.add(name, {**definition, "title": name})

    def add(self, name: str, definition: dict[str, Any], kind: str = ResolvedComponent.SCHEMA) -> None:
        component = ResolvedComponent(  # type: ignore[no-untyped-call]
            name=name, type=kind, schema=definition, object=name
        )
        if component not in self.registry:
            self.registry.register(component)
        elif self.registry[component].schema != definition:
            raise ValueError(f"Two shapes are named {name}: give one of them another name.")


def _json_schema(kind: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the schema of a type, and those of the structs in it by name."""
    (schema,), found = msgspec.json.schema_components(
        [kind], schema_hook=_schema_of_choices, ref_template=REFERENCE
    )
    return _for_generators(schema), {name: _for_generators(shape) for name, shape in found.items()}


def _for_generators(schema: Any) -> Any:
    """Return a schema that states what client generators would guess wrong: an object without a declared shape may have
    any member, and patterns use the syntax of JSON Schema (ECMA 262) instead of Python's.
    """
    if isinstance(schema, list):
        return [_for_generators(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    told = {name: _for_generators(part) for name, part in schema.items()}
    if schema.get("type") == "object" and not {"properties", "additionalProperties"} & schema.keys():
        told["additionalProperties"] = True
    if isinstance(schema.get("pattern"), str):
        told["pattern"] = schema["pattern"].replace(r"\A", "^").replace(r"\Z", "$")
    return told


def _without_defaults(shape: dict[str, Any]) -> dict[str, Any]:
    fields = shape.get("properties", {})
    return {**shape, "properties": {name: _in_words(field) for name, field in fields.items()}}


def _in_words(field: dict[str, Any]) -> dict[str, Any]:
    told = {name: part for name, part in field.items() if name != "default"}
    if field.get("default") in (None, ""):
        return told
    told["description"] = f"{field.get('description', '')} Default: {json.dumps(field['default'])}.".lstrip()
    return told
