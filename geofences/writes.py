"""What happens when a fence is created, changed or deleted: which columns follow from which fields, and what counts as
a repetition."""

import unicodedata
import uuid
from collections.abc import Mapping
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import DateTimeField, F, Func
from django.db.models.functions import Greatest

from geofences.geometry import FenceGeometry, GeometryError, read_geometry
from geofences.models import Geofence
from spatialflow.errors import ApiError, Conflict, NotFound

# Told by Postgres once the row is its own: a change that waited for another one is not dated before it, nor is one by a
# host whose clock is behind.
NOW = Greatest(Func(function="clock_timestamp", output_field=DateTimeField()), F("updated_at"))


class CircleRefused(ApiError):
    status_code = 422
    default_detail = (
        "buffer_meters: this geofence is a circle of buffer_meters around lat and lng, so none of them can be null. "
        "Send a geometry to draw it anew."
    )
    default_code = "invalid_circle"


class DuplicateGeofence(Conflict):
    default_detail = (
        "An active geofence with this name and an equal geometry exists already. "
        "Send confirm_duplicate: true to create it all the same."
    )
    default_code = "duplicate_geofence"


def create_geofence(workspace_id: uuid.UUID, user_id: uuid.UUID, fields: Mapping[str, Any]) -> uuid.UUID:
    """Store a fence from the fields of a validated CreateGeofenceSerializer and return its id. Raises
    DuplicateGeofence."""
    fence = Geofence(workspace_id=workspace_id, created_by_id=user_id, **columns_of(workspace_id, fields))
    fence.updated_at = fence.created_at
    if fields.get("confirm_duplicate"):
        fence.distinct_by = fence.id
    elif _repeats_another(fence):
        raise DuplicateGeofence()
    try:
        with transaction.atomic():
            fence.save(force_insert=True)
    except IntegrityError as error:  # the same fence, created by another request since we looked
        if error.__cause__.diag.constraint_name != "geofence_unrepeated":
            raise
        raise DuplicateGeofence() from None
    return fence.id


@transaction.atomic
def update_geofence(workspace_id: uuid.UUID, geofence_id: uuid.UUID, fields: Mapping[str, Any]) -> None:
    """Change the fields that are given. Raises NotFound, CircleRefused.

    What decides a circle is compared with the fence as it is; all else is one statement that reads nothing first. An
    update is never refused as a repetition: there is no member to confirm one with, so the fence counts as confirmed
    from then on.
    """
    if fields.keys() & {"geometry", "buffer_meters", "lng"}:
        fields = _with_circle(lock_geofence(workspace_id, geofence_id), fields)
    columns = columns_of(workspace_id, fields)
    if columns:
        columns["updated_at"] = NOW
    if columns.keys() & {"name", "geometry", "is_active"}:
        columns["distinct_by"] = geofence_id
    fence = Geofence.objects.for_workspace(workspace_id).filter(pk=geofence_id)
    if not (fence.update(**columns) if columns else fence.exists()):
        raise NotFound()


def lock_geofence(workspace_id: uuid.UUID, geofence_id: uuid.UUID) -> Geofence:
    """Return a fence that nobody else changes until the transaction ends. Raises NotFound."""
    fence = Geofence.objects.for_workspace(workspace_id).select_for_update(no_key=True).filter(pk=geofence_id).first()
    if fence is None:
        raise NotFound()
    return fence


def delete_geofence(workspace_id: uuid.UUID, geofence_id: uuid.UUID) -> None:
    """Deactivate a fence; it stays readable by its id. Deleting it again changes nothing. Raises NotFound."""
    fence = Geofence.objects.for_workspace(workspace_id).filter(pk=geofence_id)
    if not fence.filter(is_active=True).update(is_active=False, updated_at=NOW) and not fence.exists():
        raise NotFound()


def set_archived(workspace_id: uuid.UUID, geofence_id: uuid.UUID, *, archived: bool) -> None:
    """Take a fence out of the usual list, or bring it back. Doing it again changes nothing. Raises NotFound.

    What comes back is never refused as a repetition: like after an update, the fence counts as confirmed.
    """
    fence = Geofence.objects.for_workspace(workspace_id).filter(pk=geofence_id)
    columns: dict[str, Any] = {"archived": archived, "updated_at": NOW}
    if not archived:
        columns["distinct_by"] = geofence_id
    if not fence.filter(archived=not archived).update(**columns) and not fence.exists():
        raise NotFound()


