"""The two hot reads as SQL: a page of fences and a single one, as JSON built by Postgres and never parsed here.

Both take the workspace first and see nothing outside of it. What a fence looks like in an answer is written once, in
DOCUMENT_SQL.
"""

import uuid
from dataclasses import dataclass, replace
from functools import cache
from typing import NoReturn
from urllib.parse import urlencode

import orjson
from django.db import connection

from spatialflow.errors import ApiError

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

# The rows of a page are limited before anything is computed for one, and its text leaves the database only when it is
# not too long. Each state is read in the order of its own stretch of the index, as far as the page goes, and what comes
# before the page from the index alone. How many there are in all stands in the table of totals, which triggers keep;
# only a list by tags counts, in an index.
PAGE_SQL = """
    WITH answer AS (
        SELECT count(*) AS size, coalesce(string_agg(document, ','), '') AS documents
        FROM (SELECT row_to_json(document)::text AS document FROM (SELECT {columns} FROM (
            {rows} ORDER BY created_at DESC, id LIMIT %(limit)s OFFSET %(offset)s
        ) AS wanted JOIN geofences_geofence AS fence USING (id) ORDER BY fence.created_at DESC, fence.id
        ) AS document) AS page
    )
    SELECT CASE WHEN bytes <= %(max_bytes)s THEN documents END, bytes, size, ({total})
    FROM (SELECT *, octet_length(documents) AS bytes FROM answer) AS measured"""
STATE_SQL = """(
    SELECT id, created_at FROM geofences_geofence WHERE workspace_id = %(workspace_id)s AND {state}
    ORDER BY created_at DESC, id LIMIT %(limit)s::bigint + %(offset)s::bigint)"""
TAGGED = "workspace_id = %(workspace_id)s AND tag_keys @> %(tag_keys)s::text[]"
STATES = {
    "active": "is_active AND NOT archived",
    "active_archived": "is_active AND archived",
    "inactive": "NOT is_active AND NOT archived",
    "inactive_archived": "NOT is_active AND archived",
}
# Twice this goes out, under `geofences` and `results`. ALWAYS_FITTING of the largest fences that can be stored fit.
MAX_PAGE_BYTES = 11 * 1024 * 1024
ALWAYS_FITTING = 100


class PageTooLarge(ApiError):
    status_code = 422
    default_code = "page_too_large"


@dataclass(frozen=True)
class GeofencePage:
    """Which fences a client asked for."""

    limit: int = 50
    offset: int = 0
    active_only: bool = True
    include_archived: bool = False
    tags: tuple[str, ...] = ()

    @property
    def states(self) -> list[str]:
        """Return the keys of STATES that are asked for."""
        active = ["active", "inactive"][: 1 if self.active_only else 2]
        archived = ["", "_archived"][: 2 if self.include_archived else 1]
        return [f"{one}{other}" for one in active for other in archived]

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
    for. Raises PageTooLarge.
    """
    parameters = {"workspace_id": workspace_id, "limit": page.limit, "offset": page.offset, "tag_keys": tag_keys}
    with connection.cursor() as cursor:
        cursor.execute(
            _page_sql(tuple(page.states), by_tags=bool(tag_keys)),
            {**parameters, "max_bytes": MAX_PAGE_BYTES},
        )
        documents, length, size, total_count = cursor.fetchone()
    if length > MAX_PAGE_BYTES:
        _refuse_too_large(size, length)
    following = None
    if page.offset + size < total_count and size:
        following = f"{path}?{replace(page, offset=page.offset + size).query_string}"
    fences = b"[%b]" % (documents or "").encode()
    return b'{"geofences":%b,"count":%d,"total_count":%d,"results":%b,"next":%b}' % (
        fences,
        size,
        total_count,
        fences,
        orjson.dumps(following),
    )


@cache  # one for each of eight kinds of page: a new text each time would cost psycopg its place in every cache
def _page_sql(states: tuple[str, ...], *, by_tags: bool) -> str:
    rows, total = _rows_and_total(states, by_tags=by_tags)
    return PAGE_SQL.format(rows=rows, total=total, columns=DOCUMENT_COLUMNS)


def _rows_and_total(states: tuple[str, ...], *, by_tags: bool) -> tuple[str, str]:
    """Return the two changing parts of PAGE_SQL."""
    if by_tags:
        either = " OR ".join(f"({STATES[state]})" for state in states)
        condition = f"{TAGGED} AND ({either})"
        return (
            f"SELECT id, created_at FROM geofences_geofence WHERE {condition}",  # noqa: S608 - made of constants
            f"SELECT count(*) FROM geofences_geofence WHERE {condition}",  # noqa: S608
        )
    rows = " UNION ALL ".join(STATE_SQL.format(state=STATES[state]) for state in states)
    counted = " + ".join(states)
    return (
        f"SELECT * FROM ({rows}) AS state",  # noqa: S608
        f"SELECT coalesce(sum({counted}), 0)::bigint FROM geofences_geofencetotal "  # noqa: S608
        "WHERE workspace_id = %(workspace_id)s",
    )


def _refuse_too_large(size: int, length: int) -> NoReturn:
    """Raise PageTooLarge. Fewer fences than asked for would look like the last page to the SDK."""
    raise PageTooLarge(
        f"limit: these {size} geofences are {length // 1024 // 1024 + 1} MiB, too much for one page. "
        f"Ask again with a smaller limit; {ALWAYS_FITTING} always fit."
    )


def find_geofence_json(workspace_id: uuid.UUID, geofence_id: uuid.UUID) -> bytes | None:
    """Return the fence as JSON, or None where it is absent or another workspace's."""
    with connection.cursor() as cursor:
        cursor.execute(DOCUMENT_SQL, [workspace_id, geofence_id])
        row = cursor.fetchone()
    return row[0].encode() if row else None


def count_geofences(workspace_id: uuid.UUID) -> int:
    """Return how many fences a workspace has, archived ones too."""
    return count_in_states(workspace_id, ["active", "active_archived"])


def count_in_states(workspace_id: uuid.UUID, states: list[str]) -> int:
    """Return how many fences a workspace has in some of STATES."""
    with connection.cursor() as cursor:
        counted = " + ".join(states)
        cursor.execute(
            f"SELECT {counted} FROM geofences_geofencetotal WHERE workspace_id = %s",  # noqa: S608 - made of constants
            [workspace_id],
        )
        row = cursor.fetchone()
    return int(row[0]) if row else 0
