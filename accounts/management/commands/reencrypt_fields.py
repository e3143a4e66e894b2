"""Re-encrypt every sealed column under the first of FIELD_ENCRYPTION_KEYS, so that older keys can be removed."""

from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser

from accounts.kit.progress import Progress
from accounts.management.command import OurCommand
from accounts.upkeep import sealed_columns
from accounts.upkeep.sealed_columns import Outcome


class Command(OurCommand):
    area, brief = "Secrets", "re-encrypt columns with the newest key"
    help = "Re-encrypts the columns in settings.SEALED_COLUMNS with the newest key. Safe to repeat."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="only count the values under each key")

    def handle(self, *args: Any, dry_run: bool, **options: Any) -> None:
        outcomes = {} if dry_run else self._reencrypt()
        in_use = {
            column.name: dict(sealed_columns.keys_in_use(column)) for column in sealed_columns.columns()
        }
        unreadable = {name: outcome.unreadable for name, outcome in outcomes.items() if outcome.unreadable}
        needed = {kid for kids in in_use.values() for kid in kids}
        document = {
            "seals": settings.FIELD_ENCRYPTION_KEYS[0].kid,
            "resealed": {name: outcome.resealed for name, outcome in outcomes.items()},
            "in_use": in_use,
            "unreadable": unreadable,
            "unneeded": [key.kid for key in settings.FIELD_ENCRYPTION_KEYS[1:] if key.kid not in needed],
        }
        self.tell(document, _text(document))
        if unreadable:
            raise CommandError("Some rows cannot be decrypted with any key; they were left as they are.")

    def _reencrypt(self) -> dict[str, Outcome]:
        outcomes = {}
        for column in sealed_columns.columns():
            with Progress(column.name, total=column.all().count()) as progress:
                outcomes[column.name] = sealed_columns.reencrypt(column, on_row=progress.add)
        return outcomes


def _text(document: dict[str, Any]) -> str:
    lines = [f"Key {document['seals']} encrypts."]
    for name, kids in document["in_use"].items():
        sealed = ", ".join(f"{count:,} under {kid}" for kid, count in sorted(kids.items()))
        lines.append(
            f"{name}: {document['resealed'].get(name, 0):,} rows re-encrypted; now {sealed or 'none'}."
        )
    lines += [
        f"{name}: rows that cannot be decrypted: {', '.join(ids)}"
        for name, ids in document["unreadable"].items()
    ]
    lines += [f"Key {kid} is no longer needed and can be removed." for kid in document["unneeded"]]
    return "\n".join(lines)
