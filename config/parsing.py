"""Request and response bodies: strict JSON (or a form, if a view takes one) into the view's struct, msgspec out.

What JSON leaves open is settled here (RFC 8259, 4 and 9; RFC 7493): no duplicate names, no NaN, no NUL, no lone
surrogates, bounded depth and numbers. The body is checked against the view's `Body` at once, so a view gets a struct.
"""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar
from urllib.parse import parse_qsl

import msgspec
from django.http import UnreadablePostError
from rest_framework.exceptions import UnsupportedMediaType
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer

from accounts.kit import shapes
from accounts.kit.problems import ValidationFailed
from config.errors import BadRequestProblem, BodyUnreadable, ContentCoded, MalformedJSON

DEEPEST = 32  # levels of nesting
LARGEST_NUMBER = (
    2**63 - 1
)  # larger values fit neither bigint nor our own renderer, and jsonb writes floats out in full
LONGEST_NUMBER = 32  # characters; Python itself would take 4,300 digits
MOST_FORM_FIELDS = 32
JSON = "application/json"
FORM = "application/x-www-form-urlencoded"

Number = TypeVar("Number", int, float)

_SHOWABLE_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise MalformedJSON(f"An object has the name{_shown(pairs)} twice.")
    return made


def _shown(pairs: list[tuple[str, Any]]) -> str:
    """Return the first repeated name, quoted, or "" if it cannot be shown."""
    twice = _first_repeated(name for name, _ in pairs)
    return f" `{twice}`" if _SHOWABLE_NAME.fullmatch(twice) else ""


