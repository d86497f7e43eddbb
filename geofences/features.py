"""From a feature of a file to the columns of a fence, and from a fence to what a file says about it.

A feature's properties with the names of a fence's members are those members; all others become its metadata. What is
derived or given by this service (id, times, group id) is neither written nor read.
"""

import uuid
from dataclasses import dataclass
from typing import Any

from rest_framework import serializers
from rest_framework.fields import empty

from geofences.files.stream import Feature
from geofences.files.xml import Unreadable, read_number
from geofences.geometry import GeometryError, read_position
from geofences.serializers import GeofenceSerializer, GeometryField, OptionalTextField
from geofences.writes import columns_of, is_circle_around
from spatialflow.errors import validation_response
from spatialflow.strict_fields import TextField, TrueOrFalseField

SOURCES = ("draw", "address")
# What a fence has unless it is said; a file leaves it out.
DEFAULTS: dict[str, Any] = {
    "description": None,
    "webhook_url": None,
    "webhook_events": [],
    "metadata": {},
    "group_name": None,
    "tags": [],
    "source": "draw",
    "address": None,
    "point": None,
    "buffer_meters": None,
    "is_active": True,
    "archived": False,
}
NO_NAME = "name: the feature has no name; say with name_property which of its properties holds one."
NO_RADIUS = "geometry: a point needs radius_meters, among the feature's properties or in the query, to be a circle."


class FeatureRefused(Exception):
    """No fence can come of a feature; the text is the reason."""


class PointField(serializers.Field):
    """Where an address lies, [longitude, latitude]."""

    def to_internal_value(self, data: Any) -> list[float]:
        try:
            return list(read_position(data, "position")[:2])
        except GeometryError as error:
            raise serializers.ValidationError(str(error)) from None


class FeatureSerializer(GeofenceSerializer):
    """The members of a fence that a file may hold."""

    name = TextField(max_length=100)
    geometry = GeometryField(error_messages={"null": "the feature has no geometry."})
    source = serializers.ChoiceField(SOURCES, default="draw")
    address = OptionalTextField(max_length=1000)
    point = PointField(required=False, allow_null=True)
    is_active = TrueOrFalseField(default=True)
    archived = TrueOrFalseField(default=False)


# One of each for all features: making them takes longer than using them.
FIELDS = dict(FeatureSerializer().fields)
MEMBERS = FIELDS.keys() - {"geometry", "name"}
UNLESS_SAID = {name: field.default for name, field in FIELDS.items() if field.default is not empty}


@dataclass(frozen=True)
class FeatureReader:
    """Reads the features of one file for one workspace. `radius_meters` makes circles of points that name none."""

    workspace_id: uuid.UUID
    name_property: str = "name"
    radius_meters: float | None = None

    def columns(self, feature: Feature) -> dict[str, Any]:
        """Return the columns of the fence that a feature describes. One that says it was made from an address, but is
        not the circle that follows from its buffer and point, counts as drawn. Raises FeatureRefused."""
        if feature.problem:
            raise FeatureRefused(feature.problem)
        fields = _validated(self._members(feature))
        point = fields.pop("point", None)
        if not is_circle_around(fields["geometry"].given, fields.get("buffer_meters"), point):
            fields["source"] = "draw"
        longitude, latitude = point or (None, None)
        columns = columns_of(self.workspace_id, {**fields, "lng": longitude, "lat": latitude})
        return columns | {"archived": fields["archived"]}

    def _members(self, feature: Feature) -> dict[str, Any]:
        """Return the members that a feature has, name and geometry among them. Raises FeatureRefused."""
        properties, texts = dict(feature.properties), dict(feature.texts)
        name = _take(self.name_property, properties, texts)
        if isinstance(name, int | float) and not isinstance(name, bool):
            name = str(name)
        if name is None:
            raise FeatureRefused(NO_NAME)
        geometry = self._geometry(feature.geometry, properties, texts)
        said = {key: value for key, value in properties.items() if value is not None}
        members = {key: value for key, value in said.items() if _is_member(key, value)}
        others = {key: value for key, value in said.items() if key not in members}
        given = members.get("metadata", {})
        if (others or texts) and isinstance(given, dict):
            members["metadata"] = {**given, **others, **texts}
        return {**members, "name": name, "geometry": geometry}

    def _geometry(self, geometry: Any, properties: dict[str, Any], texts: dict[str, str]) -> Any:
        """Return the geometry as the API takes it, and take what belongs to it out of the properties."""
        others = properties.pop("geometry_members", None)
        if not isinstance(geometry, dict):
            return geometry
        if geometry.get("type") == "Point":
            radius = _radius(properties, texts)
            if radius is None:
                radius = self.radius_meters
            if radius is None:
                raise FeatureRefused(NO_RADIUS)
            bounds = {"bbox": geometry["bbox"]} if "bbox" in geometry else {}
            geometry = {"type": "Circle", "center": geometry.get("coordinates"), "radius_meters": radius, **bounds}
        return {**others, **geometry} if isinstance(others, dict) else geometry


def _validated(members: dict[str, Any]) -> dict[str, Any]:
    """Return the fields that are given, and what the others are then. Raises FeatureRefused.

    Only what is given is looked at: a serializer would ask each of a dozen fields, of which a feature has two or three.
    """
    fields, errors = dict(UNLESS_SAID), {}
    for name, field in FIELDS.items():
        if name in members:
            try:
                fields[name] = field.run_validation(members[name])
            except serializers.ValidationError as error:
                errors[name] = error.detail
    if errors:
        raise FeatureRefused(validation_response(errors).data["detail"])
    return fields


def _take(name: str, properties: dict[str, Any], texts: dict[str, str]) -> Any:
    """Return a property, which then belongs no more to the rest, or None."""
    value = properties.pop(name, None)
    return texts.pop(name, None) if value is None else value


def _radius(properties: dict[str, Any], texts: dict[str, str]) -> Any:
    """Return the radius that a point has of itself, or None. Raises FeatureRefused for a text that is no number."""
    radius = _take("radius_meters", properties, texts)
    if not isinstance(radius, str):
        return radius
    try:
        return read_number(radius) if radius else None
    except Unreadable as error:
        raise FeatureRefused(f"radius_meters: {error}") from None


def _is_member(key: str, value: Any) -> bool:
    """Return whether a property is a member of a fence. What other programs call a source is where data comes from."""
    return key in MEMBERS and (key != "source" or value in SOURCES)


def properties_of(fence: dict[str, Any]) -> dict[str, Any]:
    """Return what a file says about a fence beside its name and geometry: all that is not as it would be anyway."""
    return {name: fence[name] for name, default in DEFAULTS.items() if fence[name] != default}
