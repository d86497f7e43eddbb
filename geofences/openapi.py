"""How geofences are described: the JSON types of our own fields, and the answers, which Postgres builds."""

from typing import Any

from drf_spectacular.extensions import OpenApiSerializerFieldExtension
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter
from rest_framework import serializers

from geofences.serializers import MAX_PAGE_LENGTH, GeometryField

POSITION = {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 3}
POLYGON = {"type": "array", "items": {"type": "array", "items": POSITION, "minItems": 4}, "minItems": 1, "maxItems": 64}


def _shape(name: str, **members: Any) -> dict[str, Any]:
    properties = {"type": {"type": "string", "enum": [name]}, **members}
    return {"type": "object", "properties": properties, "required": list(properties)}


GEOMETRY = {
    "oneOf": [
        _shape("Polygon", coordinates=POLYGON),
        _shape("MultiPolygon", coordinates={"type": "array", "items": POLYGON, "minItems": 1}),
        _shape("Circle", center=POSITION, radius_meters={"type": "number", "maximum": 100_000}),
    ]
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


class TrueOrFalseSchema(OpenApiSerializerFieldExtension):
    target_class = "geofences.serializers.TrueOrFalseField"

    def map_serializer_field(self, auto_schema: Any, direction: Any) -> dict[str, Any]:
        return {"type": "boolean"}


class TextListSchema(OpenApiSerializerFieldExtension):
    target_class = "geofences.serializers.TextListField"

    def map_serializer_field(self, auto_schema: Any, direction: Any) -> dict[str, Any]:
        item = {"type": "string", "minLength": 1, "maxLength": self.target.max_length}
        return {"type": "array", "items": item, "maxItems": 50}


class MetadataSchema(OpenApiSerializerFieldExtension):
    target_class = "geofences.serializers.MetadataField"

    def map_serializer_field(self, auto_schema: Any, direction: Any) -> dict[str, Any]:
        return {"type": "object", "additionalProperties": True}


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


A_YARD = OpenApiExample(
    "A yard",
    value={"name": "Yard", "geometry": {"type": "Circle", "center": [8.54, 47.37], "radius_meters": 200}},
    request_only=True,
)
PAGE_PARAMETERS = [
    OpenApiParameter(
        "limit", OpenApiTypes.INT, description=f"Larger values than {MAX_PAGE_LENGTH} are capped.", default=50
    ),
    OpenApiParameter("offset", OpenApiTypes.INT, default=0),
    OpenApiParameter("active_only", OpenApiTypes.BOOL, default=True),
    OpenApiParameter("include_archived", OpenApiTypes.BOOL, default=False),
    OpenApiParameter("tags", OpenApiTypes.STR, many=True, description="Repeat it; fences that carry all are listed."),
]
