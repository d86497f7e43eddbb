"""Django's `migrate`, fit to run beside the service: one process at a time, and never long in anybody's way.

A migration that is one transaction waits at most a second for a table (spatialflow/postgres/schema.py), since whoever
comes after it waits behind it; then it lets go of all it has, and tries again. What is built beside the service
(atomic = False) may wait and take its time, as may every statement.
"""

import time
from typing import Any

from django.core.management.base import CommandError
from django.core.management.commands import migrate
from django.db import OperationalError, connections
from psycopg.errors import LockNotAvailable

from spatialflow.migration_lock import the_only_migration

ATTEMPTS = 100
PAUSE_SECONDS = 2  # long enough for those who waited behind us


class Command(migrate.Command):
    def handle(self, *args: Any, **options: Any) -> None:
        connection = connections[options["database"]]
        with connection.cursor() as cursor:
            cursor.execute("SET statement_timeout = 0")
            with the_only_migration(connection):
                self.migrate_patiently(*args, **options)
            cursor.execute("RESET statement_timeout")

    def migrate_patiently(self, *args: Any, **options: Any) -> None:
        """Migrate. Raises CommandError where others hold a table for minutes; what was done until then is done."""
        for _ in range(ATTEMPTS):
            try:
                return super().handle(*args, **options)
            except OperationalError as error:
                if not isinstance(error.__cause__, LockNotAvailable):
                    raise
            self.stderr.write("A table is in use by a long transaction: trying again.")
            time.sleep(PAUSE_SECONDS)
        raise CommandError(
            "A table stayed in use, and the migration was not made. pg_stat_activity shows whose transaction is open "
            "for long: end that, and run this again."
        )
