"""GPX 1.1: closed tracks and routes, and waypoints as centres of circles.

GPX knows no polygon: each track segment is a ring, and a JSON extension says which rings are holes. A segment of
somebody else's is closed for them when its ends are near one another, as where somebody walked around a yard.
"""

from collections.abc import Iterator
from typing import Any

from lxml import etree

from geofences.containment import Position, distance_meters
from geofences.files.stream import BoundedStream, Feature
from geofences.files.xml import (
    FENCE,
    NAMESPACE,
    Unreadable,
    add_text,
    read_features,
    read_fence_members,
    read_number,
    text_of,
    write_fence_members,
    write_number,
)
from geofences.geometry import GeometryError, read_position

HEAD = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n'
    b'<gpx version="1.1" creator="SpatialFlow" xmlns="http://www.topografix.com/GPX/1/1">'
)
TAIL = b"\n</gpx>\n"
MAX_GAP_METERS = 100


def read(stream: BoundedStream) -> Iterator[Feature]:
    """Yield waypoints, routes and tracks. Raises MalformedFile."""
    return read_features(stream, "gpx", frozenset({"wpt", "rte", "trk"}), _read_one)


def _read_one(element: Any) -> Feature:
    properties: dict[str, Any] = {"name": text_of(element, "name")}
    try:
        ours = read_fence_members(element.findtext(f"extensions/{FENCE}"))
        properties |= {"description": text_of(element, "desc"), **ours}
        rings_of_parts = properties.pop("rings", None)
        return Feature(_read_geometry(element, rings_of_parts), properties)
    except (Unreadable, GeometryError) as error:
        return Feature(None, properties, str(error))


def _read_geometry(element: Any, rings_of_parts: Any) -> dict[str, Any]:
    if element.tag == "wpt":
        return {"type": "Point", "coordinates": _read_point(element)}
    points = (
        [element.iterfind("rtept")] if element.tag == "rte" else [s.iterfind("trkpt") for s in element.iter("trkseg")]
    )
    rings = [_closed([_read_point(point) for point in ring], number) for number, ring in enumerate(points)]
    if rings_of_parts is None:
        if len(rings) == 1:
            return {"type": "Polygon", "coordinates": rings}
        return {"type": "MultiPolygon", "coordinates": [[ring] for ring in rings]}
    return _assembled(rings, rings_of_parts)


def _assembled(rings: list[Any], rings_of_parts: Any) -> dict[str, Any]:
    """Return the geometry that has so many rings in each part; one number stands for a Polygon. Raises Unreadable."""
    counts = rings_of_parts if isinstance(rings_of_parts, list) else [rings_of_parts]
    if not all(type(count) is int and count > 0 for count in counts) or sum(counts) != len(rings):
        raise Unreadable(f"the track has {len(rings)} segments, but what this service wrote about it says otherwise.")
    remaining = iter(rings)
    parts = [[next(remaining) for _ in range(count)] for count in counts]
    if isinstance(rings_of_parts, list):
        return {"type": "MultiPolygon", "coordinates": parts}
    return {"type": "Polygon", "coordinates": parts[0]}


def _read_point(point: Any) -> list[float]:
    position = [read_number(point.get("lon")), read_number(point.get("lat"))]
    altitude = text_of(point, "ele")
    return position if altitude is None else [*position, read_number(altitude)]


def _closed(ring: list[list[float]], number: int) -> list[list[float]]:
    """Return a ring that ends where it begins. Raises Unreadable where the two are far from one another."""
    if len(ring) < 2 or ring[0][:2] == ring[-1][:2]:
        return ring
    ends = [Position(*read_position(ring[at], f"segment {number}, position {at % len(ring)}")) for at in (0, -1)]
    if distance_meters(*ends) > MAX_GAP_METERS:
        raise Unreadable(
            f"segment {number} ends more than {MAX_GAP_METERS} m from where it begins, so it is not the outline of "
            "anything."
        )
    return [*ring, ring[0]]


def write(fence: dict[str, Any], properties: dict[str, Any]) -> bytes:
    """Return a fence as a waypoint or a track; `properties` are what there is to say beside name and geometry."""
    geometry = fence["geometry"]
    match geometry["type"]:
        case "Circle":
            element = etree.Element("wpt")
            _place(element, geometry["center"])
            properties = {"radius_meters": geometry["radius_meters"], **properties}
            rings = []
        case "Polygon":
            element, rings = etree.Element("trk"), geometry["coordinates"]
            if len(rings) > 1:
                properties = {"rings": len(rings), **properties}
        case _:
            element, rings = etree.Element("trk"), [ring for part in geometry["coordinates"] for ring in part]
            properties = {"rings": [len(part) for part in geometry["coordinates"]], **properties}
    add_text(element, "name", fence["name"])
    add_text(element, "desc", fence["description"])
    if members := write_fence_members(fence, properties):
        extensions = etree.SubElement(element, "extensions")
        etree.SubElement(extensions, FENCE, nsmap={None: NAMESPACE}).text = members
    for ring in rings:
        segment = etree.SubElement(element, "trkseg")
        for position in ring:
            _place(etree.SubElement(segment, "trkpt"), position)
    return etree.tostring(element, encoding="utf-8")


def _place(point: Any, position: list[float]) -> None:
    point.set("lat", write_number(position[1]))
    point.set("lon", write_number(position[0]))
    if len(position) > 2:
        etree.SubElement(point, "ele").text = write_number(position[2])
