"""How people look through a workspace's fences: one state at a time, filtered, newest first, each page from where the
last one ended. What programs get is in queries.py.
"""

import math
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import shapely
from django.db import connection
from geographiclib.geodesic import Geodesic
from rest_framework import serializers

from geofences.models import Geofence
from geofences.queries import STATES
from geofences.writes import group_id_for, tag_key
from spatialflow.errors import NotFound

PAGE_LENGTH = 50
# A search compares names one by one: so many a page, however many fences there are.
MAX_COMPARED = 20_000
# What a page may hold of geometry; fences beyond are listed and not drawn.
MAX_DRAWN_BYTES = 512 * 1024

SHOWN_STATES = {
    "active": ["active"],
    "archived": ["active_archived"],
    "deleted": ["inactive", "inactive_archived"],
}
LOOKED_THROUGH_SQL = """(
    SELECT id, name, created_at FROM geofences_geofence
    WHERE workspace_id = %(workspace_id)s AND {condition} ORDER BY created_at DESC, id LIMIT %(compared)s)"""
# The totals and the last fence that was looked at stand in every row, and in a row of their own where none was found.
BROWSE_SQL = """
    WITH looked_through AS (
        SELECT * FROM ({states}) AS state ORDER BY created_at DESC, id LIMIT %(compared)s
    ), found AS (
        SELECT id FROM looked_through WHERE strpos(lower(name), lower(%(search)s::text)) > 0
        ORDER BY created_at DESC, id LIMIT %(length)s
    ), shown AS (
        SELECT fence.*, sum(octet_length(geometry::text)) OVER (ORDER BY fence.created_at DESC, fence.id) AS bytes
        FROM found JOIN geofences_geofence AS fence USING (id)
    )
    SELECT coalesce(total.active, 0) AS active, coalesce(total.active_archived, 0) AS archived,
        coalesce(total.inactive + total.inactive_archived, 0) AS deleted,
        edge.created_at AS edge_at, edge.id AS edge_id,
        shown.id, name, group_name, tags, geometry_type, radius_meters, shape, shown.created_at,
        CASE WHEN bytes <= %(max_bytes)s THEN geometry::text END AS geometry
    FROM (SELECT 1) AS once
    LEFT JOIN geofences_geofencetotal AS total ON total.workspace_id = %(workspace_id)s
    LEFT JOIN (
        SELECT created_at, id FROM looked_through ORDER BY created_at DESC, id LIMIT 1 OFFSET %(compared)s::bigint - 1
    ) AS edge ON true
    LEFT JOIN shown ON true
    ORDER BY shown.created_at DESC, shown.id"""
OUTLINES_SQL = """
    SELECT id, geometry FROM (
        SELECT id::text, geometry::text, sum(octet_length(geometry::text)) OVER (ORDER BY place) AS bytes
        FROM geofences_geofence JOIN unnest(%s::uuid[]) WITH ORDINALITY AS wanted (id, place) USING (id)
        WHERE workspace_id = %s
    ) AS measured WHERE bytes <= %s"""


@dataclass(frozen=True)
class ListedFence:
    """One line of the list. `geometry` is GeoJSON as text, or None where the page has no room for it."""

    id: uuid.UUID
    name: str
    group_name: str | None
    tags: list[str]
    shape_in_words: str
    geometry: str | None


@dataclass(frozen=True)
class FenceList:
    """A page of the list: how many fences are in each state, whatever is filtered, and where the next page begins."""

    fences: list[ListedFence]
    totals: dict[str, int]
    following: str | None


class AfterField(serializers.CharField):
    """Where a page begins: behind the fence with this moment and id, as `FenceList.following` writes it."""

    default_error_messages = {"not_a_place": "This is no place in the list. Begin at its first page."}

    def to_internal_value(self, data: Any) -> tuple[datetime, uuid.UUID] | None:
        moment, _, identifier = super().to_internal_value(data).partition("_")
        try:
            found = datetime.fromisoformat(moment), uuid.UUID(identifier)
        except ValueError:
            self.fail("not_a_place")
        if found[0].tzinfo is None:
            self.fail("not_a_place")
        return found


class BrowseSerializer(serializers.Serializer):
    """What to look for; empty values filter nothing. A search finds part of a name, whatever its case."""

    state = serializers.ChoiceField(list(SHOWN_STATES), default="active")
    group = serializers.CharField(max_length=255, allow_blank=True, default="")
    tag = serializers.CharField(max_length=64, allow_blank=True, default="")
    search = serializers.CharField(max_length=100, allow_blank=True, default="")
    after = AfterField(max_length=100, default=None)


