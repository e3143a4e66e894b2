"""Migrates the database and creates the first admin, as `manage.py migrate` and `manage.py ensure_admin` do.

One process does both: loading Django again would take as long as everything after it.
"""

import gc
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2]))
gc.disable()

import django  # noqa: E402
from django.core.management import CommandError, call_command  # noqa: E402


def main() -> None:
    django.setup()
    gc.freeze()
    gc.enable()
    try:
        call_command("migrate", interactive=False)
        call_command("ensure_admin")
    except CommandError as error:
        sys.exit(f"CommandError: {error}")


if __name__ == "__main__":
    main()
