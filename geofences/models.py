"""The geofence row and the one door to a workspace's fences. What the rows look like in JSON is in queries.py."""

import uuid
from typing import Any

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex, GistIndex
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import MD5
from django.utils import timezone

from geofences.geometry import BoundingBox

NIL_UUID = uuid.UUID(int=0)


class BoxField(models.Field):
    """A BoundingBox in a Postgres `box`, which a GiST index can search."""

    def db_type(self, connection: Any) -> str:
        return "box"

    def from_db_value(self, value: str | None, expression: Any, connection: Any) -> BoundingBox | None:
        if value is None:
            return None
        east, north, west, south = (float(number) for number in value.translate({40: None, 41: None}).split(","))
        return BoundingBox(west, south, east, north)

    def get_prep_value(self, value: BoundingBox | None) -> str | None:
        return None if value is None else f"({value.west},{value.south}),({value.east},{value.north})"


class GeofenceQuerySet(models.QuerySet["Geofence"]):
    def for_workspace(self, workspace_id: uuid.UUID) -> "GeofenceQuerySet":
        """Return the workspace's fences and nobody else's: every read and write of a client starts here or in
        queries.py."""
        return self.filter(workspace_id=workspace_id)


class Geofence(models.Model):
    """One fence of a workspace: its GeoJSON as given, and derived from it the shape, its bounds and its digest.

    Only a geometry that `geofences.geometry` accepted is stored, and the derived columns are always written together
    with it. A deleted fence is an inactive one. Among the active, unarchived fences of a workspace no two have the same
    name, geometry and `distinct_by`.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    workspace = models.ForeignKey("accounts.Workspace", on_delete=models.CASCADE, related_name="+", db_index=False)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")
    name = models.CharField(max_length=100)
    description = models.CharField(max_length=500, null=True)  # noqa: DJ001 - the API tells null from empty

    geometry = models.JSONField()
    geometry_type = models.CharField(max_length=12)
    radius_meters = models.FloatField(null=True)
    shape = models.BinaryField()  # WKB
    bounding_box = BoxField()
    geometry_digest = models.BinaryField(max_length=32)
    # Nil, or the fence's own id when its owner said that it may repeat another one.
    distinct_by = models.UUIDField(default=NIL_UUID)

    webhook_url = models.CharField(max_length=2048, null=True)  # noqa: DJ001
    webhook_events = ArrayField(models.TextField(), default=list)
    metadata = models.JSONField(default=dict)
    # The group's id follows from the workspace and the name (writes.py): a group is its fences, there is no row for it.
    group_id = models.UUIDField(null=True)
    group_name = models.CharField(max_length=255, null=True)  # noqa: DJ001
    # As entered, and for comparing: see writes.tag_key.
    tags = ArrayField(models.TextField(), default=list)
    tag_keys = ArrayField(models.TextField(), default=list)

    source = models.CharField(max_length=16, default="draw")
    address = models.CharField(max_length=1000, null=True)  # noqa: DJ001
    # Where the address lies, [longitude, latitude].
    point = ArrayField(models.FloatField(), size=2, null=True)
    buffer_meters = models.IntegerField(null=True)

    is_active = models.BooleanField(default=True)
    archived = models.BooleanField(default=False)
    created_at = models.DateTimeField(default=timezone.now)
    updated_at = models.DateTimeField(default=timezone.now)

    objects = GeofenceQuerySet.as_manager()

    class Meta:
        indexes = [
            # A page in its order, for each of the four states that a list can ask for. See queries.PAGE_SQL.
            models.Index(
                fields=["workspace", "is_active", "archived", "-created_at", "id"],
                name="geofence_page",
            ),
            # A group's page in its order; all groups with their names and sizes from the index alone.
            models.Index(
                fields=["workspace", "group_id", "-created_at", "id"],
                include=["group_name"],
                condition=Q(group_id__isnull=False, is_active=True, archived=False),
                name="geofence_group",
            ),
            # Whether a group without a fence in the usual list exists.
            models.Index(
                fields=["workspace", "group_id"],
                condition=Q(group_id__isnull=False, is_active=True, archived=True),
                name="geofence_archived_group",
            ),
            # These two lead with the workspace as well, so that what other tenants store costs nothing.
            GinIndex(fields=["workspace", "tag_keys"], name="geofence_tags"),
            GistIndex(
                fields=["workspace", "bounding_box"], condition=Q(is_active=True, archived=False), name="geofence_box"
            ),
            # Which fences have tags at all, for the list of tags.
            models.Index(
                fields=["workspace"],
                condition=Q(is_active=True, archived=False) & ~Q(tag_keys=[]),
                name="geofence_tagged",
            ),
            # The fence of an address, for imports that come again. An address is too long for an index; its MD5 only
            # narrows the search.
            models.Index(
                F("workspace"),
                MD5("address"),
                condition=Q(address__isnull=False, is_active=True, archived=False),
                name="geofence_address",
            ),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["workspace", "name", "geometry_digest", "distinct_by"],
                condition=Q(is_active=True, archived=False),
                name="geofence_unrepeated",
            ),
            models.CheckConstraint(
                condition=Q(geometry_type="Circle", radius_meters__gt=0)
                | Q(geometry_type__in=["Polygon", "MultiPolygon"], radius_meters__isnull=True),
                name="geofence_type_and_radius",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class GeofenceTotal(models.Model):
    """How many fences a workspace has in each state, so that nobody counts a million rows to tell.

    Triggers on the table of fences keep it, in the transaction of whatever changes them; the application only reads it.
    A workspace that never had a fence has no row.
    """

    workspace = models.OneToOneField("accounts.Workspace", on_delete=models.CASCADE, primary_key=True, related_name="+")
    active = models.BigIntegerField(default=0)
    active_archived = models.BigIntegerField(default=0)
    inactive = models.BigIntegerField(default=0)
    inactive_archived = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.workspace_id}: {self.active}"
