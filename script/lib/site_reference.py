"""The API's reference as pages of the site: one for each section of each listener's OpenAPI document."""

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

LISTENERS = {"public": "Public API", "internal": "Internal API"}
BOUNDS = {
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minimum": "at least {}",
    "maximum": "at most {}",
    "minItems": "at least {} items",
    "maxItems": "at most {} items",
}

Json = Mapping[str, Any]


def navigation() -> dict[str, dict[str, str]]:
    """Return the paths of the pages by title, for each listener."""
    return {
        title: {
            "Overview": _place(listener),
            **{tag["name"]: _place(listener, tag["name"]) for tag in _tags(listener)},
        }
        for listener, title in LISTENERS.items()
    }


def pages() -> dict[str, str]:
    """Return the text of each page by its path."""
    made = {}
    for listener, title in LISTENERS.items():
        document = _document(listener)
        made[_place(listener)] = f"# {title}\n\n{document['info']['description']}\n"
        for tag in _tags(listener):
            operations = "\n".join(_operation(document, *one) for one in _operations(document, tag["name"]))
            head = f"# {tag['name']}\n\n{tag['description']} Listener: [{listener}](index.md).\n\n"
            made[_place(listener, tag["name"])] = head + operations
    return made


def _place(listener: str, tag: str = "index") -> str:
    return f"reference/api/{listener}/{tag.lower().replace(' ', '-')}.md"


@cache
def _document(listener: str) -> Json:
    from config.openapi import openapi

    document: Json = json.loads(openapi(f"config.urls.{listener}"))
    return document


def _tags(listener: str) -> list[Json]:
    tags: list[Json] = _document(listener)["tags"]
    return tags


def _operations(document: Json, tag: str) -> Iterator[tuple[str, str, Json]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if tag in operation["tags"]:
                yield method.upper(), path, operation


def _operation(document: Json, method: str, path: str, operation: Json) -> str:
    parts = [
        f"## {operation['summary']} {{ #{operation['operationId']} }}",
        f"`{method} {path}`",
        operation["description"],
        _parameters(document, operation),
        *_body(document, operation),
        *(
            one
            for status, answer in operation["responses"].items()
            for one in _answer(document, status, answer)
        ),
        _refusals(operation),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _parameters(document: Json, operation: Json) -> str:
    rows = [
        _row(
            document,
            one["name"],
            one["schema"],
            f"{one['in']}",
            is_required=one.get("required", False),
            text=one.get("description", ""),
        )
        for one in operation.get("parameters", [])
    ]
    return _table("Parameters", ["name", "type", "where", "description"], rows)


def _row(
    document: Json, name: str, schema: Json, *cells: str, is_required: bool, text: str = ""
) -> list[str]:
    said = text or schema.get("description", "")
    return [f"`{name}`{'' if is_required else '?'}", typed(document, schema), *cells, said]


def _body(document: Json, operation: Json) -> Iterator[str]:
    for kind, content in list(operation.get("requestBody", {}).get("content", {}).items())[:1]:
        yield _fields(document, f"Body, `{kind}`", content.get("schema", {}))
        yield _example(content)


def _answer(document: Json, status: str, answer: Json) -> Iterator[str]:
    if status[0] in "45":
        return
    contents = answer.get("content", {})
    yield f"**{status}** {answer['description'] if not contents or status != '200' else ''}".strip()
    for kind, content in list(contents.items())[:1]:
        yield _fields(document, f"Answer, `{kind}`", content.get("schema", {}))
        yield _example(content)


def _fields(document: Json, title: str, schema: Json) -> str:
    shape = _resolved(document, schema)
    needed = shape.get("required", [])
    rows = [
        _row(document, name, one, is_required=name in needed)
        for name, one in shape.get("properties", {}).items()
    ]
    return _table(title, ["field", "type", "description"], rows)


def _example(content: Json) -> str:
    if "example" not in content or not isinstance(content["example"], dict | list):
        return ""
    return f"```json\n{json.dumps(content['example'], indent=2, ensure_ascii=False)}\n```"


def _refusals(operation: Json) -> str:
    """List the operation's refusals beyond those that any call may get: status and codes."""
    found = [
        (status, one["description"]) for status, one in operation["responses"].items() if status[0] in "45"
    ]
    return "**Refusals**\n\n" + "\n".join(f"- {status}: {codes}" for status, codes in found) if found else ""


def _table(title: str, heads: list[str], rows: list[list[str]]) -> str:
    """Return a table, without its last column if that is empty."""
    if not rows:
        return ""
    if not any(row[-1] for row in rows):
        heads, rows = heads[:-1], [row[:-1] for row in rows]
    lines = [heads, ["---"] * len(heads), *rows]
    return f"**{title}**\n\n" + "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def _cell(text: str) -> str:
    return re.sub(r"\s+", " ", text).replace("|", "\\|")


def _resolved(document: Json, schema: Json) -> Json:
    while "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return schema


def typed(document: Json, schema: Json) -> str:
    """Describe in a few words what a value may be."""
    if "$ref" in schema:
        target = _resolved(document, schema)
        return (
            typed(document, target)
            if "properties" not in target
            else f"`{schema['$ref'].rpartition('/')[2]}`"
        )
    for several in ("anyOf", "oneOf"):
        if several in schema:
            return " or ".join(dict.fromkeys(typed(document, one) for one in schema[several]))
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema["enum"])
    kind = schema.get("type", "any")
    words = " or ".join(kind) if isinstance(kind, list) else str(kind)
    if kind == "array":
        words = f"list of {typed(document, schema.get('items', {}))}"
    bounds = [text.format(schema[name]) for name, text in BOUNDS.items() if name in schema]
    return ", ".join([f"{words} ({schema['format']})" if "format" in schema else words, *bounds])
