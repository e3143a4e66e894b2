"""Convert decoded JSON or a query string to the required msgspec type; a refusal names the field.

    shapes.convert({"amount": "1"}, UseCredits.Body)    ValidationFailed: amount, wrong_type

Conversion is strict: "1", 1.0 and true are not integers (contract: credits are JSON integers). All wrong fields of the
top level are listed at once; inside lists and nested objects, only the first.
"""

import re
import threading
from collections.abc import Iterator, Mapping
from datetime import datetime
from enum import Enum
from functools import cache
from itertools import islice
from typing import Any, TypeVar, get_args

import msgspec

from accounts.kit.problems import UnknownField, ValidationFailed

Shape = TypeVar("Shape")
Fault = tuple[str, str, str]  # field, code, detail: one entry of `errors`

_built: set[Any] = set()
_building = threading.Lock()

_PATH = re.compile(r" - at (?:`key` in )?`\$?(?P<path>[^`]*)`$")
_NAMED = re.compile(r"^Object (?:missing required|contains unknown) field `(?P<name>[^`]*)`")
_UNION_WITH_NULL = re.compile(r" \| null`|`null \| ")
# An unknown name may be a secret in the wrong place, so show only enough of it to find a typing error.
_LONGEST_NAME = 32
_ODD = re.compile(r"[^A-Za-z0-9_.-]")
_MOST_UNKNOWN = 20  # most to list: a body full of them must not get a response eight times its size
_NO_FIELD = ""
# msgspec's messages and our stable codes; the first match counts. Messages that repeat the input, which may look like
# any of the others, are recognised by their start.
_CODES = (
    (re.compile("Object missing required field"), "required"),
    (re.compile("Object contains unknown field"), "unknown_field"),
    (re.compile("Invalid (?:enum )?value"), "invalid_choice"),
    (re.compile(".*, got "), "wrong_type"),
    (re.compile(".*length >="), "too_short"),
    (re.compile(".*length <="), "too_long"),
    (re.compile(".*>"), "too_small"),
    (re.compile(".*<"), "too_large"),
)


def is_shallow(value: Any, *, levels: int) -> bool:
    """Return whether lists and objects are nested no deeper; going by level keeps large flat lists cheap."""
    level = [value]
    for _ in range(levels):
        containers = (item for item in level if isinstance(item, (dict, list)))
        level = [
            inner for item in containers for inner in (item.values() if isinstance(item, dict) else item)
        ]
        if not level:
            return True
    return False


def build(shape: Any) -> None:
    """Have msgspec inspect the type now. A serving process does this for known types before requests arrive.

    msgspec 0.22 otherwise does it at the first use, and exposes the half-built type to other threads, which crashes the
    process (docs/upstream/msgspec-race.md). Types met later are therefore built by one thread at a time.
    """
    with _building:
        if shape not in _built:
            msgspec.json.Decoder(shape)
            _built.add(shape)


def convert(value: Any, shape: type[Shape], *, strict: bool = True) -> Shape:
    """Return the value as an instance of `shape`. Raise UnknownField or ValidationFailed."""
    if shape not in _built:
        build(shape)
    if not strict and (guesses := _guesses(value, shape)):
        raise ValidationFailed(*guesses)
    try:
        return msgspec.convert(value, shape, strict=strict)
    except msgspec.ValidationError as error:
        faults = list(_faults(value, shape, str(error), strict=strict))
    unknown = [fault for fault in faults if fault[1] == "unknown_field"]
    raise UnknownField(*unknown) if unknown else ValidationFailed(*faults)


def convert_query(parameters: Mapping[str, Any], shape: type[Shape]) -> Shape:
    """Convert a query string to `shape`: text becomes numbers and dates, and unnamed parameters are ignored.

    Raise ValidationFailed.
    """
    named = {field.encode_name for field in msgspec.structs.fields(shape)}  # type: ignore[arg-type]
    given = {name: parameters[name] for name in parameters if name in named}
    broken = [name for name, text in given.items() if "\0" in text]
    if broken:
        raise ValidationFailed(*((name, "invalid_text", "NUL is not accepted.") for name in broken))
    return convert(given, shape, strict=False)


