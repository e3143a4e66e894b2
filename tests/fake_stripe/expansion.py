"""`expand[]`: ids become objects, and parts that are otherwise left out are included."""

import copy
from collections.abc import Callable
from typing import Any

from tests.fake_stripe.store import Store
from tests.fake_stripe.wire import Json, Refusal

DEEPEST = 4
INCLUDED: dict[tuple[str, str], Callable[[Store, Json], Any]] = {}
NOT_EXPANDABLE = {
    "id",
    "object",
    "status",
    "type",
    "currency",
    "client_secret",
    "url",
    "number",
    "description",
}


def includes(kind: str, name: str) -> Callable[[Callable[[Store, Json], Any]], Callable[[Store, Json], Any]]:
    """Register the builder of a part of `kind` that only `expand` shows."""

    def register(builder: Callable[[Store, Json], Any]) -> Callable[[Store, Json], Any]:
        INCLUDED[kind, name] = builder
        return builder

    return register


def expanded(store: Store, answer: Json, paths: list[str]) -> Json:
    """Return a copy of the answer, as Stripe sends it."""
    result = copy.deepcopy(answer)
    for path in paths:
        parts = path.split(".")
        if len(parts) > DEEPEST:
            message = f"You cannot expand more than 4 levels of a property. Property: {path}"
            raise Refusal(message, param="expand", stored=False)
        walk(store, result, parts, path)
    return result


def walk(store: Store, node: Any, parts: list[str], path: str) -> None:
    if isinstance(node, list):
        for one in node:
            walk(store, one, parts, path)
        return
    if not parts or node is None:
        return
    name = parts[0]
    node[name] = opened(store, node, name, path)
    walk(store, node[name], parts[1:], path)


def opened(store: Store, node: Any, name: str, path: str) -> Any:
    if not isinstance(node, dict):
        raise cannot(path)
    builder = INCLUDED.get((node.get("object", ""), name))
    if builder:
        return copy.deepcopy(builder(store, node))
    value = node.get(name)
    if name not in node or (isinstance(value, str) and name in NOT_EXPANDABLE):
        raise cannot(path)
    if isinstance(value, str):
        found = store.find(value) or store.deleted.get(value)
        if found is None:
            raise cannot(path)
        return copy.deepcopy(found)
    return value


def cannot(path: str) -> Refusal:
    return Refusal(f"This property cannot be expanded ({path}).", param="expand", stored=False)
