"""The one clock by which credentials begin and end: the database's, whatever the clocks of the hosts say.

Every new connection reads it once, and from there on this process counts by its monotonic clock, which nobody sets. So
two hosts whose clocks are hours apart agree about every token, link and code, and asking costs no trip.
"""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ahead: dict[str, float] = {}  # of the monotonic clock: the database's, in seconds, as the newest connection found it


def set_by(new: Any) -> None:
    """Set this process's clock by a psycopg connection in autocommit; one trip. Raises psycopg's errors."""
    [unix] = new.execute("SELECT extract(epoch FROM clock_timestamp())::float8").fetchone()
    _ahead["seconds"] = unix - time.monotonic()


def timestamp() -> float:
    """Return the database's time in seconds since 1970. The first call in a process may have to connect, which raises
    OperationalError.
    """
    if not _ahead:
        connection.ensure_connection()
    return time.monotonic() + _ahead["seconds"]


def now() -> datetime:
    """Return the database's time. Raises as `timestamp` does."""
    return EPOCH + timedelta(seconds=timestamp())
