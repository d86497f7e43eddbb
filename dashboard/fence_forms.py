"""The form about a geofence: what a browser sends, as the body that the API takes, and the other way round."""

import csv
import json
from typing import Any

from django.http import QueryDict
from rest_framework import serializers
from rest_framework.exceptions import ParseError, ValidationError

from geofences.antimeridian import cut
from geofences.models import Geofence
from spatialflow.digits import NUMBER
from spatialflow.strict_json import read_strictly

SHAPES = [("geojson", "Polygon, drawn or as GeoJSON"), ("circle", "Circle, by centre and radius")]
NOT_JSON = "This is not valid JSON. Look for a bracket, a comma or a quotation mark that is missing."
NO_OBJECT = 'Write one JSON object, in braces: {"manager": "Ann"}.'
NO_SHAPE = "Draw the fence on the map, or paste its GeoJSON."
UNKNOWN_SHAPE = "Choose how the shape is given: as GeoJSON or as a circle."
SEVERAL = "This holds {count} features, and a fence is one. Paste one of them."
CIRCLE = {"circle_lat": "latitude", "circle_lng": "longitude", "circle_radius": "radius in metres"}
NEW_FENCE = {"shape": "geojson"}
TEXTS = ("name", "description", "group_name")
PARTS = (*TEXTS, "tags", "metadata", "geometry")


def read_fence(
    serializer: type[serializers.Serializer],
    form: QueryDict,
    stored: Geofence | None = None,
    parts: tuple[str, ...] = PARTS,
) -> dict[str, Any]:
    """Return the validated members of these parts of a fence's form. The geometry is left out where it is the one that
    is `stored`. Raises the 422 that names every field that is wrong.
    """
    body, errors = _body(form, parts)
    if stored and "geometry" in body and _is_same(body["geometry"], stored.geometry):
        del body["geometry"]
    reader = serializer(data=body)
    if not reader.is_valid() or errors:
        refused = dict(reader.errors)
        if form.get("shape") == "circle" and "geometry" in refused:
            sentences = refused.pop("geometry")
            errors |= _at_its_number(sentences) if "geometry" in body else {}
        raise ValidationError({**refused, **errors})
    read: dict[str, Any] = reader.validated_data
    return read


def read_number(text: str) -> float | None:
    """Return a number that was typed in digits, or None for anything else."""
    return float(text) if NUMBER.fullmatch(text) else None


def _at_its_number(sentences: list[str]) -> dict[str, list[str]]:
    """Return what is wrong with a circle's geometry by the field of the number that it is about."""
    is_radius = sentences[0].startswith("radius_meters")
    return {
        "circle_radius" if is_radius else "circle_lng" if "longitude is" in sentences[0] else "circle_lat": sentences
    }


def _body(form: QueryDict, parts: tuple[str, ...]) -> tuple[dict[str, Any], dict[str, list[str]]]:
    """Return the body that the API takes, and what cannot be read at all, by field."""
    errors: dict[str, list[str]] = {}
    body: dict[str, Any] = {name: form.get(name, "") for name in TEXTS if name in parts}
    if "confirm_duplicate" in form:
        body["confirm_duplicate"] = True
    for name, read in {"tags": _tags, "metadata": _metadata, "geometry": _geometry}.items():
        try:
            if name in parts:
                body[name] = read(form)
        except ValidationError as refusal:
            errors |= refusal.detail if isinstance(refusal.detail, dict) else {name: refusal.detail}
    return body, errors


def _tags(form: QueryDict) -> list[str]:
    """Return tags that stand between commas; one in quotation marks may hold some itself."""
    text = form.get("tags", "").replace("\r", " ").replace("\n", " ")
    if "\0" in text:
        raise ValidationError("A tag holds a character that cannot be stored. Type it anew.")
    try:
        [typed] = csv.reader([text], skipinitialspace=True)
    except csv.Error:
        raise ValidationError("This is too long for tags.") from None
    return [tag.strip() for tag in typed if tag.strip()]


def _written(tag: str) -> str:
    """Return a tag as `_tags` reads it."""
    return '"' + tag.replace('"', '""') + '"' if "," in tag or tag.startswith('"') else tag


def _metadata(form: QueryDict) -> Any:
    value = _json(form.get("metadata", "").strip() or "{}")
    if not isinstance(value, dict):
        raise ValidationError(NO_OBJECT)
    return value


def _geometry(form: QueryDict) -> Any:
    shape = form.get("shape", "geojson")
    if shape not in dict(SHAPES):
        raise ValidationError({"body": [UNKNOWN_SHAPE]})
    return _circle(form) if shape == "circle" else _geojson(form)


def _geojson(form: QueryDict) -> Any:
    """Return the geometry that was pasted or drawn, out of its feature where it is in one, and cut at the antimeridian
    where it was drawn over it.
    """
    text = form.get("geometry", "").strip()
    if not text:
        raise ValidationError(NO_SHAPE)
    value = _json(text)
    if isinstance(value, dict) and value.get("type") == "FeatureCollection" and isinstance(value.get("features"), list):
        if len(value["features"]) != 1:
            raise ValidationError(SEVERAL.format(count=len(value["features"])))
        value = value["features"][0]
    if isinstance(value, dict) and value.get("type") == "Feature":
        value = value.get("geometry")
    return cut(value) if value is not None else {}


def _json(text: str) -> Any:
    try:
        return read_strictly(text.encode())
    except ParseError as refusal:
        said = str(refusal.detail)
        raise ValidationError(NOT_JSON if "not valid JSON" in said else said.replace("The body", "This", 1)) from None


def _circle(form: QueryDict) -> dict[str, Any]:
    numbers = {name: read_number(form.get(name, "")) for name in CIRCLE}
    errors = {name: [f"Enter the {CIRCLE[name]} as a number."] for name, number in numbers.items() if number is None}
    if errors:
        raise ValidationError(errors)
    center = [numbers["circle_lng"], numbers["circle_lat"]]
    return {"type": "Circle", "center": center, "radius_meters": numbers["circle_radius"]}


def _is_same(given: Any, stored: dict[str, Any]) -> bool:
    """Return whether a geometry is the one that is stored; the form shows nothing of a circle but what tells it."""
    if isinstance(given, dict) and given.get("type") == stored["type"] == "Circle" and "bbox" not in given:
        same_center = given.get("center") == stored["center"][:2]
        return bool(same_center and given.get("radius_meters") == stored["radius_meters"])
    return bool(given == stored)


def values_of(fence: Geofence) -> dict[str, Any]:
    """Return what the form that changes a fence holds at first."""
    values = {
        "name": fence.name,
        "description": fence.description or "",
        "group_name": fence.group_name or "",
        "tags": ", ".join(map(_written, fence.tags)),
        "metadata": json.dumps(fence.metadata, indent=2, ensure_ascii=False) if fence.metadata else "",
        "shape": "geojson",
        "geometry": "",
        **dict.fromkeys(CIRCLE, ""),
    }
    if fence.geometry["type"] != "Circle":
        return {**values, "geometry": json.dumps(fence.geometry)}
    longitude, latitude = map(str, fence.geometry["center"][:2])
    radius = str(fence.geometry["radius_meters"])
    return {**values, "shape": "circle", "circle_lat": latitude, "circle_lng": longitude, "circle_radius": radius}
