"""Writes docs/configuration.md and .env.example from the table of variables, config/settings/table.py."""

import re
import shlex
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT))

from config.settings.table import GROUPS, TABLE, Group, Limit, Variable, Whole, written  # noqa: E402

PAGE, EXAMPLE = ROOT / "docs" / "configuration.md", ROOT / ".env.example"
_HEAD = f"""\
# Configuration

All of it comes from the environment: {len(TABLE)} variables, of which production needs those marked *required*. A
process that lacks one, or finds one out of bounds, does not start, and names the variable, never its value. A variable
that is empty or not set has the default, but an empty list (`BILLING_FREEZE_ON`) names nothing; white space at either
end does not count. Times are written `90s`, `15m`, `12h` or `30d`.

`deploy/new_environment.py` writes the file of a new installation ([deploying](operations/deploy.md)), `.env.example`
lists all variables, and `manage.py check --deploy` names what contradicts something else or is still to be filled in.

This page is made by `script/configuration` from `config/settings/table.py`, which the settings read.
"""
_EXAMPLE_HEAD = """\
# Every variable of the service, with its default: docs/configuration.md says more. Made by script/configuration.
# Production needs those without a # before them; deploy/new_environment.py writes them with fresh secrets.
"""


def page() -> str:
    return "\n".join([_HEAD, *map(_section, GROUPS)])


def _section(group: Group) -> str:
    rows = [_row(name, variable) for name, variable in group.variables.items()]
    about = f"{group.about}\n\n" if group.about else ""
    heading = "| variable | default | allowed | what it is |\n|---|---|---|---|\n"
    return f"## {group.title}\n\n{about}{heading}{''.join(rows)}"


def _row(name: str, variable: Variable) -> str:
    default = "*required*" if variable.required else variable.otherwise or f"`{variable.default}`"
    return f"| `{name}` | {default} | {_allowed(variable)} | {variable.about} |\n".replace(
        "=network|", r"=network\|"
    )


def _allowed(variable: Variable) -> str:
    unit = f" {variable.unit}" if isinstance(variable, Whole) and variable.unit else ""
    within = f" in {written(variable.within)}" if isinstance(variable, Limit) else ""
    return f"{variable.bounds}{unit}{within}"


def example() -> str:
    return "\n".join([_EXAMPLE_HEAD, *map(_example_section, GROUPS)])


def _example_section(group: Group) -> str:
    lines = [_example_line(name, variable) for name, variable in group.variables.items()]
    return f"# ---- {group.title}\n" + "".join(lines)


def _example_line(name: str, variable: Variable) -> str:
    allowed = f" ({_allowed(variable)})" if variable.bounds else ""
    text = re.sub(r"\[([^]]+)\]\([^)]+\)", r"\1", variable.about.replace("; see above", "") + allowed)
    mark = "" if variable.required else "#"
    return f"{textwrap.indent(textwrap.fill(text, 108), '# ')}\n{mark}{name}={_quoted(variable.default)}\n"


def _quoted(text: str) -> str:
    return shlex.quote(text) if text else ""


if __name__ == "__main__":
    PAGE.write_text(page())
    EXAMPLE.write_text(example())
