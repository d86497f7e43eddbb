"""Django's schema editor for PostgreSQL, with a bound to how long a migration stands in the way, and repeatable where
one was killed.
"""

from typing import Self

from django.db.backends.postgresql import schema
from django.db.models import Index, Model


class DatabaseSchemaEditor(schema.DatabaseSchemaEditor):
    sql_drop_what_was_left = "DROP INDEX CONCURRENTLY IF EXISTS %(name)s"

    def __enter__(self) -> Self:
        """Begin. In a transaction no table is waited for longer than a second: all who want it after us wait with us.

        Outside of one, an index that is built concurrently waits for transactions without being in anybody's way.
        """
        super().__enter__()
        if self.atomic_migration:
            self.execute("SET LOCAL lock_timeout = '1s'")
        return self

    def add_index(self, model: type[Model], index: Index, concurrently: bool = False) -> None:
        """Build an index. One that is built concurrently is in no transaction: where `migrate` was killed meanwhile,
        what is left of it, ready or not, goes first. Nobody builds it at that moment, for a killed command's statement
        keeps the lock of migrations (spatialflow/migration_lock.py) until it ends.
        """
        if concurrently:
            self.execute(self.sql_drop_what_was_left % {"name": self.quote_name(index.name)})
        super().add_index(model, index, concurrently=concurrently)