def _guesses(texts: Mapping[str, str], shape: Any) -> list[Fault]:
    """Return a fault for each text that msgspec would read as something that nobody means.

    `null`, as JavaScript writes an unset variable, would mean no filter at all: everybody's rows. `20261129` would be a
    time in 1970, in seconds.
    """
    return [
        (name, "invalid", detail)
        for name, kinds in _kinds_of_fields(shape).items()
        if name in texts and (detail := _guess(texts[name], kinds))
    ]


def _guess(text: str, kinds: frozenset[Any]) -> str | None:
    if text.lower() == "null" and str not in kinds:
        return "Omit a parameter that has no value."
    if datetime in kinds and ":" not in text:
        return "Expected a time such as 2026-01-31T12:00:00Z."
    return None


@cache
def _kinds_of_fields(shape: Any) -> dict[str, frozenset[Any]]:
    return {
        field.encode_name: frozenset(kind for kind in _kinds(field.type) if isinstance(kind, type))
        for field in msgspec.structs.fields(shape)
    }


def _kinds(of_type: Any) -> Iterator[Any]:
    yield of_type
    for part in get_args(of_type):
        yield from _kinds(part)


def _faults(value: Any, shape: Any, first: str, *, strict: bool) -> Iterator[Fault]:
    """Yield the faults of all fields, so that a caller learns of each; otherwise the one that msgspec met first."""
    if not (isinstance(value, dict) and isinstance(shape, type) and issubclass(shape, msgspec.Struct)):
        yield _fault(first)
        return
    fields = {field.encode_name: field for field in msgspec.structs.fields(shape)}
    unknown = islice(_unknown(value, fields, shape), _MOST_UNKNOWN)
    found = [(_shown(name), "unknown_field", _NAMED_DETAILS["unknown_field"]) for name in unknown]
    for name, field in fields.items():
        if name not in value:
            if field.required:
                found.append(_fault(f"Object missing required field `{name}`"))
        elif (message := _message(value[name], field.type, strict=strict)) is not None:
            found.append(_fault(message, under=name, choices=_choices(field.type)))
    yield from found or [_fault(first)]


def _unknown(value: dict[str, Any], fields: Mapping[str, Any], shape: type[msgspec.Struct]) -> Iterator[str]:
    if shape.__struct_config__.forbid_unknown_fields:
        yield from (name for name in value if name not in fields)


def _message(value: Any, of_type: Any, *, strict: bool) -> str | None:
    try:
        msgspec.convert(value, of_type, strict=strict)
    except msgspec.ValidationError as error:
        return str(error)
    return None


def _fault(message: str, *, under: str = _NO_FIELD, choices: tuple[Any, ...] = ()) -> Fault:
    where = _PATH.search(message)
    path = under + (where["path"] if where else "")
    sentence = _PATH.sub("", message)
    code = next((code for beginning, code in _CODES if beginning.match(sentence)), "invalid")
    named = _NAMED.match(sentence)
    if named:
        return f"{path}.{_shown(named['name'])}".lstrip("."), code, _NAMED_DETAILS[code]
    return path.lstrip("."), code, _detail(sentence, code, choices)


def _shown(name: str) -> str:
    return _ODD.sub("?", name[:_LONGEST_NAME])


_NAMED_DETAILS = {"required": "This field is required.", "unknown_field": "Unknown field."}


def _detail(sentence: str, code: str, choices: tuple[Any, ...]) -> str:
    """Return msgspec's message, unless it repeats the input."""
    if code == "invalid_choice":
        return (
            f"Must be one of: {', '.join(map(str, choices))}." if choices else "Must be one of the choices."
        )
    return f"{sentence}."


def _choices(of_type: Any) -> tuple[Any, ...]:
    """Return the values of an enum or a Literal, also inside Optional and Annotated."""
    if isinstance(of_type, type) and issubclass(of_type, Enum):
        return tuple(member.value for member in of_type)
    flat: list[Any] = []
    for argument in get_args(of_type):
        flat.extend(_choices(argument) or ([argument] if isinstance(argument, str) else []))
    return tuple(flat)
