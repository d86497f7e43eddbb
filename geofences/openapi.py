"""How geofences are described: the JSON types of our own fields, and the answers, which Postgres builds."""

from typing import Any

from drf_spectacular.extensions import OpenApiSerializerFieldExtension
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter
from rest_framework import serializers

from geofences.listings import MAX_GROUP_PAGE
from geofences.points import MAX_NAMED
from geofences.serializers import MAX_OFFSET, MAX_PAGE_LENGTH, GeometryField
from spatialflow.texts import NOT_BLANK

POSITION = {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 3}
POLYGON = {"type": "array", "items": {"type": "array", "items": POSITION, "minItems": 4}, "minItems": 1, "maxItems": 64}
RADIUS = {"type": "number", "minimum": 0, "exclusiveMinimum": True, "maximum": 100_000}
BOUNDS = {"type": "array", "items": {"type": "number"}, "minItems": 4, "maxItems": 6, "nullable": True}


def _shape(name: str, **members: Any) -> dict[str, Any]:
    """Describe a geometry with these members and, if it likes, its bounds, which decide nothing."""
    properties = {"type": {"type": "string", "enum": [name]}, **members}
    return {"type": "object", "properties": {**properties, "bbox": BOUNDS}, "required": list(properties)}


GEOMETRY = {
    "description": "At most 64 KiB as it is sent, 1,000 positions, 64 rings and 32 holes.",
    "oneOf": [
        _shape("Polygon", coordinates=POLYGON),
        _shape("MultiPolygon", coordinates={"type": "array", "items": POLYGON, "minItems": 1}),
        _shape("Circle", center=POSITION, radius_meters=RADIUS),
    ],
}


class GeometrySchema(OpenApiSerializerFieldExtension):
    target_class = "geofences.serializers.GeometryField"

    def map_serializer_field(self, auto_schema: Any, direction: Any) -> dict[str, Any]:
        return GEOMETRY


class NumberSchema(OpenApiSerializerFieldExtension):
    target_class = "geofences.serializers.NumberField"

    def map_serializer_field(self, auto_schema: Any, direction: Any) -> dict[str, Any]:
        kind = "number" if self.target.fractional else "integer"
        return {"type": kind, "minimum": self.target.minimum, "maximum": self.target.maximum}


class TextListSchema(OpenApiSerializerFieldExtension):
    target_class = "geofences.serializers.TextListField"

    def map_serializer_field(self, auto_schema: Any, direction: Any) -> dict[str, Any]:
        item = {"type": "string", "minLength": 1, "maxLength": self.target.max_length, "pattern": NOT_BLANK}
        return {"type": "array", "items": item, "maxItems": 50, "description": "At most 8 KiB as it is sent."}


class MetadataSchema(OpenApiSerializerFieldExtension):
    target_class = "geofences.serializers.MetadataField"

    def map_serializer_field(self, auto_schema: Any, direction: Any) -> dict[str, Any]:
        return {"type": "object", "additionalProperties": True, "description": "At most 16 KiB as it is sent."}


class PointOrDraftSchema(OpenApiSerializerFieldExtension):
    target_class = "geofences.point_serializers.PointOrDraftField"

    def map_serializer_field(self, auto_schema: Any, direction: Any) -> dict[str, Any]:
        return {"oneOf": [_shape("Point", coordinates=POSITION), *GEOMETRY["oneOf"]], "nullable": True}


class GeofenceIdsSchema(OpenApiSerializerFieldExtension):
    target_class = "geofences.point_serializers.GeofenceIdsField"

    def map_serializer_field(self, auto_schema: Any, direction: Any) -> dict[str, Any]:
        return {"type": "array", "items": {"type": "string", "format": "uuid"}, "maxItems": MAX_NAMED}


class GeofenceAnswer(serializers.Serializer):
    """The contract's GeofenceResponse; geofences/queries.py builds it."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    description = serializers.CharField(allow_null=True)
    geometry = GeometryField()
    geometry_type = serializers.ChoiceField(["Polygon", "MultiPolygon", "Circle"])
    radius_meters = serializers.FloatField(allow_null=True)
    webhook_url = serializers.CharField(allow_null=True)
    webhook_events = serializers.ListField(child=serializers.CharField())
    metadata = serializers.DictField()
    is_active = serializers.BooleanField()
    group_id = serializers.UUIDField(allow_null=True)
    group_name = serializers.CharField(allow_null=True)
    source = serializers.CharField(allow_null=True)
    address = serializers.CharField(allow_null=True)
    buffer_meters = serializers.IntegerField(allow_null=True)
    archived = serializers.BooleanField()
    point = serializers.ListField(child=serializers.FloatField(), allow_null=True)
    tags = serializers.ListField(child=serializers.CharField())
    source_id = serializers.CharField(allow_null=True)
    pre_upgrade_geometry = serializers.DictField(allow_null=True)
    building_provenance = serializers.DictField(allow_null=True)
    effective_radius_meters = serializers.FloatField(allow_null=True)
    below_min_trigger_radius = serializers.BooleanField()
    is_example = serializers.BooleanField()
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()


class GeofencePageAnswer(serializers.Serializer):
    """`count` is this page's length, `total_count` all that match; `results` and `next` serve generic paginators."""

    geofences = GeofenceAnswer(many=True)
    count = serializers.IntegerField()
    total_count = serializers.IntegerField()
    results = GeofenceAnswer(many=True)
    next = serializers.CharField(allow_null=True)


class GroupAnswer(serializers.Serializer):
    group_id = serializers.UUIDField()
    group_name = serializers.CharField(allow_null=True)
    geofence_count = serializers.IntegerField()


