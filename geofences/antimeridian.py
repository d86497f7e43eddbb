"""A shape that somebody drew over the antimeridian, with longitudes beyond 180, as RFC 7946 3.1.9 writes it."""

import json
from typing import Any

import shapely
from shapely import Polygon, affinity

WIDEST = 180  # degrees of longitude; a shape that spans more was not drawn


def cut(geometry: Any) -> Any:
    """Return a geometry whose polygons cross longitude 180 or -180 cut there, without altitudes; any other, and what is
    no valid shape, as it is given, for its reader to judge (RFC 7946 3.1.9).
    """
    polygons = _read(geometry)
    if not any(map(_crosses, polygons)) or not all(polygon.is_valid for polygon in polygons):
        return geometry
    pieces = [piece for polygon in polygons for piece in (_split(polygon) if _crosses(polygon) else [polygon])]
    return json.loads(shapely.to_geojson(shapely.union_all(pieces)))


def _crosses(polygon: Polygon) -> bool:
    west, south, east, north = polygon.bounds
    return (west < -180 < east or west < 180 < east) and east - west <= WIDEST and south >= -90 and north <= 90


def _split(polygon: Polygon) -> list[Polygon]:
    """Return what lies on either side, with the longitudes that everybody uses."""
    world = shapely.box(-180, -90, 180, 90)
    parts = [shapely.intersection(affinity.translate(polygon, turn), world) for turn in (-360, 0, 360)]
    return [part for part in shapely.get_parts(parts) if isinstance(part, Polygon) and part.area > 0]


def _read(geometry: Any) -> list[Polygon]:
    """Return the polygons, or none of what cannot be read as such."""
    kind = geometry.get("type") if isinstance(geometry, dict) else None
    if kind not in ("Polygon", "MultiPolygon"):
        return []
    held = geometry.get("coordinates")
    try:
        polygons = [Polygon(rings[0], rings[1:]) for rings in ([held] if kind == "Polygon" else held)]
    except (TypeError, ValueError, LookupError, OverflowError, shapely.errors.ShapelyError):
        return []
    flat = [shapely.force_2d(polygon) for polygon in polygons]
    return [] if any(polygon.is_empty for polygon in flat) else flat