def _first_repeated(names: Iterable[str]) -> str:
    """Return the first repeated name in a single pass: an object of 100,000 names must not take quadratic time."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    raise LookupError("no name is repeated")


def _integer(digits: str) -> int:
    return _in_range(int(digits)) if len(digits) <= LONGEST_NUMBER else _in_range(LARGEST_NUMBER + 1)


def _float(text: str) -> float:
    return _in_range(float(text))


def _in_range(number: Number) -> Number:
    if not -LARGEST_NUMBER <= number <= LARGEST_NUMBER:  # infinity, as 1e999 is read, is out of range too
        raise MalformedJSON("A number is out of range.")
    return number


def _constant(name: str) -> None:
    raise MalformedJSON(f"{name} is not JSON.")


_decoder = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_float, parse_constant=_constant
)


def decode(raw: bytes) -> Any:
    """Return the JSON value in these bytes; an empty body counts as `{}`. Raise MalformedJSON or ValidationFailed."""
    if not raw or raw.isspace():
        return {}
    try:
        value = _decoder.decode(raw.decode())
    except UnicodeDecodeError as error:
        raise MalformedJSON("The body is not UTF-8.") from error
    except RecursionError as error:
        raise MalformedJSON("The body is nested too deeply.") from error
    except ValueError as error:  # JSONDecodeError; its text states only the position
        raise MalformedJSON(_position(error)) from error
    if b"\\u" in raw:
        _check(value)
    elif raw.count(b"[") + raw.count(b"{") > DEEPEST and not shapes.is_shallow(value, levels=DEEPEST):
        raise MalformedJSON("The body is nested too deeply.")
    return value


def _position(error: ValueError) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"The body is not JSON: line {error.lineno}, column {error.colno}."
    return "The body is not JSON."


def _check(value: Any) -> None:
    """Check what can only be seen in the whole value: its depth, and characters hidden in escapes."""
    for path, depth, item in _walk(value):
        if depth > DEEPEST:
            raise MalformedJSON("The body is nested too deeply.")
        if isinstance(item, str) and _is_bad_text(item):
            raise ValidationFailed((path, "invalid_text", "NUL and lone surrogates are not accepted."))


def _walk(value: Any) -> Iterator[tuple[str, int, Any]]:
    """Yield every value and every name with its path and depth, without recursion."""
    waiting: list[tuple[str, int, Any]] = [("", 1, value)]
    while waiting:
        path, depth, item = waiting.pop()
        yield path, depth, item
        if isinstance(item, dict):
            waiting.extend((path, depth, name) for name in item)
            waiting.extend((_joined(path, name), depth + 1, inner) for name, inner in item.items())
        elif isinstance(item, list):
            waiting.extend((f"{path}[{index}]", depth + 1, inner) for index, inner in enumerate(item))


def _joined(path: str, name: str) -> str:
    shown = name if _SHOWABLE_NAME.fullmatch(name) else "..."
    return f"{path}.{shown}" if path else shown


def _is_bad_text(text: str) -> bool:
    return "\0" in text or any("\ud800" <= character <= "\udfff" for character in text)


def _shape(context: dict[str, Any]) -> type[msgspec.Struct] | None:
    find = getattr(context["view"], "shape", None)
    return find(context["request"].method) if find is not None else None


class StrictJSONParser(BaseParser):
    """Parses `application/json` into the struct that the view names for the method."""

    media_type = JSON

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Any:
        value = decode(_read(stream))
        shape = _shape(parser_context)
        return value if shape is None else shapes.convert(value, shape)


class FormParser(BaseParser):
    """Parses `application/x-www-form-urlencoded` into the same struct; only for views with `takes_forms`."""

    media_type = FORM

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Any:
        try:
            pairs = parse_qsl(
                _read(stream).decode(),
                keep_blank_values=True,
                errors="strict",
                max_num_fields=MOST_FORM_FIELDS,
            )
        except ValueError as error:
            raise BadRequestProblem("The form is malformed.") from error
        value = dict(pairs)
        if len(value) != len(pairs):
            raise BadRequestProblem(f"The form has the field{_shown(pairs)} twice.")
        value.pop("csrfmiddlewaretoken", None)
        _check(value)
        shape = _shape(parser_context)
        return value if shape is None else shapes.convert(value, shape, strict=False)


def _read(request: Any) -> bytes:
    """Return the whole body, or raise BodyUnreadable: if the caller hangs up, a server may hand over only a part."""
    try:
        body: bytes = request.body
    except UnreadablePostError as error:
        raise BodyUnreadable from error
    declared = request.META.get("CONTENT_LENGTH") or ""
    if declared.isdecimal() and len(body) < int(declared):
        raise BodyUnreadable
    return body


class JSONRenderer(BaseRenderer):
    media_type = JSON
    format = "json"
    charset = None
    render_style = "binary"

    def render(
        self, data: Any, accepted_media_type: str | None = None, renderer_context: Any = None
    ) -> bytes:
        return b"" if data is None else msgspec.json.encode(data)


class FixedNegotiation(BaseContentNegotiation):
    """Fixes the formats: `Accept` is ignored; `Content-Type` selects JSON or a form, and anything else is 415."""

    def select_parser(self, request: Any, parsers: Any) -> BaseParser:
        if "HTTP_CONTENT_ENCODING" in request.META and _is_coded(request):
            raise ContentCoded
        given = request.content_type
        if given != JSON:
            essence, _, parameters = given.partition(";")
            essence = essence.strip().lower()
            if essence == FORM and getattr(request.parser_context["view"], "takes_forms", False):
                return FormParser()
            if not _is_utf8_json(essence, parameters, request):
                raise UnsupportedMediaType(given, detail="Send `Content-Type: application/json`, in UTF-8.")
        parser: BaseParser = parsers[0]
        return parser

    def select_renderer(
        self, request: Any, renderers: Any, format_suffix: str | None = None
    ) -> tuple[Any, str]:
        return renderers[0], renderers[0].media_type


def _is_coded(request: Any) -> bool:
    """Return whether there is a body whose sender declares it compressed."""
    codings = {coding.strip().lower() for coding in request.META["HTTP_CONTENT_ENCODING"].split(",")}
    return bool(codings - {"", "identity"} and request._request.body)  # noqa: SLF001 - as below


def _is_utf8_json(essence: str, parameters: str, request: Any) -> bool:
    """Return whether it is JSON in UTF-8, or there is no body, in which case its declared type does not matter."""
    if essence != JSON:
        return not request._request.body  # noqa: SLF001 - DRF's own `body` would consult the parsers
    charset = re.search(r"charset\s*=\s*\"?([^\s\";]+)", parameters, re.IGNORECASE)
    return charset is None or charset[1].lower() in {"utf-8", "utf8"}