def browse(workspace_id: uuid.UUID, wanted: dict[str, Any]) -> FenceList:
    """Return a page of what a validated `BrowseSerializer` asks for, in one statement. A search that finds little may
    end before a page is full: the next one goes on from there.
    """
    parameters, condition = _conditions(workspace_id, wanted)
    states = " UNION ALL ".join(
        LOOKED_THROUGH_SQL.format(condition=f"{STATES[state]}{condition}") for state in SHOWN_STATES[wanted["state"]]
    )
    with connection.cursor() as cursor:
        cursor.execute(BROWSE_SQL.format(states=states), parameters)
        columns = [column.name for column in cursor.description]
        rows = [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]
    totals = {state: rows[0][state] for state in SHOWN_STATES}
    found = [row for row in rows if row["id"] is not None]
    following = None
    if len(found) > PAGE_LENGTH:
        following = _place(found[PAGE_LENGTH - 1]["created_at"], found[PAGE_LENGTH - 1]["id"])
    elif wanted["search"] and rows[0]["edge_id"]:
        following = _place(rows[0]["edge_at"], rows[0]["edge_id"])
    return FenceList([_listed(row) for row in found[:PAGE_LENGTH]], totals, following)


def _conditions(workspace_id: uuid.UUID, wanted: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """Return the parameters of BROWSE_SQL, and what a row has to fulfil beside its state."""
    moment, identifier = wanted["after"] or (None, None)
    parameters = {
        "workspace_id": workspace_id,
        "group_id": group_id_for(workspace_id, wanted["group"]),
        "tag_keys": [tag_key(wanted["tag"])],
        "search": wanted["search"],
        "moment": moment,
        "id": identifier,
        "compared": MAX_COMPARED if wanted["search"] else PAGE_LENGTH + 1,
        "length": PAGE_LENGTH + 1,
        "max_bytes": MAX_DRAWN_BYTES,
    }
    parts = {
        " AND group_id = %(group_id)s": wanted["group"],
        " AND tag_keys @> %(tag_keys)s::text[]": wanted["tag"],
        " AND created_at <= %(moment)s AND (created_at < %(moment)s OR id > %(id)s)": wanted["after"],
    }
    return parameters, "".join(part for part, is_wanted in parts.items() if is_wanted)


def _place(moment: datetime, identifier: uuid.UUID) -> str:
    return f"{moment.isoformat()}_{identifier}"


def _listed(row: dict[str, Any]) -> ListedFence:
    words = shape_in_words(row["geometry_type"], row["radius_meters"], bytes(row["shape"]))
    return ListedFence(row["id"], row["name"], row["group_name"], row["tags"], words, row["geometry"])


def shape_in_words(geometry_type: str, radius_meters: float | None, wkb: bytes) -> str:
    """Return what a fence looks like, for people: "Polygon, 5 corners"."""
    if radius_meters is not None:
        return f"Circle, {radius_meters:,.6g} m radius"
    shape = shapely.from_wkb(wkb)
    parts = shapely.get_parts(shape)
    rings = sum(1 + len(part.interiors) for part in parts)
    corners = int(shapely.get_num_coordinates(shape)) - rings
    name = "Polygon" if len(parts) == 1 else f"{len(parts)} polygons"
    return f"{name}, {corners:,} corners"


def outlines(workspace_id: uuid.UUID, ids: Sequence[str]) -> dict[str, str]:
    """Return the GeoJSON of the workspace's fences by id, those that come first as far as a page has room."""
    with connection.cursor() as cursor:
        cursor.execute(OUTLINES_SQL, [list(ids), workspace_id, MAX_DRAWN_BYTES])
        return dict(cursor.fetchall())


def get_fence(workspace_id: uuid.UUID, geofence_id: uuid.UUID) -> Geofence:
    """Return a fence, a deleted one too. Raises NotFound, in the same words for another workspace's."""
    fence = Geofence.objects.for_workspace(workspace_id).filter(pk=geofence_id).first()
    if fence is None:
        raise NotFound()
    return fence


def area_square_meters(fence: Geofence) -> float:
    """Return about how large the fence is."""
    if fence.radius_meters is not None:
        return math.pi * fence.radius_meters**2
    parts = shapely.get_parts(shapely.from_wkb(bytes(fence.shape)))
    return sum(_ring_area(part.exterior) - sum(map(_ring_area, part.interiors)) for part in parts)


def _ring_area(ring: shapely.LinearRing) -> float:
    polygon = Geodesic.WGS84.Polygon()
    for longitude, latitude in list(ring.coords)[:-1]:
        polygon.AddPoint(latitude, longitude)
    return abs(float(polygon.Compute()[2]))
