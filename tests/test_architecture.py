"""Check what docs/architecture.md says is there: folders, listeners, the hops of its walks, and how many they are."""

import ast
import re
from pathlib import Path

import pytest
from django.conf import settings

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "architecture.md").read_text()
PACKAGES = ("accounts", "credits", "billing", "config")
NOT_ON_THE_MAP = re.compile(r"/(tests|\w*migrations|management/commands)$")
HOP = re.compile(r"^\d+\. `([\w/]+\.py)::[\w.]+`", re.MULTILINE)
WALKS = PAGE.partition("## Four walks")[2].partition("### How long they are")[0].split("\n### ")[1:]


def folders() -> list[str]:
    found = (
        path.parent.relative_to(ROOT).as_posix()
        for top in PACKAGES
        for path in (ROOT / top).rglob("__init__.py")
    )
    return sorted(folder for folder in found if not NOT_ON_THE_MAP.search(folder))


@pytest.mark.parametrize("folder", folders())
def test_every_folder_is_on_the_map(folder):
    assert f"`{folder}/`" in PAGE


def test_no_folder_is_on_the_map_that_is_not_there():
    named = re.findall(r"`(\w[\w/]*)/`", PAGE)
    assert len(named) > 30
    # A door's folder without its app stands for that of each app.
    assert [
        name for name in named if not list(ROOT.glob(name)) and not (ROOT / "accounts" / name).is_dir()
    ] == []


@pytest.mark.parametrize(("path", "name"), sorted(set(re.findall(r"`([\w/]+\.py)::([\w.]+)`", PAGE))))
def test_every_function_that_is_named_exists(path, name):
    body = ast.parse((ROOT / path).read_text()).body
    for part in name.split("."):
        found = [
            node for node in body if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == part
        ]
        assert found, f"{path} has no {name}"
        body = found[0].body


def test_every_listener_is_a_process_and_in_the_picture():
    processes = re.findall(r"^\| (\w+) \| .* \| `LISTENER=(\w+)`", PAGE, re.MULTILINE)
    assert processes == [(listener, listener) for listener in settings.LISTENERS]
    picture = PAGE.partition("```mermaid")[2].partition("```")[0]
    assert all(f'{listener}["{listener} :' in picture for listener in settings.LISTENERS)


def test_the_walks_are_as_long_as_the_table_says():
    table = re.findall(r"^\| (\w+) \| (\d+) \| (\d+) \| [\d, ]+ \| [\d, ]+ \|$", PAGE, re.MULTILINE)
    lengths = [(len(hops), len(set(hops))) for hops in map(HOP.findall, WALKS)]
    assert len(lengths) == 4
    assert [(int(hops), int(files)) for _, hops, files in table] == lengths


@pytest.mark.parametrize("walk", WALKS, ids=lambda walk: walk.splitlines()[0])
def test_the_hops_of_a_walk_are_numbered_in_order(walk):
    numbers = [int(number) for number in re.findall(r"^(\d+)\. ", walk, re.MULTILINE)]
    assert numbers == list(range(1, len(HOP.findall(walk)) + 1))
