"""Checks that an object matches the SDK's resource classes: no unknown or missing key, every value of its type."""

import sys
import types
import typing
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import stripe
from stripe._stripe_object import UntypedStripeObject

from tests.fake_stripe.kinds import KINDS, annotations, is_optional
from tests.fake_stripe.wire import Json

OBJECTS = {kind.__name__: kind for kind in KINDS.values() if kind.__module__.count(".") == 1}


def differences(given: Json) -> list[str]:
    """Return the differences, each with its path."""
    kind = given.get("object", "")
    resource = KINDS.get(kind)
    return list(of_class(given, resource, kind)) if resource else [f"{kind}: no such kind"]


def of_class(given: Any, resource: type, path: str) -> Iterator[str]:
    if not isinstance(given, dict):
        yield f"{path}: {given!r} is no {resource.__name__}"
        return
    known = annotations(resource)
    names = vars(sys.modules[resource.__module__])
    for name, value in given.items():
        if name in known:
            yield from of_type(value, known[name], f"{path}.{name}", names)
        elif not (name == "object" or is_deleted(given)):
            yield f"{path}.{name}: unknown"
    for name, wanted in known.items():
        if name not in given and not is_optional(resolved(wanted, names)):
            yield f"{path}.{name}: missing"


def is_deleted(given: Json) -> bool:
    return bool(given.get("deleted"))


def resolved(wanted: Any, names: dict[str, Any]) -> Any:
    if isinstance(wanted, typing.ForwardRef):
        wanted = wanted.__forward_arg__
    if isinstance(wanted, str):
        wanted = (
            names.get(wanted) or getattr(stripe, wanted, None) or OBJECTS.get(wanted, stripe.StripeObject)
        )
    return wanted


def of_type(value: Any, wanted: Any, path: str, names: dict[str, Any]) -> Iterator[str]:
    wanted = resolved(wanted, names)
    origin, arguments = typing.get_origin(wanted) or wanted, typing.get_args(wanted)
    if origin in {typing.Union, types.UnionType}:
        yield from of_union(value, arguments, path, names)
    elif origin is typing.Literal:
        if value not in arguments:
            yield f"{path}: {value!r} is none of {arguments[:8]}"
    elif origin in COLLECTIONS:
        yield from COLLECTIONS[origin](value, arguments, path, names)
    elif isinstance(origin, type) and issubclass(origin, stripe.StripeObject):
        yield from of_class(value, origin, path)
    elif not is_scalar(value, wanted):
        yield f"{path}: {value!r} is no {getattr(wanted, '__name__', wanted)}"


def of_union(value: Any, choices: tuple[Any, ...], path: str, names: dict[str, Any]) -> Iterator[str]:
    """Yield the differences, with enumerations closed: `Literal["a"] | str` takes only "a"."""
    resolved_choices = [resolved(one, names) for one in choices]
    if any(typing.get_origin(one) is typing.Literal for one in resolved_choices):
        resolved_choices = [one for one in resolved_choices if one is not str]
    results = [list(of_type(value, one, path, names)) for one in resolved_choices]
    if all(results):
        yield from min(
            (found for found in results), key=lambda found: (not isinstance(value, dict), len(found))
        )


def of_list(value: Any, arguments: tuple[Any, ...], path: str, names: dict[str, Any]) -> Iterator[str]:
    if not isinstance(value, list):
        yield f"{path}: {value!r} is no list"
        return
    for place, one in enumerate(value):
        yield from of_type(one, arguments[0], f"{path}[{place}]", names)


def of_list_object(value: Any, arguments: tuple[Any, ...], path: str, names: dict[str, Any]) -> Iterator[str]:
    if not isinstance(value, dict) or value.get("object") != "list":
        yield f"{path}: {value!r} is no list object"
        return
    yield from of_list(value["data"], arguments, f"{path}.data", names)


def of_mapping(value: Any, arguments: tuple[Any, ...], path: str, names: dict[str, Any]) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{path}: {value!r} is no mapping"
        return
    for name, one in value.items():
        yield from of_type(one, arguments[0], f"{path}.{name}", names)


COLLECTIONS: dict[Any, Callable[..., Iterator[str]]] = {
    list: of_list,
    stripe.ListObject: of_list_object,
    UntypedStripeObject: of_mapping,
}


def is_scalar(value: Any, wanted: Any) -> bool:
    """Return whether the value has the type; decimals are strings over the wire, and true is not a number."""
    if wanted in {Any, object}:
        return True
    if wanted is None or wanted is type(None):
        return value is None
    if wanted is Decimal:
        return isinstance(value, str)
    if wanted is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    return isinstance(value, wanted) and (wanted is bool or not isinstance(value, bool))