def set_group(workspace_id: uuid.UUID, geofence_id: uuid.UUID, group_name: str | None) -> dict[str, Any]:
    """Put a fence into the workspace's group of this name, or with None into none, and return what it now is. Raises
    NotFound."""
    update_geofence(workspace_id, geofence_id, {"group_name": group_name})
    shown = ("id", "name", "group_id", "group_name", "updated_at")
    row = Geofence.objects.for_workspace(workspace_id).filter(pk=geofence_id).values(*shown).first()
    if row is None:
        raise NotFound()
    return row


def tag_key(name: str) -> str:
    """Return what two spellings of one tag have in common: case, accents' encoding and spacing do not matter."""
    return " ".join(unicodedata.normalize("NFC", name).casefold().split())


def group_id_for(workspace_id: uuid.UUID, group_name: str) -> uuid.UUID:
    """Return the id of the workspace's group of this name, the same at any time: naming a group creates or joins it."""
    return uuid.uuid5(workspace_id, group_name)


def columns_of(workspace_id: uuid.UUID, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns that the given fields decide, derived ones included."""
    plain = (
        "name",
        "description",
        "webhook_url",
        "webhook_events",
        "metadata",
        "address",
        "buffer_meters",
        "source",
        "is_active",
    )
    columns = {field: fields[field] for field in plain if field in fields}
    if "geometry" in fields:
        columns |= _geometry_columns(fields["geometry"])
    if "group_name" in fields:
        name = fields["group_name"]
        columns |= {"group_name": name, "group_id": group_id_for(workspace_id, name) if name else None}
    if "tags" in fields:
        tags = {tag_key(name): name for name in reversed(fields["tags"])}  # of two spellings the first stays
        columns |= {"tags": list(reversed(tags.values())), "tag_keys": list(reversed(tags))}
    if "lng" in fields:
        lng, lat = fields["lng"], fields["lat"]
        columns["point"] = None if lng is None else [lng, lat]
    return columns


def is_circle_around(geometry: Mapping[str, Any], radius: float | None, point: list[float] | None) -> bool:
    """Return whether a checked geometry is the circle of this radius in metres around a longitude and latitude, as the
    one of every fence made from an address is. A polygon of the same outline is not."""
    if geometry["type"] != "Circle" or radius is None or point is None:
        return False
    longitude, latitude = geometry["center"][:2]
    same_meridian = (longitude - point[0]) % 360 == 0  # 180 is -180
    return geometry["radius_meters"] == radius and latitude == point[1] and same_meridian


def _with_circle(fence: Geofence, fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the fields with the geometry that follows from them.

    A fence made from an address is a circle of `buffer_meters` around `lat` and `lng`: it changes with them, and a
    geometry that is not that circle makes a drawn fence of it. In a drawn fence they only say where an address lies.
    Raises CircleRefused.
    """
    if fence.source != "address":
        return fields
    geometry = fields["geometry"].given if "geometry" in fields else fence.geometry
    radius = fields.get("buffer_meters", fence.buffer_meters)
    center = fence.point
    if "lng" in fields:
        center = None if fields["lng"] is None else [fields["lng"], fields["lat"]]
    if is_circle_around(geometry, radius, center):
        return fields
    if not is_circle_around(geometry, fence.buffer_meters, fence.point):
        return {"buffer_meters": None, **fields, "source": "draw"}
    if radius is None or center is None:
        raise CircleRefused()
    try:
        circle = read_geometry({"type": "Circle", "center": center, "radius_meters": radius})
    except GeometryError as error:
        raise CircleRefused(f"buffer_meters: {error}") from None
    return {**fields, "geometry": circle}


def _geometry_columns(geometry: FenceGeometry) -> dict[str, Any]:
    return {
        "geometry": geometry.given,
        "geometry_type": geometry.geometry_type,
        "radius_meters": geometry.radius_meters,
        "shape": geometry.wkb,
        "bounding_box": geometry.bounding_box,
        "geometry_digest": geometry.digest,
    }


def _repeats_another(fence: Geofence) -> bool:
    """Return whether an active, unarchived fence has this name and geometry, be it a confirmed repetition or not."""
    same = Geofence.objects.for_workspace(fence.workspace_id).filter(
        name=fence.name, geometry_digest=fence.geometry_digest
    )
    return same.filter(is_active=True, archived=False).exists()
