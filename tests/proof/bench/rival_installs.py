"""Installs the rivals' dependencies, once and pinned, into their own folders below VAR_DIR."""

import os
import shutil
import subprocess
import venv
from collections.abc import Sequence
from pathlib import Path

DIRECTORY = Path(os.environ["VAR_DIR"])
RIVALS = Path(__file__).parent / "rivals"
REQUIREMENTS = Path(__file__).with_name("requirements.txt")
PYTHON_HOME, NODE_HOME = DIRECTORY / "rivals", DIRECTORY / "rivals-node"


class Unavailable(Exception):
    """A rival cannot be installed here: its rows are left out, and a message says so."""


def python() -> Path:
    """Return the interpreter that has FastAPI, Django REST Framework and django-hordak."""
    record = PYTHON_HOME / "installed.txt"
    interpreter = PYTHON_HOME / "bin" / "python"
    if not _is_current(record, REQUIREMENTS):
        print("Installing what the rivals in Python need (once) ...", flush=True)
        venv.create(PYTHON_HOME, clear=True, with_pip=True)
        pip = [str(interpreter), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        _run([*pip, "--require-hashes", "--requirement", str(REQUIREMENTS)])
        record.write_bytes(REQUIREMENTS.read_bytes())
    return interpreter


def better_auth() -> list[str]:
    """Return the command of its server, which is kept beside its packages because node looks for them there."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        raise Unavailable("node and npm are not installed")
    sources = RIVALS / "better_auth"
    lock = sources / "package-lock.json"
    record = NODE_HOME / "installed.json"
    NODE_HOME.mkdir(exist_ok=True)
    for file in sources.iterdir():
        shutil.copy(file, NODE_HOME)
    if not _is_current(record, lock):
        print("Installing better-auth (once) ...", flush=True)
        _run(["npm", "ci", "--prefix", str(NODE_HOME), "--no-audit", "--no-fund", "--ignore-scripts"])
        record.write_bytes(lock.read_bytes())
    return ["node", str(NODE_HOME / "server.mjs")]


def _is_current(record: Path, wanted: Path) -> bool:
    return record.exists() and record.read_bytes() == wanted.read_bytes()


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Unavailable((done.stderr or done.stdout).strip()[-500:])
