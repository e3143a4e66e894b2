"""The command line: `manage.py help` with our commands first, and completion in the shell."""

import gc
import os
import select
import signal
import sys
import textwrap
from argparse import ArgumentParser
from collections import defaultdict
from typing import Any

import django
from django.core.management import BaseCommand, ManagementUtility, get_commands, load_command_class

PACKAGES = ("accounts", "credits", "billing")
AREAS = ("People", "Staff", "Services", "Credits", "Billing", "Database", "Secrets")
_WIDTH = 100


class CommandLine(ManagementUtility):
    """Extends Django's command line with a help text that lists our commands first."""

    def execute(self) -> None:
        """Run the command. It ends by SIGPIPE, as others do, if the reader of its output has enough, such as `head`."""
        sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: PTH123, SIM115 -- closed, as by `>&-`
        try:
            super().execute()
            sys.stdout.flush()
        except BrokenPipeError:
            if not _is_unread(sys.stdout.fileno()):
                raise
            os.dup2(
                os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno()
            )  # Python would try to write once more
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)
            signal.raise_signal(signal.SIGPIPE)

    def fetch_command(self, subcommand: str) -> BaseCommand:
        """Return the command after loading all that it needs; from then on garbage is collected."""
        command = super().fetch_command(subcommand)
        gc.freeze()
        gc.enable()
        return command

    def main_help_text(self, commands_only: bool = False) -> str:  # noqa: FBT001, FBT002 -- Django's signature
        if commands_only:
            return str(super().main_help_text(commands_only=True))
        if self.settings_exception is not None:  # then only Django's commands are known
            return str(super().main_help_text())
        others = " ".join(name for name, app in sorted(get_commands().items()) if app not in PACKAGES)
        return "\n".join(
            [
                "manage.py COMMAND [VERB] [NAME]; see `manage.py help COMMAND`. Our commands take --json.",
                *_ours(),
                "\nFrom Django and packages",
                textwrap.indent(textwrap.fill(others, _WIDTH, break_on_hyphens=False), "  "),
            ]
        )


def _is_unread(descriptor: int) -> bool:
    """Tell whether nobody is left at the other end of a pipe."""
    looked = select.poll()
    looked.register(descriptor, 0)
    return bool(looked.poll(0))


def _ours() -> list[str]:
    """Return a paragraph for each area."""
    lines = defaultdict(list)
    for name, app in sorted(get_commands().items()):
        if app in PACKAGES:
            command: Any = load_command_class(app, name)
            lines[command.area].append(f"  {name:<20}{command.brief}")
    return ["\n".join([f"\n{area}", *lines[area]]) for area in AREAS]


def complete() -> None:
    """Answer the shell's completion request (argcomplete), and end the process."""
    import argcomplete

    django.setup()
    parser, written = ArgumentParser(prog="manage.py"), os.environ["COMP_LINE"].split()
    names = parser.add_subparsers()
    for name, app in get_commands().items():
        names.add_parser(name)
        if name in written:
            names.choices[name] = load_command_class(app, name).create_parser("manage.py", name)
    argcomplete.autocomplete(parser)
