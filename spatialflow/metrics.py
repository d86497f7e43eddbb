"""What Prometheus reads: counters that the code counts up, and a few figures that are asked for when it comes.

A label holds one of a known few values (a route, a method, a status, a word of ours) and never anything that a client
chose or that names a person. The figures of all processes of one server are told together (metrics_files.py).
"""

import logging
from collections.abc import Iterator
from functools import cache
from typing import Any

from django.db import DatabaseError, InterfaceError, connections
from django.db.backends.signals import connection_created
from prometheus_client import REGISTRY, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.values import ValueClass

logger = logging.getLogger(__name__)

BUCKETS = (0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)  # seconds

REQUESTS = Counter("spatialflow_requests", "Answers given.", ["method", "route", "status"])
SECONDS = Histogram(
    "spatialflow_request_seconds", "Time to the answer's first byte.", ["method", "route"], buckets=BUCKETS
)
AUTHENTICATION_FAILURES = Counter("spatialflow_authentication_failures", "Answers 401, by error code.", ["reason"])
THROTTLED = Counter("spatialflow_throttled", "Refusals by a rate limit.", ["limit"])
COUNTER_FALLBACKS = Counter(
    "spatialflow_counter_fallbacks", "Times that Redis did not answer, and Postgres counted instead."
)
EVENTS = Counter("spatialflow_audit_events", "Events of the audit trail.", ["action"])
CONNECTIONS_OPENED = Counter("spatialflow_database_connections_opened", "Connections made to Postgres.", ["alias"])

CONNECTION_FIGURES = """
SELECT (SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()),
       current_setting('max_connections')::int
"""
MAIL_FIGURES = "SELECT count(*), coalesce(extract(epoch FROM now() - min(created_at)), 0) FROM accounts_outgoingmail"


def observe(method: str, route: str, status: int, seconds: float) -> None:
    """Count one answer and how long it took."""
    count, histogram = _children(method, route, status)
    count.inc()
    histogram.observe(seconds)


@cache
def _children(method: str, route: str, status: int) -> tuple[Any, Any]:
    """Return the two rows that one kind of answer counts in: finding them costs more than counting."""
    return REQUESTS.labels(method, route, status), SECONDS.labels(method, route)


def _connection_opened(connection: Any, **others: Any) -> None:
    CONNECTIONS_OPENED.labels(connection.alias).inc()


connection_created.connect(_connection_opened)


def _ask(what: str, statement: str) -> Any:
    """Return the one row that Postgres answers with, or None where it does not answer in time."""
    try:
        with connections["default"].cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchone()
    except (DatabaseError, InterfaceError) as error:
        logger.warning("no figures of %s in the database (%s)", what, type(error).__name__)
        return None


class DatabaseCollector:
    """What Postgres knows, asked when Prometheus comes; without Postgres it tells just that. A table that somebody
    holds costs its own figures and no others.
    """

    def collect(self) -> Iterator[GaugeMetricFamily]:
        told = _ask("connections", CONNECTION_FIGURES)
        yield GaugeMetricFamily("spatialflow_database_up", "Whether Postgres answers.", int(told is not None))
        if told is None:
            return
        used, most = told
        yield GaugeMetricFamily("spatialflow_database_connections", "Connections to this database, of everybody.", used)
        yield GaugeMetricFamily("spatialflow_database_connections_max", "Connections that Postgres takes.", most)
        told = _ask("mail", MAIL_FIGURES)
        if told is None:
            return
        waiting, oldest = told
        yield GaugeMetricFamily("spatialflow_pending_mail", "Mails and errands that wait to be sent.", waiting)
        yield GaugeMetricFamily("spatialflow_pending_mail_oldest_seconds", "How long the oldest waits.", oldest)


def exposition() -> bytes:
    """Return all metrics in Prometheus' text format, of every process of this server."""
    told = CollectorRegistry()
    told.register(DatabaseCollector())
    if not ValueClass._multiprocess:  # a shell command or a test: nothing but its own
        return generate_latest(REGISTRY) + generate_latest(told)
    MultiProcessCollector(told)
    return generate_latest(told)
