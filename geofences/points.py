"""The point test: which of a workspace's fences hold a point.

An index over workspace and bounding box finds the fences that could, whatever else exists; `containment` decides about
those alone. Only fences of the usual list are tested, active and not archived.
"""

import uuid
from dataclasses import dataclass
from typing import Any

from django.db import connection
from shapely import MultiPolygon, Polygon

from geofences.containment import Circle, Position, center_of, covers, distance_meters, search_boxes
from geofences.geometry import FenceGeometry
from geofences.listings import check_group, read_shape
from spatialflow.errors import ApiError

MAX_NAMED = 500
MAX_OUTSIDE = 500
# Each is looked at, 0.1 ms long; a request must not take longer than others can wait for.
MAX_CANDIDATES = 5_000
DRAFT_ID, DRAFT_NAME = "draft", "Draft"

USUAL = "workspace_id = %(workspace_id)s AND is_active AND NOT archived"
COULD_HOLD = "(bounding_box && %(box)s::box OR bounding_box && %(turned_box)s::box)"
FENCE_COLUMNS = """
    id::text, name, group_id::text, group_name, shape, radius_meters,
    CASE WHEN radius_meters IS NOT NULL THEN (geometry->'center'->>0)::float8 END AS longitude,
    CASE WHEN radius_meters IS NOT NULL THEN (geometry->'center'->>1)::float8 END AS latitude"""

# The total stands in the first column of every row, and in a row of its own where no fence could hold the point.
CANDIDATES_SQL = f"""
    SELECT coalesce((SELECT active FROM geofences_geofencetotal WHERE workspace_id = %(workspace_id)s), 0), fence.*
    FROM (SELECT 1) AS once
    LEFT JOIN (
        SELECT {FENCE_COLUMNS} FROM geofences_geofence WHERE {USUAL} AND {COULD_HOLD} LIMIT {MAX_CANDIDATES + 1}
    ) AS fence ON true"""  # noqa: S608
NAMED_SQL = f"""
    SELECT count(*) OVER (), {FENCE_COLUMNS} FROM geofences_geofence
    WHERE {USUAL} AND id = ANY(%(geofence_ids)s::uuid[])"""  # noqa: S608
GROUP_CANDIDATES_SQL = f"""
    SELECT (SELECT count(*) FROM geofences_geofence WHERE {USUAL} AND group_id = %(group_id)s), fence.*
    FROM (SELECT 1) AS once
    LEFT JOIN (
        SELECT {FENCE_COLUMNS} FROM geofences_geofence WHERE {USUAL} AND {COULD_HOLD} AND group_id = %(group_id)s
        LIMIT {MAX_CANDIDATES + 1}
    ) AS fence ON true"""  # noqa: S608
OTHERS_SQL = f"""
    SELECT id::text, name FROM geofences_geofence
    WHERE {USUAL} AND group_id = %(group_id)s AND NOT id = ANY(%(inside)s::uuid[])
    ORDER BY created_at DESC, id LIMIT {MAX_OUTSIDE}"""  # noqa: S608


class TooManyCandidates(ApiError):
    status_code = 422
    default_detail = (
        f"More than {MAX_CANDIDATES:,} geofences could hold this point, too many to look at in one request. "
        f"Name those to be tested at /api/v1/geofences/test-point, at most {MAX_NAMED} in geofence_ids."
    )
    default_code = "too_many_candidates"


@dataclass(frozen=True)
class Finding:
    """One fence that was tested. The distance is from the point to the fence's centre."""

    geofence_id: str
    name: str
    group_id: str | None
    group_name: str | None
    is_inside: bool
    distance_meters: float


def test_point(
    workspace_id: uuid.UUID, position: Position, draft: FenceGeometry | None, ids: list[uuid.UUID] | None
) -> tuple[list[Finding], int]:
    """Test the point against the draft, else against the fences named, else against all. Return the findings, nearest
    centre first, and the number of fences there were to be tested."""
    if draft:
        return _test_draft(draft, position), 1
    if ids is not None:
        return _test_named(workspace_id, position, ids)
    return _find_holding(workspace_id, position)


def _find_holding(workspace_id: uuid.UUID, position: Position) -> tuple[list[Finding], int]:
    """Return the fences that hold the point, nearest centre first, and how many fences there are to be tested."""
    rows, total = _read(CANDIDATES_SQL, position, workspace_id=workspace_id)
    return _inside(_judge(rows, position)), total


