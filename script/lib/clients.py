"""Write the generated half of clients/ (`script/clients`): Python and TypeScript types from the OpenAPI documents and
clients/events.toml, and Python's synchronous client, which is the asynchronous one without its `await`. The built
TypeScript client is written to where the /demo page loads it.
"""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT))

from client_languages import Python, TypeScript  # noqa: E402
from client_shapes import Events, Shapes  # noqa: E402

LISTENERS = ("public", "internal")
PYTHON = Path("clients/python/src/auth_service_client")
TYPESCRIPT = Path("clients/typescript/src/generated")
DEMO = Path("config/demo/static/demo/client")
STDIN = PYTHON / "made.py"  # its path tells ruff which imports are first-party
SOURCE = "Made by script/clients from the OpenAPI documents; edit those."
# The modules behind `createClient`; the others are for services.
PAGE = {"errors", "http", "index", "passkeys", "session"}
# From the asynchronous client to the synchronous one, in this order.
SYNCHRONOUS = (
    (r"\bAsync(?=[A-Z])", ""),
    (r"\b(async def|async with|async for)\b", lambda found: found[0].removeprefix("async ")),
    (r"\bawait ", ""),
    (r"__a(enter|exit|iter)__", r"__\1__"),
    (r"\baclose\b", "close"),
    (r"\basynchronous_waiting\b", "synchronous_waiting"),
    (r"\A[^\n]*", '"""Made by script/clients from asynchronous.py; edit that."""'),
)


def files() -> dict[Path, str]:
    """Return the text of every generated file by its path in the project."""
    documents = {listener: _document(listener) for listener in LISTENERS}
    events = Events(tomllib.loads((ROOT / "clients" / "events.toml").read_text()))
    internal = Shapes(documents["internal"])
    python, typescript = Python(), TypeScript()
    return {
        PYTHON / "types.py": _formatted(python.types(internal, SOURCE)),
        PYTHON / "problems.py": _formatted(python.problems(internal, SOURCE)),
        PYTHON / "events.py": _formatted(python.events(events)),
        PYTHON / "synchronous.py": _formatted(synchronous((ROOT / PYTHON / "asynchronous.py").read_text())),
        **{
            TYPESCRIPT / f"{listener}.ts": typescript.types(Shapes(documents[listener]), SOURCE)
            for listener in LISTENERS
        },
        TYPESCRIPT / "problems.ts": typescript.problems(
            [Shapes(documents[one]) for one in LISTENERS], SOURCE
        ),
        TYPESCRIPT / "events.ts": typescript.events(events),
    }


def modules(built: Path) -> dict[Path, str]:
    """Return the modules of the built TypeScript client that /demo loads, without source maps."""
    texts = {path: path.read_text() for path in sorted(built.glob("*.js"))}
    return {
        DEMO / path.name: text.partition("//# sourceMappingURL")[0]
        for path, text in texts.items()
        if path.stem in PAGE
    }


def synchronous(source: str) -> str:
    for pattern, replacement in SYNCHRONOUS:
        source = re.sub(pattern, replacement, source)
    return source


def _document(listener: str) -> dict[str, Any]:
    from config.openapi import openapi

    document: dict[str, Any] = json.loads(openapi(f"config.urls.{listener}"))
    return document


def _formatted(source: str) -> str:
    """Return the source with sorted imports and formatted with `ruff format`, so that it passes the same checks."""
    for command in (["check", "--fix-only", "--select", "I,UP028"], ["format"]):
        program = [str(Path(sys.executable).with_name("ruff")), *command, "--stdin-filename", str(STDIN), "-"]
        source = subprocess.run(
            program, cwd=ROOT, input=source, capture_output=True, text=True, check=True
        ).stdout
    return source


def build() -> dict[Path, str]:
    """Return `modules` of clients/typescript as built by the tests' compiler."""
    from tests.clients.packages import NODE, copied, node_packages, run

    with TemporaryDirectory() as directory:
        source = copied(ROOT / "clients" / "typescript", Path(directory))
        run([NODE, node_packages() / "typescript" / "bin" / "tsc", "--project", "."], source)
        return modules(source / "dist")


def main() -> None:
    for path, text in {**files(), **build()}.items():
        (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / path).write_text(text)
        print(path)


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.test")
    import django

    django.setup()
    main()
