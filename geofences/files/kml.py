"""KML 2.2 (OGC 07-147r2): placemarks with a Polygon, a MultiGeometry of these, or a Point as the centre of a circle.

What KML has no element for goes as JSON into ExtendedData. Other ExtendedData becomes metadata of the fence;
the query can choose a name from it, and `radius_meters` in it is a point's.
"""

from collections.abc import Iterator
from typing import Any

from lxml import etree

from geofences.files.stream import BoundedStream, Feature
from geofences.files.xml import (
    Unreadable,
    add_text,
    read_features,
    read_fence_members,
    read_number,
    text_of,
    write_fence_members,
    write_number,
)

HEAD = b'<?xml version="1.0" encoding="UTF-8"?>\n<kml xmlns="http://www.opengis.net/kml/2.2"><Document>'
TAIL = b"\n</Document></kml>\n"
OURS = "spatialflow"
GEOMETRIES = ("Polygon", "MultiGeometry", "Point", "LineString", "LinearRing", "Model", "Track", "MultiTrack")


def read(stream: BoundedStream) -> Iterator[Feature]:
    """Yield the placemarks, in whatever folders they are. Raises MalformedFile."""
    return read_features(stream, "kml", frozenset({"Placemark"}), _read_placemark)


def _read_placemark(placemark: Any) -> Feature:
    texts = _read_texts(placemark)
    properties: dict[str, Any] = {"name": text_of(placemark, "name")}
    try:
        ours = read_fence_members(texts.pop(OURS, None))
        properties |= {"description": text_of(placemark, "description"), **ours}
        return Feature(_read_geometry(placemark), properties, texts=texts)
    except Unreadable as error:
        return Feature(None, properties, str(error), texts)


def _read_texts(placemark: Any) -> dict[str, str]:
    """Return what the placemark's ExtendedData says, by name."""
    texts = {data.get("name", ""): text_of(data, "value") or "" for data in placemark.iterfind("ExtendedData/Data")}
    for data in placemark.iterfind("ExtendedData/SchemaData/SimpleData"):
        texts[data.get("name", "")] = (data.text or "").strip()
    return texts


def _read_geometry(placemark: Any) -> dict[str, Any]:
    found = [child for child in placemark if child.tag in GEOMETRIES]
    if not found:
        raise Unreadable("the placemark has no geometry.")
    if len(found) > 1:
        tags = ", ".join(sorted({child.tag for child in found}))
        raise Unreadable(
            f"the placemark has {len(found)} geometries ({tags}); put polygons into one MultiGeometry, and anything "
            "else into a placemark of its own."
        )
    if found[0].tag == "Point":
        positions = _read_positions(found[0])
        if len(positions) != 1:
            raise Unreadable(f"a Point has one position; this one has {len(positions)}.")
        return {"type": "Point", "coordinates": positions[0]}
    polygons = [_read_polygon(element) for element in _without_nesting(found[0])]
    if found[0].tag == "Polygon":
        return {"type": "Polygon", "coordinates": polygons[0]}
    return {"type": "MultiPolygon", "coordinates": polygons}


def _without_nesting(geometry: Any) -> Iterator[Any]:
    """Yield the polygons of a geometry. Raises Unreadable for anything else in it."""
    pending = [geometry]
    while pending:
        element = pending.pop()
        if element.tag == "MultiGeometry":
            pending += reversed([child for child in element if child.tag in GEOMETRIES])
        elif element.tag == "Polygon":
            yield element
        else:
            raise Unreadable(f"a fence is made of polygons, or of one point; the placemark has a {element.tag}.")


def _read_polygon(polygon: Any) -> list[Any]:
    """Return the rings of a polygon, the outer one first. Raises Unreadable where a ring could be lost or taken for
    another: a hole would be a fence, or a fence would have no hole.
    """
    outer = polygon.findall("outerBoundaryIs/LinearRing")
    if len(outer) != 1 or len(polygon.findall("outerBoundaryIs")) != 1:
        raise Unreadable(f"a Polygon has one outerBoundaryIs with one LinearRing; this one has {len(outer)}.")
    if any(boundary.find("LinearRing") is None for boundary in polygon.iterfind("innerBoundaryIs")):
        raise Unreadable("an innerBoundaryIs of the Polygon has no LinearRing.")
    return [_read_positions(ring) for ring in [*outer, *polygon.iterfind("innerBoundaryIs/LinearRing")]]


def _read_positions(element: Any) -> list[list[float]]:
    texts = element.findall("coordinates")
    if len(texts) > 1:
        raise Unreadable(f"a {element.tag} has one element coordinates; this one has {len(texts)}.")
    words = (element.findtext("coordinates") or "").split()
    return [[read_number(number) for number in word.split(",")] for word in words]


def write(fence: dict[str, Any], properties: dict[str, Any]) -> bytes:
    """Return a fence as a Placemark; `properties` are what there is to say beside name and geometry."""
    geometry = fence["geometry"]
    placemark = etree.Element("Placemark")
    add_text(placemark, "name", fence["name"])
    add_text(placemark, "description", fence["description"])
    if geometry["type"] == "Circle":
        properties = {"radius_meters": geometry["radius_meters"], **properties}
    if members := write_fence_members(fence, properties):
        data = etree.SubElement(etree.SubElement(placemark, "ExtendedData"), "Data", name=OURS)
        etree.SubElement(data, "value").text = members
    if geometry["type"] == "Circle":
        _add_positions(etree.SubElement(placemark, "Point"), [geometry["center"]])
    elif geometry["type"] == "Polygon":
        _add_polygon(placemark, geometry["coordinates"])
    else:
        parts = etree.SubElement(placemark, "MultiGeometry")
        for rings in geometry["coordinates"]:
            _add_polygon(parts, rings)
    return etree.tostring(placemark, encoding="utf-8")


def _add_polygon(parent: Any, rings: list[Any]) -> None:
    polygon = etree.SubElement(parent, "Polygon")
    for number, ring in enumerate(rings):
        boundary = etree.SubElement(polygon, "innerBoundaryIs" if number else "outerBoundaryIs")
        _add_positions(etree.SubElement(boundary, "LinearRing"), ring)


def _add_positions(parent: Any, positions: list[list[float]]) -> None:
    text = " ".join(",".join(map(write_number, position)) for position in positions)
    etree.SubElement(parent, "coordinates").text = text