class GroupsAnswer(serializers.Serializer):
    groups = GroupAnswer(many=True)
    count = serializers.IntegerField()
    truncated = serializers.BooleanField()


class GroupGeofenceAnswer(serializers.Serializer):
    id = serializers.UUIDField()
    name = serializers.CharField()
    description = serializers.CharField(allow_null=True)
    group_id = serializers.UUIDField()
    group_name = serializers.CharField(allow_null=True)
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()


class GroupGeofencesAnswer(serializers.Serializer):
    """`count` is this page's length, `total_count` the group's size."""

    geofences = GroupGeofenceAnswer(many=True)
    count = serializers.IntegerField()
    total_count = serializers.IntegerField()
    group_id = serializers.UUIDField()


class GeofenceGroupAnswer(serializers.Serializer):
    id = serializers.UUIDField()
    name = serializers.CharField()
    group_id = serializers.UUIDField(allow_null=True)
    group_name = serializers.CharField(allow_null=True)
    updated_at = serializers.DateTimeField()


class TagAnswer(serializers.Serializer):
    id = serializers.UUIDField()
    name = serializers.CharField()
    normalized_name = serializers.CharField()
    usage_count = serializers.IntegerField()


class TagsAnswer(serializers.Serializer):
    tags = TagAnswer(many=True)
    total = serializers.IntegerField()
    truncated = serializers.BooleanField()


class SummaryItemAnswer(serializers.Serializer):
    id = serializers.UUIDField()
    name = serializers.CharField()
    geometry = GeometryField()
    center = serializers.ListField(child=serializers.FloatField())
    event_count_today = serializers.IntegerField()


class SummaryAnswer(serializers.Serializer):
    geofences = SummaryItemAnswer(many=True)
    total_count = serializers.IntegerField()
    truncated = serializers.BooleanField()


class GeoJSONPointAnswer(serializers.Serializer):
    type = serializers.ChoiceField(["Point"])
    coordinates = serializers.ListField(child=serializers.FloatField())


class TestedAnswer(serializers.Serializer):
    geofence_id = serializers.CharField()
    geofence_name = serializers.CharField()
    is_inside = serializers.BooleanField()
    distance_meters = serializers.FloatField()


class MatchedAnswer(serializers.Serializer):
    geofence_id = serializers.CharField()
    geofence_name = serializers.CharField()
    group_id = serializers.UUIDField(allow_null=True)
    group_name = serializers.CharField(allow_null=True)
    distance_meters = serializers.FloatField()


class TestPointAnswer(serializers.Serializer):
    """`results` are the fences that hold the point and, where `geofence_ids` names some, each of those. Distances are
    geodesic, from the point to the fence's centre."""

    point = GeoJSONPointAnswer()
    inside_geofences = serializers.IntegerField()
    total_geofences = serializers.IntegerField()
    results = TestedAnswer(many=True)
    matched_geofences = MatchedAnswer(many=True)
    request_metadata = serializers.DictField(allow_null=True)


class PlaceAnswer(serializers.Serializer):
    latitude = serializers.FloatField()
    longitude = serializers.FloatField()


class GroupTestedAnswer(serializers.Serializer):
    geofence_id = serializers.UUIDField()
    geofence_name = serializers.CharField()
    contains = serializers.BooleanField()


class GroupTestPointAnswer(serializers.Serializer):
    """`results` are the fences that hold the point, then the newest 500 of the others."""

    group_id = serializers.UUIDField()
    test_point = PlaceAnswer()
    results = GroupTestedAnswer(many=True)
    total_geofences = serializers.IntegerField()
    matching_geofences = serializers.IntegerField()


class BulkResultAnswer(serializers.Serializer):
    index = serializers.IntegerField()
    status = serializers.ChoiceField(["created", "duplicate", "error"])
    geofence_id = serializers.UUIDField(allow_null=True)
    error_code = serializers.CharField(required=False)
    error = serializers.DictField(child=serializers.CharField(), required=False)
    dedup_match = serializers.DictField(required=False)


class BulkAnswer(serializers.Serializer):
    results = BulkResultAnswer(many=True)


A_POINT = OpenApiExample("A point", value={"lat": 47.37, "lng": 8.54}, request_only=True)
AN_ADDRESS = OpenApiExample(
    "An address",
    value={
        "items": [{"index": 0, "address": "Bahnhofstrasse 1, Zürich", "status": "ok", "lat": 47.37, "lng": 8.54}],
        "dedup_strategy": "skip",
    },
    request_only=True,
)
A_YARD = OpenApiExample(
    "A yard",
    value={"name": "Yard", "geometry": {"type": "Circle", "center": [8.54, 47.37], "radius_meters": 200}},
    request_only=True,
)
LENGTH = {"type": "integer", "minimum": 1}
START = {"type": "integer", "minimum": 0, "maximum": MAX_OFFSET}
TAG = {"type": "string", "minLength": 1, "maxLength": 64, "pattern": NOT_BLANK}
GROUP_PAGE_PARAMETERS = [
    OpenApiParameter("limit", LENGTH, default=MAX_GROUP_PAGE, description="Larger values are capped."),
    OpenApiParameter("offset", START, default=0),
]
PAGE_PARAMETERS = [
    OpenApiParameter("limit", LENGTH, description=f"Larger values than {MAX_PAGE_LENGTH} are capped.", default=50),
    OpenApiParameter("offset", START, default=0),
    OpenApiParameter("active_only", OpenApiTypes.BOOL, default=True),
    OpenApiParameter("include_archived", OpenApiTypes.BOOL, default=False),
    OpenApiParameter(
        "tags",
        {"type": "array", "items": TAG, "maxItems": 50},
        description="Repeat it; fences that carry all are listed.",
    ),
]
