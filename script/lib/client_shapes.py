"""The sources of the clients' types: the schemas of an OpenAPI document, and the events."""

from collections.abc import Iterator
from typing import Any


class Shapes:
    """The schemas of one document, sorted by name: those of problems, and the others."""

    def __init__(self, document: dict[str, Any]) -> None:
        schemas: dict[str, Any] = document["components"]["schemas"]
        self.operations = _operations_of_a_batch(schemas)
        self.queries = dict(_queries(document))
        self.sent = {name for name in schemas if name.endswith("Body")} | self.operations
        self.problems = {name: schemas[name] for name in sorted(schemas) if name.endswith("Problem")}
        del self.problems["FieldProblem"]
        self.others = {
            self.name(name): schema for name, schema in sorted(schemas.items()) if name not in self.problems
        }

    def name(self, schema: str) -> str:
        """Return a clear name: `Hold` alone would look like a hold, but is an operation of a batch."""
        return f"{schema}Operation" if schema in self.operations else schema

    def is_sent(self, name: str) -> bool:
        return name.removesuffix("Operation") in self.sent or name in self.sent


class Events:
    """The types of events and their fields, from clients/events.toml."""

    def __init__(self, table: dict[str, Any]) -> None:
        self.types: dict[str, dict[str, str]] = {
            name: {**table["shapes"].get(fields.get("shape"), {}), **_without_shape(fields)}
            for name, fields in table["events"].items()
        }


def _without_shape(fields: dict[str, str]) -> dict[str, str]:
    return {name: kind for name, kind in fields.items() if name != "shape"}


def _operations_of_a_batch(schemas: dict[str, Any]) -> set[str]:
    body = schemas.get("BatchBody")
    choices = body["properties"]["operations"]["items"]["anyOf"] if body else []
    return {choice["$ref"].rpartition("/")[2] for choice in choices}


def _queries(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each operation's query as a schema, if it has one: all but the cursor, which the clients handle."""
    for operation in (one for path in document["paths"].values() for one in path.values()):
        parameters = [one for one in operation.get("parameters", ()) if one["in"] == "query"]
        fields = {one["name"]: one["schema"] for one in parameters if one["name"] != "cursor"}
        if fields:
            name = operation["operationId"][0].upper() + operation["operationId"][1:]
            required = [one["name"] for one in parameters if one.get("required")]
            yield f"{name}Query", {"type": "object", "properties": fields, "required": required}
