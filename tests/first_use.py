"""Races at the first use of shapes, for tests/test_first_use.py: prints how each process ended.

forked  all shapes of the listener's URLconf, in forks of a process that has imported config.wsgi
alone   the same, in processes that have imported it themselves
late    a shape that nobody knew of, by accounts.kit.shapes
bare    such a shape, by msgspec itself
"""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Annotated, Any, Literal

import msgspec

THREADS, FORKS, ALONE, BARE = 4, 12, 2, 40
SHORTEST_TURN = 1e-6  # seconds that a thread keeps the interpreter

Use = Callable[[], object]


def race(uses: Sequence[Use]) -> None:
    sys.setswitchinterval(SHORTEST_TURN)
    together = threading.Barrier(THREADS)

    def work() -> None:
        for use in uses:
            together.wait()
            with suppress(Exception):  # a refusal is an answer too; what counts is that the process lives
                use()

    threads = [threading.Thread(target=work) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def in_forks(uses: Sequence[Use], number: int) -> None:
    for _ in range(number):
        child = os.fork()
        if child == 0:
            race(uses)
            os._exit(0)
        tell(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


def tell(status: int) -> None:
    print(signal.Signals(-status).name if status < 0 else status, flush=True)  # noqa: T201 -- the test reads it


def of_the_listener() -> list[Use]:
    """Each shape of the URLconf with its example: where that is wrong or missing, with an empty object."""
    import config.wsgi  # noqa: F401 -- what a server does before it serves
    from accounts.kit import shapes
    from tests.surface import routes_of

    handlers = [
        (route.view, getattr(route.view, route.method.lower()))
        for route in routes_of(os.environ["LISTENER"])
        if route.view is not None
    ]
    known: list[tuple[Any, Any]] = [
        (shape, value)
        for view, operation in ((view, getattr(handler, "operation", None)) for view, handler in handlers)
        if operation
        for shape, value in (
            (view.Body, operation.body_example),
            (view.Query, {}),
            (operation.answer, operation.example),
        )
        if shape is not None
    ]
    assert known
    return [partial(shapes.convert, value or {}, shape) for shape, value in known]


def late_shape() -> tuple[type[msgspec.Struct], dict[str, Any]]:
    """A union of tagged structs, as the batch of credits has one: msgspec takes longest to read such."""
    fields = [
        (f"field{n}", Annotated[Literal["a", "b"] | None, msgspec.Meta(description=str(n))])
        for n in range(20)
    ]
    members = [msgspec.defstruct(f"Late{n}", fields, tag=f"late{n}") for n in range(4)]
    union: Any = members[0] | members[1] | members[2] | members[3]
    shape = msgspec.defstruct("Late", [("operations", list[union])])
    return shape, {"operations": [{"type": "late2", **{name: "a" for name, _ in fields}}] * 20}


def main(how: str) -> None:
    if how == "forked":
        in_forks(of_the_listener(), FORKS)
    elif how == "alone":
        for _ in range(ALONE):
            tell(subprocess.run([sys.executable, __file__, "one"], check=False).returncode)
    elif how == "one":
        race(of_the_listener())
    elif how == "late":
        from accounts.kit import shapes

        shape, value = late_shape()
        in_forks([lambda: shapes.convert(value, shape)], BARE)
    else:
        shape, value = late_shape()
        in_forks([lambda: msgspec.convert(value, shape)], BARE)


if __name__ == "__main__":
    main(sys.argv[1])
