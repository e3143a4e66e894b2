"""List, create and rotate the secrets that have several values. Existing ones are never shown."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from accounts.kit.key_ring import ALGORITHMS
from accounts.management.command import Listed, OurCommand
from accounts.upkeep import key_rotation
from accounts.upkeep.key_rotation import Ring, RingKey

COLUMNS = ("variable", "kid", "algorithm", "use", "needed")


class Command(OurCommand):
    area, brief = "Secrets", "list keys, make new ones, plan and check a rotation"
    help = (
        "Lists the keys of every variable that takes several, makes new ones, and plans and checks a "
        "rotation that signs nobody out."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True, metavar="list | new | plan | check")
        actions.add_parser("list", help="list keys with their use, and whether each signs or only verifies")
        actions.add_parser(
            "check", help="show which older keys can be removed; exit status 1 while one is still needed"
        )
        new = actions.add_parser("new", help="make a key in the form that its variable expects")
        plan = actions.add_parser(
            "plan", help="print the environment of each step of a rotation, with a new key"
        )
        for subparser in (new, plan):
            subparser.add_argument("variable", choices=key_rotation.rings())
            subparser.add_argument("--algorithm", choices=ALGORITHMS, help="for JWT_KEYS (default: HS256)")
            subparser.add_argument("--kid", default="", help="its id (default: today's date)")

    def handle(self, *args: Any, action: str, **options: Any) -> None:
        getattr(self, f"_{action}")(**options)

    def _list(self, **_: Any) -> None:
        keys = key_rotation.entries()
        self.tell(Listed([key._asdict() for key in keys]), _table(keys))

    def _check(self, **_: Any) -> None:
        older = [key for key in key_rotation.entries() if not key.makes]
        lines = [_verdict(key) for key in older] or ["Each ring has one key: no rotation is in progress."]
        self.tell(Listed([key._asdict() for key in older]), *lines)
        if any(key.needed for key in older):
            raise CommandError("Some older keys are still needed.")

    def _new(self, **options: Any) -> None:
        entry = _entry(**options)
        self.tell({"variable": options["variable"], "entry": entry}, entry)

    def _plan(self, **options: Any) -> None:
        ring = key_rotation.rings()[options["variable"]]
        steps = key_rotation.plan(ring, _entry(**options))
        text = "\n\n".join(f"# {number}. {step.when}\n{step.line}" for number, step in enumerate(steps, 1))
        self.tell(Listed([step._asdict() for step in steps]), text)


def _entry(*, variable: str, algorithm: str | None, kid: str, **_: Any) -> str:
    ring = key_rotation.rings()[variable]
    _check_choice(ring, algorithm, kid)
    return key_rotation.new_entry(ring, algorithm or (ring.algorithms or ("",))[0], kid=kid)


def _check_choice(ring: Ring, algorithm: str | None, kid: str) -> None:
    if algorithm and algorithm not in ring.algorithms:
        raise CommandError(f"{ring.variable} does not accept {algorithm} keys.")
    if kid and not ring.names_keys:
        raise CommandError(f"The secrets of {ring.variable} have no ids.")
    if set(kid) & set(":;\"'$`\\ ") or not kid.isprintable():
        raise CommandError("An id must not contain a colon, semicolon, quote, dollar or space.")
    if kid in {key.kid for key in key_rotation.entries() if key.variable == ring.variable}:
        raise CommandError(f"{ring.variable} already has a key {kid}. An id is never reused for another key.")


def _verdict(key: RingKey) -> str:
    if not key.algorithm:
        return f"{key.variable} {key.kid}: remove it {key_rotation.rings()[key.variable].retire}"
    return f"{key.variable} {key.kid}: " + (f"still needed: {key.needed}" if key.needed else "can be removed")


def _table(keys: list[RingKey]) -> str:
    rows = [
        COLUMNS,
        *((key.variable, key.kid, key.algorithm or "-", _role(key), key.needed or "-") for key in keys),
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def _role(key: RingKey) -> str:
    makes, reads = (
        ("encrypts", "decrypts") if key.variable == "FIELD_ENCRYPTION_KEYS" else ("signs", "verifies")
    )
    return f"{makes}, {reads}" if key.makes else reads
