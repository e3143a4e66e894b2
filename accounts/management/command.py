"""The base class of all commands: `--json`, and their place in `manage.py help`."""

import argparse
from typing import Any, ClassVar

import msgspec
from django.core.management.base import BaseCommand, CommandError, CommandParser


class OurCommand(BaseCommand):
    """A command that accepts `--json`, before or after the verb, and then prints one JSON object.

    It runs the checks of our settings first; all other checks are for the code, and run with its tests.
    """

    area: ClassVar[str]
    brief: ClassVar[str]  # a few words for `manage.py help`
    requires_system_checks = ("service_settings",)  # accounts/checks.py

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        parser = super().create_parser(prog_name, subcommand, **kwargs)
        parser.add_argument("--json", action="store_true", dest="as_json", help="print one JSON object")
        for verb in _verbs(parser):
            verb.add_argument(
                "--json",
                action="store_true",
                dest="as_json",
                default=argparse.SUPPRESS,
                help="print one JSON object",
            )
        return parser

    def execute(self, *args: Any, as_json: bool = False, **options: Any) -> Any:
        _require_text(options)
        self.as_json = as_json
        return super().execute(*args, **options)

    def tell(self, document: object, *lines: str) -> None:
        """Print the document with --json, otherwise the lines."""
        if self.as_json:
            encoded = msgspec.json.encode(document)
            self.stdout.write(msgspec.json.format(encoded, indent=2).decode())
            return
        for line in lines:
            self.stdout.write(line)


def _require_text(options: dict[str, Any]) -> None:
    """Refuse command-line bytes that are not UTF-8, which no column accepts."""
    for name, value in options.items():
        if isinstance(value, str) and any("\udc80" <= character <= "\udcff" for character in value):
            raise CommandError(f"The argument {name} is not valid UTF-8.")


def _verbs(parser: CommandParser) -> list[argparse.ArgumentParser]:
    groups = (one for one in parser._actions if isinstance(one, argparse._SubParsersAction))  # noqa: SLF001
    return [verb for group in groups for verb in group.choices.values()]


class Listed(msgspec.Struct):
    """A list, in `results` of an object as in the API."""

    results: list[Any]
