"""One enum has every type of audit event, and one module writes the rows: the source is walked."""

import ast
from collections.abc import Iterator

import pytest

import house
from accounts.admin.rows import EventTypes
from accounts.audit import Event

WRITER = "accounts/audit.py"
CREATES = {"create", "bulk_create", "get_or_create", "update_or_create", "save"}


@pytest.fixture(scope="module")
def trees() -> dict[str, ast.Module]:
    """The source without tests and migrations."""
    found = house.House(house.working_tree(house.ROOT))
    return {module.path: module.tree for module in found.modules.values()}


def calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    """Every call with the last part of the name it calls."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func).rpartition(".")[2], node


def members(tree: ast.AST) -> set[str]:
    return {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "Event"
    }


def creates(name: str, call: ast.Call) -> bool:
    rows = ast.unparse(call.func)
    return name == "AuditEvent" or (name in CREATES and ("AuditEvent" in rows or "audit_events" in rows))


def recorders(tree: ast.Module) -> set[str]:
    """Return what writes an event of its caller: audit itself, and functions of this module that hand one on to it."""
    found = {"record", "record_each"}
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    takers = [one for one in functions if any("Event" in ast.unparse(arg) for arg in _arguments(one))]
    while fresh := {one.name for one in takers if {name for name, _ in calls(one)} & found} - found:
        found |= fresh
    return found


def _arguments(function: ast.FunctionDef) -> list[ast.arg]:
    return [*function.args.args, *function.args.kwonlyargs]


def written(tree: ast.Module) -> set[str]:
    """The members that are handed to what writes them, or kept by a name that is."""
    writing = {*recorders(tree), "_event"}  # of billing's notices, which write the row a step later
    handed = [call for name, call in calls(tree) if name in writing]
    found = {member for call in handed for member in members(call)}
    names = {node.id for call in handed for node in ast.walk(call) if isinstance(node, ast.Name)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and {ast.unparse(target) for target in node.targets} & names:
            found |= members(node.value)
    return found


def test_only_audit_writes_audit_rows(trees):
    found = {path for path, tree in trees.items() for name, call in calls(tree) if creates(name, call)}
    assert found == {WRITER}


def test_no_statement_writes_them_past_it(trees):
    texts = {
        path
        for path, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and "INTO accounts_auditevent" in str(node.value)
    }
    assert texts == set()


def test_every_type_is_written_somewhere(trees):
    found = {member for path, tree in trees.items() if path != WRITER for member in written(tree)}
    assert set(Event.__members__) - found == set()


def test_no_type_is_a_loose_string(trees):
    loose = [
        (path, ast.unparse(call))
        for path, tree in trees.items()
        for name, call in calls(tree)
        if name in {"record", "record_each"} and call.args and isinstance(call.args[0], ast.Constant)
    ]
    assert loose == []


def test_the_admin_filters_by_every_type():
    assert set(EventTypes.values) == {event.value for event in Event}


@pytest.mark.parametrize(
    ("source", "members_written"),
    [
        ("audit.record(Event.A if x else Event.B, user_id=None)", {"A", "B"}),
        ("def _audit(event: Event): audit.record(event)\n_audit(Event.A)", {"A"}),
        ("def _was(event: Event): return event\n_was(Event.A)", set()),
        ("event = Event.A\naudit.record(event)", {"A"}),
        ("TYPES = (Event.A,)", set()),
    ],
)
def test_the_walk_tells_what_is_written(source, members_written):
    assert written(ast.parse(source)) == members_written
