"""Emptying the database after a test with real transactions.

Django's flush makes the files of all tables anew and writes down once more which models and permissions there are,
which took a third of a second. A test leaves a few rows in a few tables: they are deleted.
"""

from functools import cache

import psycopg
from django.apps import apps
from django.db import connection, transaction

CONSTANT = {"django_content_type", "auth_permission"}  # of our models, not of a test
OF_NO_MODEL = ["spatialflow_counter"]
MANY_BYTES = 8 * 2**20  # so large a table is left smaller than DELETE leaves it

LARGE = """
SELECT relname FROM pg_class
WHERE relnamespace = current_schema()::regnamespace AND relname = ANY(%s) AND pg_relation_size(oid) > %s
"""


def why_not_at(url: str) -> str:
    """Return why tables cannot be emptied at this address, or nothing where they can."""
    with psycopg.connect(url) as server:
        may = server.execute("SELECT has_parameter_privilege('session_replication_role', 'SET')").fetchone()
    if may == (True,):
        return ""
    return "Tests empty append-only tables: give DATABASE_URL a superuser's role, or unset it for a server of its own."


def empty_tables() -> None:
    """Delete all that a test and running servers have written, once the servers have written it.

    Needs a role that may silence triggers, as the throw-away server's is: those that guard the audit trail refuse every
    DELETE, and the others keep sums that go as well.
    """
    names = tables()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(f"LOCK TABLE {', '.join(names)} IN EXCLUSIVE MODE")
        cursor.execute(LARGE, [names, MANY_BYTES])
        for (large,) in cursor.fetchall():
            cursor.execute(f"TRUNCATE {large} CASCADE")
        cursor.execute("; ".join(f"DELETE FROM {name}" for name in names))  # noqa: S608 - our own tables


@cache
def tables() -> list[str]:
    """Return the tables that tests write to. Mail comes first: whoever holds its lock holds nothing yet that a server
    could wait for which is in the middle of a delivery.
    """
    written = {model._meta.db_table for model in apps.get_models(include_auto_created=True) if model._meta.managed}
    return ["accounts_outgoingmail", *sorted(written - CONSTANT - {"accounts_outgoingmail"}), *OF_NO_MODEL]
