"""Steps at once leave the database and Django's state of the models as the same steps one after the other do."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from django.db import connection, models, transaction
from django.db.migrations import Migration
from django.db.migrations.operations import (
    AddConstraint,
    AddField,
    AddIndex,
    AlterField,
    AlterModelOptions,
    CreateModel,
    RemoveConstraint,
    RemoveField,
    RemoveIndex,
)
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState
from django.db.models import Q

from accounts.kit.at_once import AtOnce

CATALOG = """
SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod) || a.attnotnull, pg_get_expr(d.adbin, d.adrelid)
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
WHERE c.relname LIKE 'toys\\_%' AND c.relkind = 'r'
UNION ALL SELECT tablename, indexname, indexdef, NULL FROM pg_indexes WHERE tablename LIKE 'toys\\_%'
UNION ALL
SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid), NULL FROM pg_constraint
WHERE conrelid::regclass::text LIKE 'toys\\_%'
ORDER BY 1, 2, 3
"""


def key() -> Any:
    return models.BigAutoField(primary_key=True)


def size_is(least: int) -> models.CheckConstraint:
    return models.CheckConstraint(condition=Q(size__gte=least), name="toy_size_range")


def first() -> list[Operation]:
    return [
        CreateModel("Toy", [("id", key()), ("name", models.CharField(max_length=20))]),
        CreateModel("Box", [("id", key())]),
        AddField("toy", "size", models.IntegerField(db_default=1)),
        AddField("toy", "box", models.ForeignKey("toys.Box", models.CASCADE, related_name="toys")),
        AddIndex("toy", models.Index(fields=["size"], name="toy_by_size")),
        AddConstraint("toy", size_is(0)),
        AlterModelOptions("toy", {"verbose_name": "plaything"}),
    ]


def second() -> list[Operation]:
    return [
        RemoveConstraint("toy", "toy_size_range"),
        RemoveIndex("toy", "toy_by_size"),
        RemoveField("toy", "name"),
        AddField("toy", "colour", models.CharField(max_length=10, null=True)),
        AlterField("toy", "size", models.BigIntegerField(db_default=2)),
        AddIndex("toy", models.Index(fields=["colour"], name="toy_by_colour")),
        AddConstraint("toy", size_is(1)),
        AddField("box", "lid", models.OneToOneField("toys.Toy", models.SET_NULL, null=True)),
    ]


def one_by_one(steps: list[Operation]) -> Sequence[Operation]:
    return steps


def at_once(steps: list[Operation]) -> Sequence[Operation]:
    return [AtOnce(steps)]


def outcome(taken: Callable[[list[Operation]], Sequence[Operation]]) -> list[tuple[Any, Any]]:
    """Return catalog and state after each migration, and the catalog after the second is taken back."""
    one, two = (migration(taken(steps)) for steps in (first(), second()))
    with transaction.atomic():
        made = run(one.apply, ProjectState())
        found: list[tuple[Any, Any]] = [(catalog(), made.clone())]
        changed = run(two.apply, made.clone())
        found.append((catalog(), changed))
        run(two.unapply, made)
        found.append((catalog(), None))
        transaction.set_rollback(True)
    return found


def migration(steps: Sequence[Operation]) -> Any:
    return type("Steps", (Migration,), {"operations": steps})("steps", "toys")


def run(step: Callable[..., Any], state: ProjectState) -> Any:
    with connection.schema_editor(atomic=False) as editor:
        return step(state, editor)


def catalog() -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(CATALOG)
        rows: list[Any] = cursor.fetchall()
    return rows


@pytest.mark.django_db
def test_is_as_one_after_the_other() -> None:
    wanted, found = outcome(one_by_one), outcome(at_once)
    assert found == wanted
    assert all(rows for rows, _ in wanted)
