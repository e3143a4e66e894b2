"""Run Django's `migrate` as the role that owns the tables, then grant the serving role what it needs."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.contrib.auth.models import Permission
from django.core.management.base import CommandError
from django.core.management.commands import migrate
from django.db import DEFAULT_DB_ALIAS, ProgrammingError, connections

from accounts.upkeep import session_settings, staff_roles
from accounts.upkeep.database_roles import grant_to_serving_role

LOCK = 0x6D696772  # key for pg_advisory_lock: one migration at a time


class Command(migrate.Command):
    area, brief = "Database", "migrate the database to this version"
    help = (
        "Migrates the database to this version: connects with DATABASE_MIGRATE_URL, then grants the role in "
        "DATABASE_URL its privileges. Safe to repeat."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["database"] != DEFAULT_DB_ALIAS:
            raise CommandError("There is only one database: omit --database.")
        if settings.MIGRATES_THROUGH_POOLER:
            raise CommandError(
                "DATABASE_MIGRATE_URL must lead to PostgreSQL itself, past the pooler of DATABASE_POOL."
            )
        with owner_connection():
            if options["plan"] or options["check_unapplied"]:
                super().handle(*args, **options)
                return
            self._wait_for_others()
            super().handle(*args, **options)
            self._grant(options["verbosity"])
            self._sync_roles()

    def _wait_for_others(self) -> None:
        """Take a lock that is released with the connection.

        It is polled, because waiting inside a statement would hold up the concurrent creation of an index.
        """
        told = False
        with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
            while cursor.execute("SELECT pg_try_advisory_lock(%s)", [LOCK]).fetchone() == (False,):
                if not told:
                    self.stdout.write("Another migrate is running; waiting for it to finish.")
                told = True
                time.sleep(0.5)

    def _grant(self, verbosity: int) -> None:
        serving, owner = settings.SERVING_ROLE, settings.MIGRATION_DATABASE["USER"]
        if serving in {"", owner}:
            role = owner or "the system user"
            note = f"One database role ({role}) both migrates and serves; see docs/operations/deploy.md."
        else:
            try:
                grant_to_serving_role(connections[DEFAULT_DB_ALIAS], role=serving)
            except ProgrammingError as error:
                raise CommandError(f"The privileges of {serving!r} could not be set: {error}") from error
            note = f"Privileges of the serving role {serving} are set."
        if serving:
            note += f" {self._settle(serving)}"
        if verbosity >= 1:
            self.stdout.write(note)

    def _settle(self, serving: str) -> str:
        if session_settings.give_to_role(connections[DEFAULT_DB_ALIAS], role=serving):
            return "Its time-outs are set too."
        return (
            "Its time-outs must be set by a superuser (deploy/postgres/roles.sh); `check --deploy` "
            "checks them."
        )

    def _sync_roles(self) -> None:
        """Update the roles if the tables exist; a migration back to an earlier state may have removed them."""
        if Permission._meta.db_table in connections[DEFAULT_DB_ALIAS].introspection.table_names():  # noqa: SLF001
            staff_roles.sync()


@contextmanager
def owner_connection() -> Iterator[None]:
    """Open the default connection as the role of settings.MIGRATION_DATABASE, and restore it afterwards."""
    connection = connections[DEFAULT_DB_ALIAS]
    connection.close()
    serving = connection.settings_dict
    connection.settings_dict = {**serving, **settings.MIGRATION_DATABASE}
    try:
        yield
    finally:
        connection.close()
        connection.settings_dict = serving
