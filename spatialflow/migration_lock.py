"""The lock under which one process at a time changes the tables; it ends with the connection that holds it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from django.db import DatabaseError
from django.db.backends.base.base import BaseDatabaseWrapper

LOCK = 0x5F10_0001  # any number, as long as everybody takes the same one
POLL_SECONDS = 0.2
TAKE = "SELECT pg_try_advisory_lock(%s)"


@contextmanager
def the_only_migration(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """Wait until nobody else migrates this database, and let others wait for as long as this lasts.

    Asks again and again: a statement that waited for the lock would hold a snapshot, which CREATE INDEX CONCURRENTLY in
    the process that has the lock waits for. Needs a connection of its own, not one that a pooler lends by transaction.
    """
    with connection.cursor() as cursor:
        cursor.execute(TAKE, [LOCK])
        while not cursor.fetchone()[0]:
            time.sleep(POLL_SECONDS)
            cursor.execute(TAKE, [LOCK])
    try:
        yield
    finally:
        with suppress(DatabaseError), connection.cursor() as cursor:  # where the connection is gone, so is the lock
            cursor.execute("SELECT pg_advisory_unlock(%s)", [LOCK])
