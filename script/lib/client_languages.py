"""How the clients' types are written in Python and in TypeScript."""

import textwrap
from collections.abc import Iterable, Iterator
from typing import Any

from client_shapes import Events, Shapes

PROBLEM = ("type", "title", "status", "code", "detail", "request_id")  # what every problem has
MADE_BY_CLIENTS = "idempotency_key"  # in a batch operation, if the caller gives none
EVENTS = "Made by script/clients from clients/events.toml; edit that."


class Language:
    """Writes the type of a JSON schema; each language defines how the parts are written."""

    plain: dict[str, str]

    def kind(self, schema: dict[str, Any], shapes: Shapes, *, sent: bool = False) -> str:
        """Return the type of a value; callers may send more than the text that answers contain."""
        if "$ref" in schema:
            return shapes.name(schema["$ref"].rpartition("/")[2])
        if choices := schema.get("anyOf") or _listed_types(schema):
            return " | ".join(dict.fromkeys(self.kind(choice, shapes, sent=sent) for choice in choices))
        if values := schema.get("enum") or [schema[name] for name in schema if name == "const"]:
            return self.literal(values)
        if schema.get("type") == "array":
            return self.array(self.kind(schema["items"], shapes, sent=sent))
        return self.single(schema, sent=sent)

    def literal(self, values: list[Any]) -> str:
        raise NotImplementedError

    def array(self, item: str) -> str:
        raise NotImplementedError

    def single(self, schema: dict[str, Any], *, sent: bool) -> str:
        raise NotImplementedError


class Python(Language):
    plain = {
        "string": "str",
        "integer": "int",
        "boolean": "bool",
        "null": "None",
        "number": "float",
        "object": "dict[str, Any]",
    }

    def types(self, shapes: Shapes, source: str) -> str:
        head = f'''"""{source}"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, NotRequired, TypedDict
from uuid import UUID
'''
        return head + "".join(
            self._typed_dict(name, schema, shapes)
            for name, schema in (*shapes.others.items(), *shapes.queries.items())
        )

    def _typed_dict(self, name: str, schema: dict[str, Any], shapes: Shapes) -> str:
        sent = shapes.is_sent(name) or name in shapes.queries
        lines = [f"\n\nclass {name}(TypedDict):", *_python_docstring(schema)]
        for field, of in schema["properties"].items():
            kind = self.kind(of, shapes, sent=sent)
            lines.append(
                f"    {field}: {kind}" if _is_required(field, schema) else f"    {field}: NotRequired[{kind}]"
            )
        return "\n".join(lines) + "\n"

    def literal(self, values: list[Any]) -> str:
        return f"Literal[{', '.join(map(repr, values))}]"

    def array(self, item: str) -> str:
        return f"list[{item}]"

    def single(self, schema: dict[str, Any], *, sent: bool) -> str:
        if sent and schema.get("format") in {"uuid", "date-time"}:
            return "str | UUID" if schema["format"] == "uuid" else "str | datetime"
        return self.plain[schema["type"]] if "type" in schema else "Any"

    def problems(self, shapes: Shapes, source: str) -> str:
        head = f'''"""An exception for each code of a refusal. {source}"""

from typing import Any

from auth_service_client.errors import Problem
'''
        table = "".join(
            f"    {schema['properties']['code']['const']!r}: {_exception(name)},\n"
            for name, schema in shapes.problems.items()
        )
        return (
            head
            + "".join(self._exception(name, shapes.problems[name], shapes) for name in shapes.problems)
            + f"\n\nBY_CODE: dict[str, type[Problem]] = {{\n{table}}}\n"
        )

    def _exception(self, name: str, schema: dict[str, Any], shapes: Shapes) -> str:
        lines = [f"\n\nclass {_exception(name)}(Problem):", *_python_docstring(schema)]
        extra = {field: of for field, of in schema["properties"].items() if field not in PROBLEM}
        for field, of in extra.items():
            kind = _nested(field) or self.kind(of, shapes, sent=False)
            lines.append(f"\n    {field}: {kind}" if len(lines) == 2 else f"    {field}: {kind}")
        return "\n".join(lines) + "\n"

    def events(self, events: Events) -> str:
        head = f'''"""Events of the service, told apart by `type`. {EVENTS}"""

from typing import Any, Literal, TypedDict
'''
        parts = [self._event(type_, fields) for type_, fields in events.types.items()]
        union = " | ".join(_pascal(type_) for type_ in events.types)
        return (
            head
            + "".join(parts)
            + f'\n\nEvent = {union}\n"""What the service tells. New types may come: ignore those you do not know."""\n'
        )

    def _event(self, type_: str, fields: dict[str, str]) -> str:
        name, data = _pascal(type_), "dict[str, Any]"
        lines = []
        if fields:
            data = f"{name}Data"
            kinds = (f"    {field}: {_python_field(kind)}" for field, kind in fields.items())
            lines = [f"\n\nclass {data}(TypedDict):", *kinds, ""]
        members = [
            f'    type: Literal["{type_}"]',
            "    created_at: str",
            "    user_id: str",
            f"    data: {data}",
        ]
        return "\n".join([*lines, f"\n\nclass {name}(TypedDict):", "    id: int", *members]) + "\n"


