"""What a workspace's fences have in common, and how they look on a map: groups, tags, the summary for a map.

Everything here is about the fences of the usual list, active and not archived, and every answer has an upper bound.
"""

import uuid
from typing import Any

import orjson
import shapely
from django.db import connection

from geofences.containment import Circle, Position, center_of
from spatialflow.errors import NotFound

MAX_TAGS = 500
MAX_GROUPS = 5_000
MAX_GROUP_PAGE = 5_000
MAX_SUMMARY = 500
MAX_SUMMARY_BYTES = 4 * 1024 * 1024

GROUPS_SQL = """
    SELECT group_id::text, min(group_name) AS group_name, count(*) AS geofence_count FROM geofences_geofence
    WHERE workspace_id = %s AND group_id IS NOT NULL AND is_active AND NOT archived
    GROUP BY group_id ORDER BY group_name, group_id LIMIT %s"""
GROUP_SQL = """
    SELECT id::text, name, description, group_id::text, group_name, created_at, updated_at FROM geofences_geofence
    WHERE workspace_id = %s AND group_id = %s AND is_active AND NOT archived
    ORDER BY created_at DESC, id LIMIT %s OFFSET %s"""
GROUP_SIZE_SQL = """
    SELECT count(*) FROM geofences_geofence
    WHERE workspace_id = %s AND group_id = %s AND is_active AND NOT archived"""
ARCHIVED_GROUP_SQL = """
    SELECT id FROM geofences_geofence WHERE workspace_id = %s AND group_id = %s AND is_active AND archived LIMIT 1"""
# A tag is written as in the fence that is first by name of the ways to write it; the order is that of code points.
TAGS_SQL = """
    SELECT tag.key AS normalized_name, min(tag.name COLLATE "C") AS name, count(*) AS usage_count,
        count(*) OVER () AS total
    FROM geofences_geofence, unnest(tag_keys, tags) AS tag (key, name)
    WHERE workspace_id = %s AND is_active AND NOT archived AND NOT tag_keys = '{}'
    GROUP BY tag.key ORDER BY name, normalized_name LIMIT %s"""
# The newest fences, as many as go into MAX_SUMMARY_BYTES: the first one always does.
SUMMARY_SQL = """
    SELECT id::text, name, geometry, shape, longitude, latitude, radius_meters FROM (
        SELECT *, sum(octet_length(geometry)) OVER (ORDER BY created_at DESC, id) AS bytes FROM (
            SELECT id, name, geometry::text AS geometry, shape, radius_meters, created_at,
                CASE WHEN radius_meters IS NOT NULL THEN (geometry->'center'->>0)::float8 END AS longitude,
                CASE WHEN radius_meters IS NOT NULL THEN (geometry->'center'->>1)::float8 END AS latitude
            FROM geofences_geofence
            WHERE workspace_id = %s AND is_active AND NOT archived
            ORDER BY created_at DESC, id LIMIT %s
        ) AS newest
    ) AS measured WHERE bytes <= %s ORDER BY created_at DESC, id"""
TOTAL_SQL = "SELECT active FROM geofences_geofencetotal WHERE workspace_id = %s"


def list_groups(workspace_id: uuid.UUID) -> dict[str, Any]:
    """Return the groups that have fences, with the number of those, by name; at most 5,000."""
    groups = _select(GROUPS_SQL, workspace_id, MAX_GROUPS + 1)
    kept = groups[:MAX_GROUPS]
    return {"groups": kept, "count": len(kept), "truncated": len(groups) > MAX_GROUPS}


def list_group(workspace_id: uuid.UUID, group_id: uuid.UUID, limit: int, offset: int) -> dict[str, Any]:
    """Return a page of a group's fences, newest first. Raises NotFound where there is no such group."""
    fences = _select(GROUP_SQL, workspace_id, group_id, limit, offset)
    total = offset + len(fences)
    if len(fences) == limit or not fences:
        total = _select(GROUP_SIZE_SQL, workspace_id, group_id)[0]["count"]
    if not total:
        check_group(workspace_id, group_id)
    return {"geofences": fences, "count": len(fences), "total_count": total, "group_id": str(group_id)}


def check_group(workspace_id: uuid.UUID, group_id: uuid.UUID) -> None:
    """Raise NotFound where not even an archived fence is in this group."""
    if not _select(ARCHIVED_GROUP_SQL, workspace_id, group_id):
        raise NotFound()


def list_tags(workspace_id: uuid.UUID) -> dict[str, Any]:
    """Return the tags of the usual list by name, the first 500, each with the number of fences a list by it has."""
    rows = _select(TAGS_SQL, workspace_id, MAX_TAGS)
    total = rows[0]["total"] if rows else 0
    tags = [
        {
            # A tag is what its fences carry; there is no row for it. Its id follows from the workspace and the tag.
            "id": str(uuid.uuid5(workspace_id, f"tag:{row['normalized_name']}")),
            "name": row["name"],
            "normalized_name": row["normalized_name"],
            "usage_count": row["usage_count"],
        }
        for row in rows
    ]
    return {"tags": tags, "total": total, "truncated": total > len(tags)}


def summarize_active(workspace_id: uuid.UUID) -> dict[str, Any]:
    """Return the newest fences for a map, at most 500 and 4 MiB of geometry. This service sees nobody enter or leave,
    so the day's events are none."""
    fences = [
        {
            "id": row["id"],
            "name": row["name"],
            "geometry": orjson.Fragment(row["geometry"]),
            "center": list(center_of(read_shape(row))),
            "event_count_today": 0,
        }
        for row in _select(SUMMARY_SQL, workspace_id, MAX_SUMMARY, MAX_SUMMARY_BYTES)
    ]
    counted = _select(TOTAL_SQL, workspace_id)
    total = counted[0]["active"] if counted else 0
    return {"geofences": fences, "total_count": total, "truncated": total > len(fences)}


def read_shape(row: dict[str, Any]) -> shapely.Polygon | shapely.MultiPolygon | Circle:
    """Return what a row with the columns shape, radius_meters, longitude and latitude describes."""
    if row["radius_meters"] is not None:
        return Circle(Position(row["longitude"], row["latitude"]), row["radius_meters"])
    shape: shapely.Polygon | shapely.MultiPolygon = shapely.from_wkb(row["shape"])
    return shape


def _select(statement: str, *parameters: object) -> list[dict[str, Any]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        columns = [column.name for column in cursor.description]
        return [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]
