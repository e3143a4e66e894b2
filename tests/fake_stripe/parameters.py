"""Checks decoded form parameters against the SDK's TypedDicts and converts them to their types.

Enumerations that the SDK leaves open are closed: `Literal["a", "b"] | str` takes only "a" and "b".
"""

import re
import sys
import types
import typing
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from functools import cache
from typing import Any

import stripe
import typing_extensions

from tests.fake_stripe.wire import Json, Refusal

WHOLE = re.compile(r"-?[0-9]{1,18}")


def typed(raw: Json, class_name: str) -> Json:
    """Return the parameters as Python values, or raise Stripe's 400. `class_name` is relative to `stripe.params`."""
    converted = convert(raw, parameter_class(class_name), "")
    assert isinstance(converted, dict)
    return converted


@cache
def parameter_class(name: str) -> Any:
    found: Any = stripe.params
    for part in name.split("."):
        found = getattr(found, part)
    return found


@cache
def fields(structure: Any) -> dict[str, tuple[Any, bool]]:
    """Return (type, required) of each field of a TypedDict, by name."""
    names = {**vars(typing), **vars(typing_extensions), **vars(sys.modules[structure.__module__])}
    found = {}
    for name, annotation in structure.__annotations__.items():
        if name in stripe.RequestOptions.__annotations__:
            continue  # `api_key`, `idempotency_key`, ...: these never go over the wire
        resolved = resolve(annotation, names)
        optional = typing_extensions.get_origin(resolved) is typing_extensions.NotRequired
        inner = typing_extensions.get_args(resolved)[0] if optional else resolved
        found[name] = (resolve(inner, names), not optional)
    return found


def resolve(annotation: Any, names: dict[str, Any]) -> Any:
    """Resolve forward references, strings such as `Literal['']|List[CustomerCreateParamsShipping]`."""
    if isinstance(annotation, typing.ForwardRef):
        annotation = annotation.__forward_arg__
    if isinstance(annotation, str):
        annotation = eval(annotation, dict(names))  # noqa: S307  (text of the installed SDK)
    return annotation


def convert(value: Any, wanted: Any, path: str, names: dict[str, Any] | None = None) -> Any:
    wanted = resolve(wanted, names or {})
    origin = typing_extensions.get_origin(wanted)
    if typing_extensions.is_typeddict(wanted):
        return structure(value, wanted, path)
    if origin in {typing.Union, types.UnionType}:
        return alternative(value, typing_extensions.get_args(wanted), path, names)
    if origin in {list, dict, typing.Literal}:
        return CONTAINERS[origin](value, typing_extensions.get_args(wanted), path, names)
    if wanted is Any or wanted is object:
        return value
    return scalar(value, wanted, path)


def structure(value: Any, wanted: Any, path: str) -> Json:
    if not isinstance(value, dict):
        raise invalid("object", path)
    known, names = fields(wanted), vars(sys.modules[wanted.__module__])
    for name in value:
        if name not in known:
            unknown = inside(path, name)
            message = f"Received unknown parameter: {unknown}"
            raise Refusal(message, code="parameter_unknown", param=unknown, stored=False)
    for name, (_, required) in known.items():
        if required and name not in value:
            lacking = inside(path, name)
            message = f"Missing required param: {lacking}."
            raise Refusal(message, code="parameter_missing", param=lacking, stored=False)
    return {
        name: convert(given, known[name][0], inside(path, name), dict(names)) for name, given in value.items()
    }


def alternative(value: Any, wanted: tuple[Any, ...], path: str, names: dict[str, Any] | None) -> Any:
    """Return the value as the first type that fits. Next to an enumeration, `str` takes no other strings."""
    resolved = [resolve(one, names or {}) for one in wanted]
    if any(is_enumeration(one) for one in resolved):
        resolved = [one for one in resolved if one is not str]
    first: Refusal | None = None
    for one in sorted(resolved, key=lambda one: one is str):
        try:
            return convert(value, one, path, names)
        except Refusal as refusal:
            empty_only = typing_extensions.get_args(one) == ("",)
            first = refusal if first is None or isinstance(value, dict) or empty_only else first
    raise first or invalid("value", path)


def is_enumeration(wanted: Any) -> bool:
    literal = typing_extensions.get_origin(wanted) is typing.Literal
    return literal and typing_extensions.get_args(wanted) != ("",)


def array(value: Any, wanted: tuple[Any, ...], path: str, names: dict[str, Any] | None) -> list[Any]:
    if not isinstance(value, dict) or not all(name.isdigit() for name in value):
        raise invalid("array", path)
    ordered = sorted(value.items(), key=lambda pair: int(pair[0]))
    return [convert(given, wanted[0], inside(path, place), names) for place, given in ordered]


def mapping(value: Any, wanted: tuple[Any, ...], path: str, names: dict[str, Any] | None) -> Json:
    if not isinstance(value, dict):
        raise invalid("object", path)
    return {name: convert(given, wanted[1], inside(path, name), names) for name, given in value.items()}


def enumeration(value: Any, wanted: tuple[Any, ...], path: str, names: dict[str, Any] | None) -> Any:
    for one in wanted:
        if value == str(one) or (isinstance(one, bool) and value == str(one).lower()):
            return one
    choices = ", ".join(str(one) for one in wanted)
    raise Refusal(f"Invalid {path}: must be one of {choices}", param=path, stored=False)


CONTAINERS: dict[Any, Callable[..., Any]] = {list: array, dict: mapping, typing.Literal: enumeration}


def scalar(value: Any, wanted: Any, path: str) -> Any:
    if not isinstance(value, str):
        raise invalid("string" if wanted is str else wanted.__name__, path)
    if wanted is bool and value in {"true", "false"}:
        return value == "true"
    if wanted is int and WHOLE.fullmatch(value):
        return int(value)
    if wanted in {float, Decimal}:
        return number(value, wanted, path)
    if wanted is str:
        return text(value, path)
    raise invalid({int: "integer", bool: "boolean"}.get(wanted, wanted.__name__), path)


def number(value: str, wanted: Any, path: str) -> Any:
    try:
        return wanted(value)
    except (ValueError, InvalidOperation):
        raise invalid("decimal", path) from None


def text(value: str, path: str) -> str:
    """Return the text. An empty string unsets a value, which only optional parameters of an update may do: they have
    Literal[''].
    """
    if len(value) > 5000:
        raise Refusal(f"Invalid string: {path} is too long", code="parameter_invalid_string", param=path)
    return value


def invalid(kind: str, path: str) -> Refusal:
    code = f"parameter_invalid_{kind}" if kind in {"integer", "string"} else None
    return Refusal(f"Invalid {kind}", code=code, param=path, stored=False)


def inside(path: str, name: str) -> str:
    return f"{path}[{name}]" if path else name
