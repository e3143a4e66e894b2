"""Write what a restored backup must not bring back; `after_restore` reads it."""

import os
import sys
from pathlib import Path
from typing import Any

import msgspec
from django.core.management.base import CommandParser

from accounts.management.command import OurCommand
from accounts.upkeep import tombstones


class Command(OurCommand):
    area, brief = "Database", "record what a restored backup must not bring back"
    help = (
        "Writes one line of JSON for each erased or suspended user, each revoked key, each user with a "
        "new password or fewer ways to sign in, and each member of staff. Run it every few minutes, "
        "and keep the file beside the backups."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "file", nargs="?", help="replaced only once everything is written (default: standard output)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["file"] is None:
            for row in tombstones.rows():
                sys.stdout.buffer.write(msgspec.json.encode(row) + b"\n")
            return
        target = Path(options["file"])
        unfinished = target.with_name(f"{target.name}.{os.getpid()}")
        with unfinished.open("wb") as output:
            output.writelines(msgspec.json.encode(row) + b"\n" for row in tombstones.rows())
            output.flush()
            os.fsync(output.fileno())
        unfinished.replace(target)
        if self.as_json:
            self.tell({"file": str(target)})
