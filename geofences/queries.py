"""The two hot reads as SQL: a page of fences and a single one, as JSON built by Postgres and never parsed here.

Both take the workspace first and see nothing outside of it. What a fence looks like in an answer is written once, in
DOCUMENT_SQL.
"""

import uuid
from dataclasses import dataclass, replace
from urllib.parse import urlencode

import orjson
from django.db import connection

MIN_TRIGGER_RADIUS_METERS = 50

# One fence as the API shows it (GeofenceResponse), member by member, from the row `fence`.
DOCUMENT_COLUMNS = f"""
    fence.id, fence.name, fence.description, fence.geometry, fence.geometry_type, fence.radius_meters,
    fence.webhook_url, fence.webhook_events, fence.metadata, fence.is_active, fence.group_id, fence.group_name,
    fence.source, fence.address, fence.buffer_meters, fence.archived, fence.point, fence.tags,
    NULL AS source_id, NULL AS pre_upgrade_geometry, NULL AS building_provenance,
    fence.radius_meters AS effective_radius_meters,
    coalesce(fence.radius_meters < {MIN_TRIGGER_RADIUS_METERS}, false) AS below_min_trigger_radius,
    false AS is_example,
    to_char(fence.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS created_at,
    to_char(fence.updated_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS updated_at"""

DOCUMENT_SQL = f"""
    SELECT row_to_json(document)::text
    FROM (SELECT {DOCUMENT_COLUMNS} FROM geofences_geofence AS fence WHERE workspace_id = %s AND id = %s) AS document"""  # noqa: S608

# The innermost query limits before anything is computed for a row. A page that is not full and not past the end tells
# the total by itself, so that most workspaces never pay for a count; the others count in an index alone.
PAGE_SQL = """
    WITH answer AS (
        SELECT count(*) AS size, string_agg(row_to_json(document)::text, ',') AS documents
        FROM (SELECT {columns} FROM (
            SELECT * FROM geofences_geofence WHERE {condition}
            ORDER BY created_at DESC, id LIMIT %(limit)s OFFSET %(offset)s
        ) AS fence) AS document
    )
    SELECT documents, size, CASE
        WHEN size < %(limit)s AND (size > 0 OR %(offset)s = 0) THEN %(offset)s + size
        ELSE (SELECT count(*) FROM geofences_geofence WHERE {condition})
    END FROM answer"""


@dataclass(frozen=True)
class GeofencePage:
    """Which fences a client asked for."""

    limit: int = 50
    offset: int = 0
    active_only: bool = True
    include_archived: bool = False
    tags: tuple[str, ...] = ()

    @property
    def query_string(self) -> str:
        pairs = [("limit", str(self.limit)), ("offset", str(self.offset))]
        if not self.active_only:
            pairs.append(("active_only", "false"))
        if self.include_archived:
            pairs.append(("include_archived", "true"))
        return urlencode(pairs + [("tags", tag) for tag in self.tags])


def read_geofence_page(workspace_id: uuid.UUID, page: GeofencePage, tag_keys: list[str], path: str) -> bytes:
    """Return the answer to a list request, newest first, in one statement. `path` is where the next page is asked
    for."""
    condition = "workspace_id = %(workspace_id)s"
    if page.active_only:
        condition += " AND is_active"
    if not page.include_archived:
        condition += " AND NOT archived"
    if tag_keys:
        condition += " AND tag_keys @> %(tag_keys)s::text[]"
    parameters = {"workspace_id": workspace_id, "limit": page.limit, "offset": page.offset, "tag_keys": tag_keys}
    with connection.cursor() as cursor:
        cursor.execute(PAGE_SQL.format(condition=condition, columns=DOCUMENT_COLUMNS), parameters)
        documents, size, total = cursor.fetchone()
    following = None
    if page.offset + size < total and size:
        following = f"{path}?{replace(page, offset=page.offset + size).query_string}"
    fences = b"[%b]" % (documents or "").encode()
    return b'{"geofences":%b,"count":%d,"total_count":%d,"results":%b,"next":%b}' % (
        fences,
        size,
        total,
        fences,
        orjson.dumps(following),
    )


def find_geofence_json(workspace_id: uuid.UUID, geofence_id: uuid.UUID) -> bytes | None:
    """Return the fence as JSON, or None where it is absent or another workspace's."""
    with connection.cursor() as cursor:
        cursor.execute(DOCUMENT_SQL, [workspace_id, geofence_id])
        row = cursor.fetchone()
    return row[0].encode() if row else None


def count_geofences(workspace_id: uuid.UUID) -> int:
    """Return how many fences a workspace has, archived ones too."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM geofences_geofence WHERE workspace_id = %s AND is_active", [workspace_id])
        return int(cursor.fetchone()[0])
