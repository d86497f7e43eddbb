"""Exporting a workspace's fences as a file, which is never whole in memory.

A server-side cursor reads each state of the list in the order of its index, oldest first, in one statement: what is
changed meanwhile is not in the file. Who may export at all stands in turns.py.
"""

import uuid
from collections.abc import Generator, Iterator
from contextlib import closing
from typing import Any

import orjson
from django.db import connection, transaction

from geofences.features import properties_of
from geofences.files.formats import FORMATS
from geofences.queries import STATES, TAGGED

ROWS = 100
BLOCK_BYTES = 64 * 1024
EXPORTED = (
    *("id", "name", "description", "geometry", "webhook_url", "webhook_events", "metadata", "group_name", "tags"),
    *("source", "address", "point", "buffer_meters", "is_active", "archived"),
)
# Postgres reads the parts one after the other; it runs no cursor in parallel.
EXPORT_SQL = "SELECT row_to_json(fence)::text FROM ({parts}) AS fence"
PART_SQL = f"""(
    SELECT {", ".join(EXPORTED)} FROM geofences_geofence
    WHERE workspace_id = %(workspace_id)s AND {{condition}} ORDER BY created_at, id DESC)"""  # noqa: S608 - of constants
TAGS_CONDITION = TAGGED.partition(" AND ")[2]
CIRCLES, OTHERS = "geometry_type = 'Circle'", "geometry_type <> 'Circle'"


def export_fences(
    workspace_id: uuid.UUID, states: list[str], tag_keys: list[str], format_name: str, max_idle_seconds: int = 0
) -> Generator[bytes, None, None]:
    """Yield the pieces of the file, one a fence: those of the workspace in one of the states that carry all of the
    tags. Postgres ends it when the reader lets it wait for `max_idle_seconds` between ROWS and the next; 0 is forever.
    """
    written = FORMATS[format_name]
    yield written.head
    separator = b""
    conditions = _conditions(states, tag_keys, format_name)
    for fence in _fences(workspace_id, conditions, tag_keys, max_idle_seconds):
        yield separator + written.write(fence, properties_of(fence))
        separator = written.separator
    yield written.tail


def in_blocks(pieces: Generator[bytes, None, None]) -> Generator[bytes, None, None]:
    """Yield the same bytes in blocks of some size: handing each to the network costs more than making a piece."""
    block = bytearray()
    with closing(pieces):
        for piece in pieces:
            block += piece
            if len(block) >= BLOCK_BYTES:
                yield bytes(block)
                block.clear()
        yield bytes(block)


def _conditions(states: list[str], tag_keys: list[str], format_name: str) -> list[str]:
    """Return what is read one after the other. In GPX all waypoints stand before the first track."""
    kinds = [CIRCLES, OTHERS] if format_name == "gpx" else [""]
    parts = [[kind, STATES[state], TAGS_CONDITION if tag_keys else ""] for kind in kinds for state in states]
    return [" AND ".join(filter(None, part)) for part in parts]


def _fences(
    workspace_id: uuid.UUID, conditions: list[str], tag_keys: list[str], max_idle_seconds: int
) -> Iterator[dict[str, Any]]:
    parts = " UNION ALL ".join(PART_SQL.format(condition=condition) for condition in conditions)
    with transaction.atomic():
        with connection.cursor() as cursor:
            # Whoever has a million polygons waits a moment for the first ROWS circles.
            cursor.execute("SET LOCAL statement_timeout = '1min'")
            cursor.execute(f"SET LOCAL idle_in_transaction_session_timeout = '{max_idle_seconds}s'")
        with connection.chunked_cursor() as cursor:
            cursor.execute(EXPORT_SQL.format(parts=parts), {"workspace_id": workspace_id, "tag_keys": tag_keys})
            while rows := cursor.fetchmany(ROWS):
                for (text,) in rows:
                    yield orjson.loads(text)
