"""Django's schema editor for PostgreSQL, with a bound to how long a migration stands in the way."""

from typing import Self

from django.db.backends.postgresql import schema


class DatabaseSchemaEditor(schema.DatabaseSchemaEditor):
    def __enter__(self) -> Self:
        """Begin. In a transaction no table is waited for longer than a second: all who want it after us wait with us.

        Outside of one, an index that is built concurrently waits for transactions without being in anybody's way.
        """
        super().__enter__()
        if self.atomic_migration:
            self.execute("SET LOCAL lock_timeout = '1s'")
        return self
