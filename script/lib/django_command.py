"""Runs Django's command line on the instance in VAR_DIR: with its secrets, and its embedded servers if it has any."""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT))

import dev_env  # noqa: E402
import fake_stripe_child  # noqa: E402
from postgres import OWNER, Postgres  # noqa: E402
from valkey import Valkey  # noqa: E402


def main(arguments: list[str]) -> None:
    directory = Path(os.environ.get("VAR_DIR") or ROOT / "var").resolve()
    if not (directory / "dev.env").exists():
        raise SystemExit(f"There is no instance in {directory} yet: start script/server first.")
    environment = {
        "DJANGO_SETTINGS_MODULE": "config.settings.dev",
        **dev_env.load(directory / "dev.env"),
        **fake_stripe_child.read(directory),
        **os.environ,
        "VAR_DIR": str(directory),
    }
    if not environment.get("DATABASE_URL"):
        postgres = Postgres(directory)
        environment["DATABASE_URL"], environment["DATABASE_MIGRATE_URL"] = postgres.url(), postgres.url(OWNER)
    environment.setdefault("REDIS_URL", Valkey(directory).url)
    os.execve(sys.executable, [sys.executable, str(ROOT / "manage.py"), *arguments], environment)


if __name__ == "__main__":
    main(sys.argv[1:])
