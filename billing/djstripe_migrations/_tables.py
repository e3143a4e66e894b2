"""Makes many tables in one step of a migration. Written by hand."""

from django.db.migrations.operations import CreateModel
from django.db.migrations.operations.base import Operation


class CreateTables(Operation):
    """CreateModel and AddField steps of new tables, each table made at once as all of them leave it.

    Django renders every related model again after each step: of dj-stripe's 59 models each is related to all others.
    Here they are rendered once, when they are next asked for.
    """

    reduces_to_sql = reversible = True

    def __init__(self, steps):
        self.steps = steps

    def state_forwards(self, app_label, state):
        state.__dict__.pop("apps", None)
        for step in self.steps:
            step.state_forwards(app_label, state)

    def database_forwards(self, app_label, schema_editor, from_state, to_state):
        for step in self._tables():
            step.database_forwards(app_label, schema_editor, from_state, to_state)

    def database_backwards(self, app_label, schema_editor, from_state, to_state):
        for step in reversed(self._tables()):
            step.database_backwards(app_label, schema_editor, from_state, to_state)

    def describe(self):
        return f"Create {len(self._tables())} tables"

    def _tables(self):
        return [step for step in self.steps if isinstance(step, CreateModel)]
