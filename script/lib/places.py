"""Where the embedded servers keep their files, and which user they run as."""

import hashlib
import os
import pwd
import re
import secrets
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from supervise import Account

NAME = "auth-service"
LONGEST_SOCKET_PATH = 103  # sun_path has 104 bytes on macOS, 108 on Linux, including the closing NUL
PLAIN_PATH = re.compile(r"[\w./-]+", re.ASCII)  # needs no quoting in a URL, a shell or a server's settings


def program(name: str) -> str:
    """Return the path of a server program, which may be missing from other users' PATH; "" if it is not installed."""
    return shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin") or ""


def unprivileged_account() -> Account | None:
    """Return the user to run PostgreSQL as, since it refuses root; None for the current user."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody", "daemon"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid:
            return Account(entry.pw_uid, entry.pw_gid)
    raise SystemExit(
        "PostgreSQL refuses to run as root, and this system has no `postgres` or `nobody` user to run it as.\n"
        "Add one (useradd --system postgres), run this as an ordinary user, or set DATABASE_URL."
    )


def check_system() -> None:
    """Exit with advice under two conditions that make initdb fail with an unhelpful message."""
    mode = Path(os.devnull).stat().st_mode
    if not stat.S_ISCHR(mode) or mode & 0o666 != 0o666:
        raise SystemExit(
            f"{os.devnull} is not a device that everybody may read and write, so PostgreSQL cannot start.\n"
            f"Mend it as root: rm -f {os.devnull}; mknod -m 666 {os.devnull} c 1 3"
        )
    try:
        pwd.getpwuid(os.geteuid())
    except KeyError:
        raise SystemExit(
            f"User id {os.geteuid()} has no entry in /etc/passwd, so PostgreSQL cannot start as it.\n"
            "Add one, run this as another user, or set DATABASE_URL."
        ) from None


def run_as(account: Account | None, argv: Sequence[str | Path]) -> subprocess.CompletedProcess[str]:
    """Run a short command as that user, from a directory that everyone may enter."""
    return subprocess.run(
        argv,
        cwd="/",
        env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=[] if account else None,
    )


def may_use(directory: Path, account: Account) -> bool:
    """Return whether that user can work in its own directory below this one (the path to it may be closed)."""
    probe = Path(tempfile.mkdtemp(prefix=".probe-", dir=directory))
    try:
        os.chown(probe, account.uid, account.gid)
        return has_access(account, "-w", probe)
    finally:
        probe.rmdir()


def has_access(account: Account, kind: str, path: Path) -> bool:
    """Return test(1)'s answer for that user: -w, may write; -x, may execute."""
    return run_as(account, ["/bin/sh", "-c", 'test "$0" "$1"', kind, path]).returncode == 0


def private_directory(path: Path, account: Account | None = None) -> Path:
    """Create a directory that only its user may enter, and return it. Exit if it belongs to someone else."""
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    owner = account.uid if account else os.geteuid()
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in {owner, os.geteuid()}:
        raise SystemExit(f"{path} belongs to someone else. Remove it, or set VAR_DIR to another directory.")
    if account:
        os.chown(path, account.uid, account.gid)
    path.chmod(0o700)
    return path


def outside_directory(variable_directory: Path, purpose: str) -> Path:
    """Return a directory name under /var/tmp for what cannot be in VAR_DIR.

    It is bound to this VAR_DIR by a random word kept there, so that a new VAR_DIR in place of a removed one, or a copy
    of another, never meets an earlier one's data.
    """
    word_file = variable_directory / "instance"
    if not word_file.exists():
        word_file.write_text(secrets.token_hex(8))
    bond = f"{word_file.read_text()}:{variable_directory.resolve()}:{os.geteuid()}"
    return Path("/var/tmp") / f"{NAME}-{purpose}-{hashlib.sha256(bond.encode()).hexdigest()[:12]}"  # noqa: S108


def socket_directory(
    home: Path, variable_directory: Path, longest_name: str, account: Account | None
) -> Path:
    """Return `home` if its path is short and plain, otherwise a private directory with such a path."""
    path = str(home / longest_name)
    if len(os.fsencode(path)) <= LONGEST_SOCKET_PATH and PLAIN_PATH.fullmatch(path):
        return home
    return private_directory(outside_directory(variable_directory, home.name), account)
