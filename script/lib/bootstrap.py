"""Makes the virtual environment, installs the locked packages, and continues in it: `bootstrap.py serve|check ...`.

Standard library only: it runs before anything is installed.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import platform
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import installing
from console import open_closed_streams

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = ROOT / ".venv"
PYTHON = ENVIRONMENT / "bin" / "python"
RECORD = ENVIRONMENT / "installed.json"
BASE, DEVELOPMENT, EMBEDDED = "requirements.txt", "requirements-dev.txt", "requirements-embedded.txt"
GOOGLE = "requirements-google.txt"  # the stand-in for Google
DEMO = "requirements-demo.txt"  # what clients/python needs


def main(command: str, *arguments: str) -> None:
    """Replace this process with `script/lib/<command>.py`, in an environment that has what the command needs."""
    open_closed_streams()
    reach_this_machine_directly()
    os.environ.setdefault("STARTED_AT", str(time.time()))
    os.environ.pop(
        "PYTHONDONTWRITEBYTECODE", None
    )  # without compiled files, a second start takes seconds longer
    ensure_installed(needed_by(command, arguments))
    os.execv(PYTHON, [str(PYTHON), str(Path(__file__).with_name(f"{command}.py")), *arguments])


def reach_this_machine_directly() -> None:
    """Name this machine among what needs no proxy, for all that is started: a proxy leads to pip's index, not here."""
    said = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    if said != "*":
        said = ",".join([*filter(None, [said]), "127.0.0.1", "localhost"])
    os.environ["no_proxy"] = os.environ["NO_PROXY"] = said


def needed_by(command: str, arguments: Sequence[str] = ()) -> list[str]:
    if command == "check":
        return [BASE, DEVELOPMENT, EMBEDDED]
    if command == "demo":
        return [BASE, DEMO]
    external = os.environ.get("DATABASE_URL") and os.environ.get("REDIS_URL")
    return [BASE, *([] if external else [EMBEDDED]), *([GOOGLE] if "--with-google" in arguments else [])]


def ensure_installed(lock_files: list[str]) -> None:
    """Install what is missing; do nothing if the record says that all is there. Safe beside another bootstrap of the
    same checkout.
    """
    if not missing(lock_files):
        return
    with one_at_a_time():
        if read_record().get("made_for") != identity():
            make_environment()
        if lacking := missing(lock_files):
            installing.install(PYTHON, [ROOT / name for name in lacking])
            RECORD.write_text(json.dumps(read_record() | {name: digest(name) for name in lacking}))


def missing(lock_files: list[str]) -> list[str]:
    record = read_record()
    if record.get("made_for") != identity():
        return lock_files
    return [name for name in lock_files if record.get(name) != digest(name)]


def identity() -> str:
    """Identify the environment, which works only where it was made. Any Python may start us again: the one inside is
    new enough.
    """
    return f"{ENVIRONMENT} {sys.platform} {platform.machine()}"


def digest(lock_file: str) -> str:
    return hashlib.sha256((ROOT / lock_file).read_bytes()).hexdigest()


def read_record() -> dict[str, str]:
    try:
        record: dict[str, str] = json.loads(RECORD.read_text())
    except (OSError, ValueError):
        return {}
    return record if PYTHON.exists() else {}


@contextlib.contextmanager
def one_at_a_time() -> Iterator[None]:
    with (ROOT / BASE).open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def make_environment() -> None:
    if ENVIRONMENT.is_symlink():  # its target belongs to another checkout, and would be emptied
        sys.exit(f"{ENVIRONMENT} is a link. Remove it; the environment is then made here.")
    if not (installing.has("pip") or installing.has("ensurepip")):
        sys.exit(
            f"{sys.executable} has neither pip nor the module ensurepip, so nothing can be installed.\n"
            "Debian and Ubuntu: apt install python3-venv; then run this again."
        )
    without = ["--without-pip"] if installing.has("pip") else []
    done = installing.run([sys.executable, "-m", "venv", "--clear", *without, str(ENVIRONMENT)])
    if done.returncode:
        sys.exit(
            f"{ENVIRONMENT} could not be made (is the directory yours to write?):\n{done.stdout}{done.stderr}"
        )
    RECORD.write_text(json.dumps({"made_for": identity()}))


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except KeyboardInterrupt:
        sys.exit(130)
