"""Keep what a view says about itself for the OpenAPI document, at no cost to requests."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, TypeVar

from accounts.kit.problems import Problem

Handler = TypeVar("Handler", bound=Callable[..., Any])
_OF_ANY_FORM = (400, 429)  # statuses of refusals that any form may get


@dataclass(frozen=True, kw_only=True)
class Operation:
    """The documentation of a handler, stored by `documented` and read by config/openapi.py."""

    summary: str
    answer: Any
    status: int
    example: Any
    body_example: Any
    problems: tuple[type[Problem], ...]
    idempotent: bool
    repeatable: bool
    paged: bool
    headers: Mapping[str, str]
    redirects: Mapping[int, str]
    has_pages: bool

    def pages(self) -> set[int]:
        """Return the statuses with which a form is answered by a page."""
        if not self.has_pages:
            return set()
        done = HTTPStatus.OK if self.status == HTTPStatus.NO_CONTENT else self.status
        return {done, *_OF_ANY_FORM, *(problem.status_code for problem in self.problems)}


def documented(
    summary: str,
    *,
    answer: Any = None,
    status: int = 200,
    example: Any = None,
    body_example: Any = None,
    problems: tuple[type[Problem], ...] = (),
    idempotent: bool = False,
    repeatable: bool = False,
    paged: bool = False,
    headers: Mapping[str, str] | None = None,
    redirects: Mapping[int, str] | None = None,
    has_pages: bool = False,
) -> Callable[[Handler], Handler]:
    """Describe a handler (`get`, `post`, ...). Its docstring is the description.

    `answer` is the type of the response body (a msgspec Struct or any type that msgspec knows; None: no body),
    `example` one such body as JSON, and `body_example` a request body. The types of the body, query parameters and path
    come from the view's `Body` and `Query` and from its route. `problems` lists only the refusals specific to this
    call; those of its tier, of its body and of every call are added. `idempotent` means that Idempotency-Key is
    required, `repeatable` that it may be sent, `paged` that `answer` is an item of a list with `limit`, `cursor` and
    `next`. `headers` names additional response headers, `redirects` the redirect statuses (3xx) and their targets;
    `has_pages` means that a form is answered with a page.
    """
    operation = Operation(
        summary=summary,
        answer=answer,
        status=status,
        example=example,
        body_example=body_example,
        problems=problems,
        idempotent=idempotent,
        repeatable=repeatable,
        paged=paged,
        headers=headers or {},
        redirects=redirects or {},
        has_pages=has_pages,
    )

    def mark(handler: Handler) -> Handler:
        handler.operation = operation  # type: ignore[attr-defined]
        return handler

    return mark
