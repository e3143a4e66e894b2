"""Builds the shapes of bodies and answers in advance: the first requests would otherwise build them at once in several
threads.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from django.conf import settings
from django.urls import URLPattern, URLResolver, get_resolver
from rest_framework.views import APIView

from accounts.kit import shapes
from accounts.tiers import Endpoint, NoBody, Query


def build_shapes() -> None:
    """Build every shape of this listener's URLconf. Call it while there is a single thread: before a fork, before
    serving.
    """
    for shape in (NoBody, Query, *shapes_of(get_resolver(settings.ROOT_URLCONF).url_patterns)):
        shapes.build(shape)


def shapes_of(patterns: Sequence[URLPattern | URLResolver]) -> Iterator[Any]:
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            yield from shapes_of(pattern.url_patterns)
        elif issubclass(getattr(pattern.callback, "cls", APIView), Endpoint):
            yield from _shapes_of_view(pattern.callback.cls)  # type: ignore[attr-defined]


def _shapes_of_view(view: type[Endpoint]) -> Iterator[Any]:
    """Yield a view's Body, its Query, and the answers that its handlers declare."""
    handlers = (getattr(view, name, None) for name in view.http_method_names)
    operations = (getattr(handler, "operation", None) for handler in handlers)
    answers = (operation.answer for operation in operations if operation)
    yield from (shape for shape in (view.Body, view.Query, *answers) if shape is not None)
