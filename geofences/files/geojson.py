"""GeoJSON (RFC 7946): a FeatureCollection. A circle, which it lacks, is a Point with the property radius_meters."""

from collections.abc import Iterator
from typing import Any

import ijson
import orjson
from rest_framework.exceptions import ParseError

from geofences.files.stream import CHUNK, BoundedStream, Feature, MalformedFile
from spatialflow.strict_json import read_strictly

HEAD = b'{"type":"FeatureCollection","features":['
TAIL = b"\n]}\n"
ROOT, FEATURES = 1, 2  # how deep the outermost object lies, and the list in it
MAX_DEPTH = 64


def read(stream: BoundedStream) -> Iterator[Feature]:
    """Yield the features of a FeatureCollection. Raises MalformedFile."""
    try:
        # C numbers instead of Decimal: as everywhere, a number is what a double holds.
        for item in _items(ijson.basic_parse(stream, use_float=True, buf_size=CHUNK)):
            stream.feature_ends()
            yield _feature(item)
    except ijson.JSONError as error:
        reason = str(error.args[0]).partition("\n")[0] if error.args else ""
        raise MalformedFile(f"The file is not valid JSON in UTF-8, near byte {stream.position}: {reason}") from None
    except UnicodeError:
        raise MalformedFile(f"The file holds half a surrogate pair, near byte {stream.position}.") from None


def _items(events: Iterator[tuple[str, Any]]) -> Iterator[Any]:
    """Yield the items of the member `features` of the outermost object. Raises MalformedFile.

    The library's own way there keeps the whole path of every level: 100 KB of brackets would fill all memory.
    """
    depth, member, is_in_list, builder = 0, None, False, None
    for event, value in events:
        depth += event.startswith("start")
        if depth > MAX_DEPTH:
            raise MalformedFile(f"The file is nested deeper than {MAX_DEPTH} levels.")
        if event == "map_key" and depth == ROOT:
            member = value
        if event.endswith("_array") and depth == FEATURES and builder is None:
            is_in_list = event == "start_array" and member == "features"
        elif is_in_list:
            builder = builder or ijson.ObjectBuilder()
            builder.event(event, value)
        depth -= event.startswith("end")
        if builder is not None and depth == FEATURES:
            yield builder.value
            builder = None


def _feature(item: Any) -> Feature:
    try:
        item = read_strictly(orjson.dumps(item))  # the bounds of any JSON that clients send: depth, no NUL
    except (ParseError, orjson.JSONEncodeError):
        return Feature(problem="the feature is nested too deep or holds a NUL character.")
    if not isinstance(item, dict) or item.get("type") != "Feature":
        return Feature(problem='a feature is an object with the type "Feature".')
    properties = item.get("properties")
    if properties is not None and not isinstance(properties, dict):
        return Feature(problem="properties must be an object or null.")
    return Feature(item.get("geometry"), properties or {})


def write(fence: dict[str, Any], properties: dict[str, Any]) -> bytes:
    """Return a fence as a Feature; `properties` are what there is to say beside name and geometry."""
    geometry = fence["geometry"]
    if geometry["type"] == "Circle":
        properties = {"radius_meters": geometry["radius_meters"], **properties}
        bounds = {"bbox": geometry["bbox"]} if "bbox" in geometry else {}
        geometry = {"type": "Point", "coordinates": geometry["center"], **bounds}
    return orjson.dumps(
        {
            "type": "Feature",
            "id": fence["id"],
            "geometry": geometry,
            "properties": {"name": fence["name"], **properties},
        }
    )
