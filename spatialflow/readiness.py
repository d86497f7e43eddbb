"""Whether this process can work: Postgres, its schema, and the store of the limits' counters.

Each question has an end: Postgres gets 5 seconds, also where it takes connections and is silent
(spatialflow/postgres/watched.py), Redis half a second.
"""

import logging
from functools import cache

from django.conf import settings
from django.core.cache import caches
from django.db import DatabaseError, InterfaceError, connection, connections
from django.db.migrations.loader import MigrationLoader
from rest_framework import status

from spatialflow.counters import RedisCounters
from spatialflow.errors import ApiError

logger = logging.getLogger(__name__)

OK, FAILS, NOT_ASKED = "ok", "fails", "not asked"
FALLBACK = "fallback"  # Redis does not answer, and Postgres counts: nobody is better off without this process
UNAPPLIED = "unapplied"


class NotReady(ApiError):
    """503 whose `checks` say of each part how it is."""

    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    default_code = "not_ready"

    def __init__(self, checks: dict[str, str]) -> None:
        failing = ", ".join(name for name, found in checks.items() if found in (FAILS, UNAPPLIED))
        extra = {"status": "not_ready", "checks": checks}
        super().__init__(f"This process is not ready: {failing}.", headers={"Retry-After": "5"}, extra=extra)


def check_ready() -> dict[str, str]:
    """Return how each part is. Raises `NotReady` where one fails; what stands on a part that fails is not asked."""
    checks = {"database": FAILS, "migrations": NOT_ASKED, "counter_store": NOT_ASKED}
    try:
        checks["migrations"] = UNAPPLIED if _lacks_migrations() else OK
        checks["database"] = OK
        with connections["counters"].cursor() as cursor:
            cursor.execute("SELECT count FROM spatialflow_counter LIMIT 1")
        checks["counter_store"] = _counter_store()
    except (DatabaseError, InterfaceError) as error:
        logger.warning("not ready: %s", type(error).__name__)
        if checks["database"] == OK:
            checks["counter_store"] = FAILS
    if checks["database"] == FAILS or checks["migrations"] != OK or checks["counter_store"] == FAILS:
        raise NotReady(checks)
    return checks


def _lacks_migrations() -> bool:
    """Return whether the code knows migrations that the database has not had; a newer database is fine (an upgrade
    migrates before the old processes end). Two queries.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('django_migrations') IS NOT NULL")
        if not cursor.fetchone()[0]:
            return True
        cursor.execute("SELECT app, name FROM django_migrations")
        return not _known_migrations() <= set(cursor.fetchall())


@cache
def _known_migrations() -> frozenset[tuple[str, str]]:
    """Return app and name of every migration of this version, read from its files once a process."""
    loader = MigrationLoader(None, ignore_no_migrations=True)
    return frozenset(name for name in loader.disk_migrations if not loader.disk_migrations[name].replaces)


def _counter_store() -> str:
    counters = caches[settings.RATELIMIT_USE_CACHE]
    if not isinstance(counters, RedisCounters):
        return OK
    try:
        counters.client.ping()
    except RedisCounters.FAILURES:
        return FALLBACK
    return OK
