"""Run several steps of a migration while rendering the models only once."""

from collections.abc import Iterator, Sequence
from typing import Any

from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.operations import CreateModel
from django.db.migrations.operations.base import Operation
from django.db.migrations.operations.models import ModelOperation
from django.db.migrations.state import ProjectState


class AtOnce(Operation):
    """Run the steps in order, between the state before all of them and the state after.

    After each separate step Django renders every related model again, and most models are related to users. Here they
    are rendered once, when next needed. A table that a step creates is created as the last step leaves it. So no step
    may read rows, change or remove what another one adds, or rename anything.
    """

    reduces_to_sql = reversible = True

    def __init__(self, steps: Sequence[Operation]) -> None:
        self.steps = steps

    def state_forwards(self, app_label: str, state: ProjectState) -> None:
        state.__dict__.pop("apps", None)
        for step in self.steps:
            step.state_forwards(app_label, state)

    def database_forwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        for step in self._of_the_database():
            step.database_forwards(app_label, schema_editor, from_state, to_state)

    def database_backwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        for step in reversed([*self._of_the_database()]):
            step.database_backwards(app_label, schema_editor, from_state, to_state)

    def describe(self) -> str:
        return f"{len(self.steps)} steps at once"

    def _of_the_database(self) -> Iterator[Any]:
        """Yield the steps to run in the database. Later additions to a new table are part of its creation."""
        made = {step.name_lower for step in self.steps if isinstance(step, CreateModel)}
        for step in self.steps:
            table = (
                step.name_lower
                if isinstance(step, ModelOperation)
                else getattr(step, "model_name_lower", None)
            )
            if table not in made or isinstance(step, CreateModel):
                yield step