class TypeScript(Language):
    plain = {
        "string": "string",
        "integer": "number",
        "boolean": "boolean",
        "null": "null",
        "number": "number",
        "object": "Record<string, unknown>",
    }

    def types(self, shapes: Shapes, source: str) -> str:
        parts = (
            self._interface(name, schema, shapes)
            for name, schema in (*shapes.others.items(), *shapes.queries.items())
        )
        return f"// {source}\n" + "".join(parts)

    def _interface(self, name: str, schema: dict[str, Any], shapes: Shapes) -> str:
        lines = ["", *_jsdoc(schema), f"export interface {name} {{"]
        for field, of in schema["properties"].items():
            mark = "" if _is_required(field, schema) else "?"
            lines += [*_jsdoc(of, "  "), f"  {field}{mark}: {self.kind(of, shapes)};"]
        return "\n".join([*lines, "}"]) + "\n"

    def literal(self, values: list[Any]) -> str:
        return " | ".join(f'"{one}"' if isinstance(one, str) else str(one) for one in values)

    def array(self, item: str) -> str:
        return f"Array<{item}>"

    def single(self, schema: dict[str, Any], *, sent: bool) -> str:
        return self.plain[schema["type"]] if "type" in schema else "unknown"

    def problems(self, documents: Iterable[Shapes], source: str) -> str:
        """Return an interface for each code of both documents, and the union of all, discriminated by `code`."""
        found: dict[str, str] = {}
        for shapes in documents:
            for name, schema in shapes.problems.items():
                found[name] = self._interface(name, schema, shapes)
        fields = 'import type { Checks, FieldProblem } from "./public.js";\n'
        names = "".join(f"\n  | {name}" for name in sorted(found))
        return (
            f"// {source}\n{fields}"
            + "".join(found[name] for name in sorted(found))
            + f"\nexport type KnownProblem ={names};\n"
        )

    def events(self, events: Events) -> str:
        parts = [f"// {EVENTS}\n", *(self._event(type_, fields) for type_, fields in events.types.items())]
        names = "".join(f"\n  | {_pascal(type_)}" for type_ in events.types)
        return (
            "".join(parts)
            + f"\n/** Whatever the service tells; new types may come. */\nexport type ServiceEvent ={names};\n"
        )

    def _event(self, type_: str, fields: dict[str, str]) -> str:
        members = "; ".join(f"{field}: {self._field(kind)}" for field, kind in fields.items())
        data = f"{{ {members} }}" if members else "Record<string, unknown>"
        return f"""
export interface {_pascal(type_)} {{
  id: number;
  type: "{type_}";
  created_at: string;
  user_id: string;
  data: {data};
}}
"""

    def _field(self, kind: str) -> str:
        plain = {"int": "number", "str": "string", "bool": "boolean"}[kind.removesuffix("?")]
        return f"{plain} | null" if kind.endswith("?") else plain


def _listed_types(schema: dict[str, Any]) -> list[dict[str, Any]]:
    types = schema.get("type")
    return [{"type": one} for one in types] if isinstance(types, list) else []


def _is_required(field: str, schema: dict[str, Any]) -> bool:
    return field in schema.get("required", ()) and field != MADE_BY_CLIENTS


def _nested(field: str) -> str | None:
    """Return the type of a problem's member that is an object or a list of objects."""
    return {"errors": "list[dict[str, str]]", "checks": "dict[str, Any]"}.get(field)


def _exception(name: str) -> str:
    return name.removesuffix("Problem")


def _python_field(kind: str) -> str:
    plain = kind.removesuffix("?")
    return f"{plain} | None" if kind.endswith("?") else plain


def _python_docstring(schema: dict[str, Any]) -> Iterator[str]:
    if text := schema.get("description"):
        wrapped = textwrap.wrap(text, 100)
        if len(wrapped) == 1:
            yield f'    """{wrapped[0]}"""'
        else:
            yield f'    """{wrapped[0]}'
            yield from (f"    {line}" for line in wrapped[1:])
            yield '    """'
    elif not schema["properties"]:
        yield "    pass"


def _jsdoc(schema: dict[str, Any], indent: str = "") -> Iterator[str]:
    if text := schema.get("description"):
        yield f"{indent}/** {text.replace('*/', '*')} */"


def _pascal(type_: str) -> str:
    return "".join(part.capitalize() for part in type_.replace(".", "_").split("_"))
