"""Django's PostgreSQL backend (settings.DATABASES names this package as the engine), with a check of idle connections
that costs no trip to the database, and an end to waiting for a server that has fallen silent (watched.py).
"""

import select
import threading
from typing import Any
from weakref import WeakSet

import psycopg
from django.db.backends.postgresql import base
from django.db.backends.postgresql.psycopg_any import IsolationLevel

from spatialflow import clock
from spatialflow.postgres.schema import DatabaseSchemaEditor
from spatialflow.postgres.watched import WatchedConnection


class OpenedByThread:
    """The connections that one thread has opened. They are closed when the thread ends.

    A server's threads come and go, and Django's wrapper of a connection is part of a cycle, which only the garbage
    collector ends, some time: until then Postgres would keep a place for a thread that is no more.
    """

    def __init__(self) -> None:
        self.connections: WeakSet[psycopg.Connection[Any]] = WeakSet()

    def __del__(self) -> None:
        for connection in list(self.connections):
            connection.close()


class ThisThread(threading.local):
    def __init__(self) -> None:
        self.opened = OpenedByThread()


this_thread = ThisThread()


class DatabaseWrapper(base.DatabaseWrapper):
    SchemaEditorClass = DatabaseSchemaEditor
    errors_occurred: bool

    def get_new_connection(self, conn_params: dict[str, Any]) -> WatchedConnection:
        """Return a connection that notices a silent server; set the clock by it. Raises psycopg's OperationalError."""
        self.isolation_level = IsolationLevel.READ_COMMITTED
        new = WatchedConnection.open(conn_params)
        this_thread.opened.connections.add(new)
        clock.set_by(new)
        return new

    def is_usable(self) -> bool:
        """Return whether the connection still works. Django asks before a request's first statement.

        The system knows of a server that restarted or ended the connection: its last words, or the end, wait to be
        read. Only then, and after an error, the server itself is asked. A host that vanished without a word shows at
        the statement, as it would have at the question; while it is known to be silent, nobody else has to wait.
        """
        if self.connection is None or self.connection.closed or WatchedConnection.is_known_silent():
            return False
        if self.errors_occurred or _has_something_to_read(self.connection.fileno()):
            return self._takes_writes()
        return True

    def rollback(self) -> None:
        """End the transaction. Django takes that for a proof that the connection works, and it is none on a server that
        takes no writes: after an error the server is asked all the same.
        """
        had_errors = self.errors_occurred
        super().rollback()
        self.errors_occurred = had_errors

    def _takes_writes(self) -> bool:
        """Return whether the server answers and is no standby: one that was replaced may keep its connections."""
        try:
            with self.connection.cursor() as cursor:
                return bool(cursor.execute("SHOW transaction_read_only").fetchone()[0] == "off")
        except psycopg.Error:
            return False


def _has_something_to_read(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))
