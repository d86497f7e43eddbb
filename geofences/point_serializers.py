"""The body of a point test: one point, said in one of three ways, and what it is tested against."""

import uuid
from typing import Any

from rest_framework import serializers

from geofences.containment import Position
from geofences.geometry import FenceGeometry, GeometryError, read_geometry, read_position
from geofences.points import MAX_NAMED
from geofences.serializers import MetadataField, NumberField

HOW_TO_SEND_A_POINT = "lat and lng, point with lat and lng, or geometry of type Point"


class PointOrDraftField(serializers.Field):
    """A GeoJSON Point, or the geometry of a fence that is not stored yet."""

    def to_internal_value(self, data: Any) -> Position | FenceGeometry:
        try:
            if isinstance(data, dict) and data.get("type") == "Point":
                return Position(*read_position(data.get("coordinates"), "coordinates"))
            return read_geometry(data)
        except GeometryError as error:
            raise serializers.ValidationError(str(error)) from None


class GeofenceIdsField(serializers.Field):
    default_error_messages = {"invalid": "Must be a list of at most {most} ids of geofences."}

    def to_internal_value(self, data: Any) -> list[uuid.UUID]:
        ids = [_find_id(item) for item in data] if isinstance(data, list) and len(data) <= MAX_NAMED else [None]
        known = [identifier for identifier in ids if identifier]
        if len(known) < len(ids):
            self.fail("invalid", most=MAX_NAMED)
        return known


def _find_id(value: object) -> uuid.UUID | None:
    try:
        return uuid.UUID(value) if isinstance(value, str) else None
    except ValueError:
        return None


class PointSerializer(serializers.Serializer):
    lat = NumberField(minimum=-90, maximum=90, fractional=True)
    lng = NumberField(minimum=-180, maximum=180, fractional=True)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if attrs.get("lat") is None or attrs.get("lng") is None:
            raise serializers.ValidationError("Send both lat and lng.")
        return attrs


class GroupTestPointSerializer(serializers.Serializer):
    """Where to test. `validated_data` holds `position`, and `draft` where a geometry other than a Point was sent."""

    geometry = PointOrDraftField(required=False, allow_null=True)
    point = PointSerializer(required=False, allow_null=True)
    lat = NumberField(minimum=-90, maximum=90, fractional=True)
    lng = NumberField(minimum=-180, maximum=180, fractional=True)
    takes_draft = False

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        if not self.takes_draft and isinstance(data, dict) and data.get("geofence_ids") is not None:
            raise serializers.ValidationError(
                {"geofence_ids": ["A group is tested as a whole; name geofences at /api/v1/geofences/test-point."]}
            )
        return super().to_internal_value(data)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        geometry = attrs.get("geometry")
        attrs["draft"] = geometry if isinstance(geometry, FenceGeometry) else None
        if attrs["draft"] and not self.takes_draft:
            raise serializers.ValidationError(
                {"geometry": ["A group is tested with a Point; test a draft at /api/v1/geofences/test-point."]}
            )
        if (attrs.get("lat") is None) != (attrs.get("lng") is None):
            raise serializers.ValidationError({"lat": ["Send lat and lng together."]})
        sent = [geometry] if isinstance(geometry, Position) else []
        if point := attrs.get("point"):
            sent.append(Position(point["lng"], point["lat"]))
        if attrs.get("lat") is not None:
            sent.append(Position(attrs["lng"], attrs["lat"]))
        if len(sent) != 1:
            wrong = "Send a point" if not sent else "Send the point once"
            raise serializers.ValidationError(f"{wrong}: {HOW_TO_SEND_A_POINT}.")
        attrs["position"] = Position(float(sent[0].longitude), float(sent[0].latitude))
        return attrs


class TestPointSerializer(GroupTestPointSerializer):
    """Where to test, and against what: the workspace's fences, those named, or a draft."""

    geofence_ids = GeofenceIdsField(required=False, allow_null=True)
    metadata = MetadataField()
    request_metadata = MetadataField()
    takes_draft = True

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        attrs = super().validate(attrs)
        if attrs["draft"] and attrs.get("geofence_ids") is not None:
            raise serializers.ValidationError({"geofence_ids": ["Send a draft in geometry or geofence_ids, not both."]})
        return attrs
