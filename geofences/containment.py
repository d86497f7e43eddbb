"""Which fences hold a point, and how far it is from their centre. No HTTP, no database.

A fence's boundary belongs to it, what lies in a hole does not. Polygons are judged by shapely as they were drawn, with
straight edges in longitude and latitude; circles by the geodesic distance from their centre.

One place has several names where the map is cut: longitude 180 is -180, and at a pole every longitude is the same
place. A point there is in a fence that reaches any of its names.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import shapely
from geographiclib.geodesic import Geodesic
from shapely import LineString, MultiPoint, MultiPolygon, Point, Polygon, affinity

from geofences.geometry import BoundingBox, narrowest_box

# A point at exactly the radius is inside; the distance itself is only known to some nanometres.
ROUNDING_METERS = 1e-6


class Position(NamedTuple):
    """A point in degrees, WGS 84."""

    longitude: float
    latitude: float


@dataclass(frozen=True)
class Circle:
    center: Position
    radius_meters: float


def search_boxes(position: Position) -> tuple[BoundingBox, BoundingBox]:
    """Return what a fence's bounding box overlaps if the fence holds the position. Two, because a box that goes over
    the antimeridian has longitudes beyond 180."""
    longitude, latitude = position
    if abs(latitude) == 90:
        return BoundingBox(-180, latitude, 180, latitude), BoundingBox(180, latitude, 540, latitude)
    if longitude == 180:
        longitude = -180.0
    west, east = (BoundingBox(turned, latitude, turned, latitude) for turned in (longitude, longitude + 360))
    return west, east


def covers(fence: Polygon | MultiPolygon | Circle, position: Position) -> bool:
    """Return whether the fence holds the position; its boundary does, a hole does not."""
    if isinstance(fence, Circle):
        return distance_meters(fence.center, position) <= fence.radius_meters + ROUNDING_METERS
    return bool(shapely.intersects(fence, _names_of(position)))


def center_of(fence: Polygon | MultiPolygon | Circle) -> Position:
    """Return the centre of a circle, or of a polygon's area, which may lie outside of a bent one. Parts on both sides
    of the antimeridian are taken for neighbours when that brings them closer together."""
    if isinstance(fence, Circle):
        return fence.center
    if isinstance(fence, MultiPolygon):
        fence = MultiPolygon(list(_parts_without_seam(fence)))
    center = fence.centroid
    west, south, east, north = fence.bounds
    # Of a sliver, rounding makes a centre beyond its bounds and even beyond the pole, from where no distance is known.
    longitude, latitude = min(max(center.x, west), east), min(max(center.y, south), north)
    return Position(longitude - 360 if longitude > 180 else longitude, latitude)


def distance_meters(one: Position, other: Position) -> float:
    """Return the length of the geodesic between two positions on the WGS 84 ellipsoid."""
    line = Geodesic.WGS84.Inverse(one.latitude, one.longitude, other.latitude, other.longitude, Geodesic.DISTANCE)
    return float(line["s12"])


def _names_of(position: Position) -> Point | MultiPoint | LineString:
    """Return every point of the map that is this place."""
    longitude, latitude = position
    if abs(latitude) == 90:
        return LineString([(-180, latitude), (180, latitude)])
    if abs(longitude) == 180:
        return MultiPoint([(-180, latitude), (180, latitude)])
    return Point(longitude, latitude)


def _parts_without_seam(fence: MultiPolygon) -> Iterator[Polygon]:
    """Yield the parts, those before the widest gap moved once around the globe where that is the narrower map."""
    west = narrowest_box(fence).west
    for part in fence.geoms:
        yield affinity.translate(part, 360) if part.bounds[0] < west else part