def _test_named(workspace_id: uuid.UUID, position: Position, ids: list[uuid.UUID]) -> tuple[list[Finding], int]:
    """Return what holds for each of the fences named, nearest centre first; unknown ids and others' are left out."""
    rows, total = _read(NAMED_SQL, position, workspace_id=workspace_id, geofence_ids=ids)
    return _judge(rows, position), total


def _test_draft(draft: FenceGeometry, position: Position) -> list[Finding]:
    """Return what would hold for a fence that is not stored."""
    shape: Polygon | MultiPolygon | Circle = draft.shape
    if draft.radius_meters is not None:
        shape = Circle(Position(*draft.given["center"][:2]), draft.radius_meters)
    return [_finding(DRAFT_ID, DRAFT_NAME, None, None, shape, position)]


def test_group(workspace_id: uuid.UUID, group_id: uuid.UUID, position: Position) -> dict[str, Any]:
    """Return the group's fences that hold the point, then the newest 500 of those that do not. Raises NotFound where
    there is no such group."""
    rows, total = _read(GROUP_CANDIDATES_SQL, position, workspace_id=workspace_id, group_id=group_id)
    if not total:
        check_group(workspace_id, group_id)
    inside = [(found.geofence_id, found.name) for found in _inside(_judge(rows, position))]
    outside: list[tuple[str, str]] = []
    if len(inside) < total:
        with connection.cursor() as cursor:
            parameters = {"workspace_id": workspace_id, "group_id": group_id, "inside": [key for key, _ in inside]}
            cursor.execute(OTHERS_SQL, parameters)
            outside = cursor.fetchall()
    results = [(*fence, True) for fence in inside] + [(*fence, False) for fence in outside]
    return {
        "group_id": str(group_id),
        "test_point": {"latitude": position.latitude, "longitude": position.longitude},
        "results": [
            {"geofence_id": key, "geofence_name": name, "contains": contains} for key, name, contains in results
        ],
        "total_geofences": total,
        "matching_geofences": len(inside),
    }


def describe(position: Position, tested: tuple[list[Finding], int], request_metadata: Any) -> dict[str, Any]:
    """Return the answer to a point test (TestPointResponse)."""
    findings, total = tested
    inside = _inside(findings)
    return {
        "point": {"type": "Point", "coordinates": list(position)},
        "inside_geofences": len(inside),
        "total_geofences": total,
        "results": [
            {
                "geofence_id": found.geofence_id,
                "geofence_name": found.name,
                "is_inside": found.is_inside,
                "distance_meters": found.distance_meters,
            }
            for found in findings
        ],
        "matched_geofences": [
            {
                "geofence_id": found.geofence_id,
                "geofence_name": found.name,
                "group_id": found.group_id,
                "group_name": found.group_name,
                "distance_meters": found.distance_meters,
            }
            for found in inside
        ],
        "request_metadata": request_metadata,
    }


def _read(statement: str, position: Position, **parameters: object) -> tuple[list[dict[str, Any]], int]:
    """Return the fences that a statement finds, and the number in its first column. Raises TooManyCandidates."""
    box, turned_box = (f"({box.west},{box.south}),({box.east},{box.north})" for box in search_boxes(position))
    with connection.cursor() as cursor:
        cursor.execute(statement, {**parameters, "box": box, "turned_box": turned_box})
        names = [column.name for column in cursor.description][1:]
        rows = cursor.fetchall()
    if len(rows) > MAX_CANDIDATES:
        raise TooManyCandidates()
    fences = [dict(zip(names, row[1:], strict=True)) for row in rows if row[1] is not None]
    return fences, rows[0][0] if rows else 0


def _judge(rows: list[dict[str, Any]], position: Position) -> list[Finding]:
    findings = [
        _finding(row["id"], row["name"], row["group_id"], row["group_name"], read_shape(row), position) for row in rows
    ]
    return sorted(findings, key=lambda found: (found.distance_meters, found.geofence_id))


def _finding(
    geofence_id: str,
    name: str,
    group_id: str | None,
    group_name: str | None,
    shape: Polygon | MultiPolygon | Circle,
    position: Position,
) -> Finding:
    distance = round(distance_meters(center_of(shape), position), 3)
    return Finding(geofence_id, name, group_id, group_name, covers(shape, position), distance)


def _inside(findings: list[Finding]) -> list[Finding]:
    return [found for found in findings if found.is_inside]
