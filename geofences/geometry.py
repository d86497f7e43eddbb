"""What counts as a geometry, and the shape that is derived from it. No HTTP, no database.

Coordinates are WGS 84, [longitude, latitude] and optionally an altitude, which is kept and ignored. The edges of a
polygon are straight lines in longitude and latitude (RFC 7946 3.1.1), so a polygon ends at the antimeridian and at the
poles: one that goes on beyond is cut into a MultiPolygon by the sender (3.1.9), and an edge that spans more than 180
degrees of longitude, the sign of an uncut one, is refused. A circle is geodesic: its shape is the polygon of 128 points
at exactly the radius on the WGS 84 ellipsoid, which lies inside the true circle and misses at most 0.04 % of the radius
up to latitude 85 (0.3 % up to 89; the last kilometres before a pole 1.2 %); whether a circle holds a point is decided
by the distance itself (containment.py), so none of this is missed there. A circle across the antimeridian is cut by us;
one that covers a pole is refused.
"""

import hashlib
import itertools
import re
from dataclasses import dataclass
from typing import Any, NamedTuple

import shapely
from geographiclib.geodesic import Geodesic
from shapely import MultiPolygon, Polygon, affinity

from geofences.stored_json import find_reason_not_to_store, is_plainly_within, quoted

MAX_POSITIONS = 1_000
MAX_RINGS = 64
MAX_HOLES = 32
MAX_RADIUS_METERS = 100_000
MAX_ALTITUDE_METERS = 1e9
MAX_STORED_BYTES = 64 * 1024
CIRCLE_POINTS = 128
MEMBERS = {
    "Polygon": {"type", "coordinates", "bbox"},
    "MultiPolygon": {"type", "coordinates", "bbox"},
    "Circle": {"type", "center", "radius_meters", "bbox"},
}

INVALIDITY_IN_WORDS = {
    "Self-intersection": "the edge that starts here crosses or overlaps another edge",
    "Ring Self-intersection": "the ring touches itself here",
    "Too few points in geometry component": "the ring encloses no area",
    "Hole lies outside shell": "this hole lies outside the outer ring",
    "Holes are nested": "this hole lies inside another hole",
    "Interior is disconnected": "the holes cut the polygon apart here",
    "Nested shells": "this polygon lies inside another polygon",
    "Duplicate Rings": "this ring repeats another ring",
}

Ring = list[tuple[float, float]]


class GeometryError(ValueError):
    """The geometry is refused; the text is the sentence for the client and names the ring and position that are
    wrong."""


class BoundingBox(NamedTuple):
    """Bounds in degrees. `east` is beyond 180 where the box goes on over the antimeridian: it is never less than
    `west`, and they are less than 360 apart unless the box goes all around."""

    west: float
    south: float
    east: float
    north: float


@dataclass(frozen=True)
class FenceGeometry:
    """A geometry that passed: as it was given, and what is derived from it."""

    given: dict[str, Any]
    geometry_type: str
    radius_meters: float | None
    shape: Polygon | MultiPolygon

    @property
    def bounding_box(self) -> BoundingBox:
        """Return the narrowest box that holds the shape, over the antimeridian where that is narrower.

        A circle's is widened by 0.1 %, so that it also holds what the 128 points cut off; close to a pole, where those
        are too few to tell how far a circle spreads, it goes all around.
        """
        box = narrowest_box(self.shape)
        if self.radius_meters is None:
            return box
        width, height = (box.east - box.west) * 1e-3, (box.north - box.south) * 1e-3
        south, north = max(box.south - height, -90.0), min(box.north + height, 90.0)
        if _distance_to_pole(*self.given["center"][:2]) < 2 * self.radius_meters:
            return BoundingBox(-180.0, south, 180.0, north)
        turn = 360 if box.west - width < -180 else 0
        return BoundingBox(box.west - width + turn, south, box.east + width + turn, north)

    @property
    def wkb(self) -> bytes:
        return shapely.to_wkb(self.shape)

    @property
    def digest(self) -> bytes:
        """Return 32 bytes that are equal for equal geometries, wherever a ring starts and whichever way it runs."""
        return hashlib.sha256(shapely.to_wkb(shapely.normalize(self.shape))).digest()


@dataclass
class Count:
    """How many rings, holes and positions of a geometry were read so far."""

    rings: int = 0
    holes: int = 0
    positions: int = 0

    def add(self, ring: object, name: str, *, is_hole: bool) -> None:
        """Count one more ring. Raises GeometryError that names the ring, or its position, that is one too many."""
        self.rings += 1
        self.holes += is_hole
        if self.rings > MAX_RINGS:
            raise GeometryError(f"{name}: a geometry has at most {MAX_RINGS} rings.")
        if self.holes > MAX_HOLES:
            raise GeometryError(f"{name}: a geometry has at most {MAX_HOLES} holes.")
        fitting = MAX_POSITIONS - self.positions
        self.positions += len(ring) if isinstance(ring, list) else 0
        if self.positions > MAX_POSITIONS:
            raise GeometryError(f"{name}, position {fitting}: a geometry has at most {MAX_POSITIONS:,} positions.")


def read_geometry(value: object) -> FenceGeometry:
    """Return the checked geometry, coordinates in degrees, radius in metres. Raises GeometryError."""
    if not isinstance(value, dict):
        raise GeometryError("a geometry is an object with the member type: Polygon, MultiPolygon or Circle.")
    geometry = _read_by_type(value)
    if unknown := sorted(value.keys() - MEMBERS[geometry.geometry_type]):
        kind = geometry.geometry_type
        raise GeometryError(f"a {kind} has no member {quoted(unknown[0])}; put what describes the fence into metadata.")
    _check_bounds(value.get("bbox"))
    if not is_plainly_within(value, MAX_STORED_BYTES) and (reason := find_reason_not_to_store(value, MAX_STORED_BYTES)):
        raise GeometryError(f"the geometry {reason}.")
    return geometry


def _check_bounds(bbox: object) -> None:
    """Raise GeometryError unless a `bbox` is one of RFC 7946 5, with two dimensions or three, or null. It is handed out
    as it was given and decides nothing."""
    if bbox is None:
        return
    if not isinstance(bbox, list) or len(bbox) not in (4, 6):
        raise GeometryError("bbox: the bounds are a list of four or six numbers, [west, south, east, north].")
    half = len(bbox) // 2
    (_, south), (_, north) = read_position(bbox[:half], "bbox"), read_position(bbox[half:], "bbox")
    if south > north:
        raise GeometryError("bbox: the south is north of the north; the order is [west, south, east, north].")


def _read_by_type(value: dict[str, Any]) -> FenceGeometry:
    match value.get("type"):
        case "Polygon":
            return FenceGeometry(value, "Polygon", None, _read_valid_polygon(value.get("coordinates")))
        case "MultiPolygon":
            return FenceGeometry(value, "MultiPolygon", None, _read_multi_polygon(value.get("coordinates")))
        case "Circle":
            return _read_circle(value)
        case "Feature" | "FeatureCollection":
            raise GeometryError("a feature is not a geometry; send its geometry member.")
        case _:
            raise GeometryError("type must be Polygon, MultiPolygon or Circle.")


def _read_valid_polygon(coordinates: object) -> Polygon:
    polygon = _read_polygon(coordinates, "", Count())
    _check_validity(polygon, [""])
    return polygon


def _read_multi_polygon(coordinates: object) -> MultiPolygon:
    if not isinstance(coordinates, list) or not coordinates:
        raise GeometryError("coordinates must be a list of polygons, with at least one.")
    count = Count()
    names = [f"polygon {number}, " for number in range(len(coordinates))]
    polygons = [_read_polygon(rings, name, count) for rings, name in zip(coordinates, names, strict=True)]
    shape = MultiPolygon(polygons)
    _check_validity(shape, names)
    return shape


def _read_polygon(coordinates: object, name: str, count: Count) -> Polygon:
    """Return the polygon of a list of rings. `name` stands before "ring 0" in a refusal."""
    if not isinstance(coordinates, list) or not coordinates:
        raise GeometryError(f"{name}coordinates must be a list of rings, with at least one.")
    rings = []
    for number, ring in enumerate(coordinates):
        count.add(ring, f"{name}ring {number}", is_hole=number > 0)
        rings.append(_read_ring(ring, f"{name}ring {number}"))
    return Polygon(rings[0], rings[1:])


def _read_ring(value: object, name: str) -> Ring:
    if not isinstance(value, list):
        raise GeometryError(f"{name}: a ring is a list of positions.")
    ring = [read_position(position, f"{name}, position {number}") for number, position in enumerate(value)]
    if len(ring) < 4:
        raise GeometryError(
            f"{name}, position {len(ring)}: a ring has at least 4 positions, the last one equal to the first."
        )
    if ring[0] != ring[-1]:
        raise GeometryError(
            f"{name}, position {len(ring) - 1}: the ring is not closed; the last position must equal the first."
        )
    for number in range(len(ring) - 1):
        if abs(ring[number + 1][0] - ring[number][0]) > 180:
            raise GeometryError(
                f"{name}, position {number}: the edge to the next position spans more than 180 degrees of longitude; "
                "cut a shape that crosses the antimeridian into a MultiPolygon (RFC 7946 3.1.9)."
            )
    return ring


def read_position(value: object, name: str) -> tuple[float, float]:
    """Return longitude and latitude in degrees. `name` says in a refusal which position it is. Raises GeometryError."""
    if not isinstance(value, list) or not 2 <= len(value) <= 3 or not all(_is_number(number) for number in value):
        raise GeometryError(f"{name}: a position is a list of two or three numbers, [longitude, latitude, altitude].")
    # A range check refuses NaN and infinity as well, and an integer too large for a float before it is converted.
    if not -180 <= value[0] <= 180:
        raise GeometryError(f"{name}: the longitude is outside -180 to 180.")
    if not -90 <= value[1] <= 90:
        raise GeometryError(f"{name}: the latitude is outside -90 to 90; the order is [longitude, latitude].")
    if len(value) == 3 and not -MAX_ALTITUDE_METERS <= value[2] <= MAX_ALTITUDE_METERS:
        raise GeometryError(f"{name}: the altitude is outside -1e9 to 1e9 metres.")
    # Zero has one sign: jsonb knows no other, and what is equal has to have one digest.
    return float(value[0]) + 0.0, float(value[1]) + 0.0


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _check_validity(shape: Polygon | MultiPolygon, names: list[str]) -> None:
    """Raise GeometryError that names the place where shapely calls the shape invalid."""
    if not shape.is_valid:
        raise GeometryError(_describe_invalidity(shape, names))


def _describe_invalidity(shape: Polygon | MultiPolygon, names: list[str]) -> str:
    """Return the sentence for an invalid shape, with the ring and the position at or just before the point that GEOS
    reports."""
    found = re.fullmatch(r"(.+?)\[(\S+) (\S+)\]", shapely.is_valid_reason(shape))
    if not found:
        return "the geometry is not valid."
    point = shapely.Point(float(found[2]), float(found[3]))
    rings = [
        (f"{name}ring {number}", ring)
        for polygon, name in zip(shapely.get_parts(shape), names, strict=True)
        for number, ring in enumerate([polygon.exterior, *polygon.interiors])
    ]
    if found[1] in ("Hole lies outside shell", "Holes are nested"):
        rings = [(name, ring) for name, ring in rings if not name.endswith("ring 0")]
    name, ring = min(rings, key=lambda named: named[1].distance(point))
    corners = list(ring.coords)
    if (point.x, point.y) in corners:
        position = corners.index((point.x, point.y))
    else:
        edges = shapely.linestrings(list(itertools.pairwise(corners)))
        position = int(shapely.distance(edges, point).argmin())
    words = INVALIDITY_IN_WORDS.get(found[1], found[1].lower())
    return f"{name}, position {position}: {words}, at [{point.x:.9g}, {point.y:.9g}]."


def _read_circle(value: dict[str, Any]) -> FenceGeometry:
    radius = value.get("radius_meters")
    longitude, latitude = read_position(value.get("center"), "center")
    if not isinstance(radius, int | float) or isinstance(radius, bool) or not 0 < radius <= MAX_RADIUS_METERS:
        raise GeometryError(f"radius_meters must be a number above 0 and at most {MAX_RADIUS_METERS:,}.")
    if _distance_to_pole(longitude, latitude) <= radius:
        raise GeometryError("center: the circle covers a pole, which no polygon in longitude and latitude can do.")
    shape = _circle_shape(longitude, latitude, radius)
    if not shape.is_valid or shape.is_empty or not shape.area > 0:
        raise GeometryError("radius_meters is too small to tell the circle from its center.")
    return FenceGeometry(value, "Circle", float(radius), shape)


def _circle_shape(longitude: float, latitude: float, radius: float) -> Polygon | MultiPolygon:
    """Return the polygon of points at `radius` metres, counter-clockwise, cut in two where it crosses the
    antimeridian."""
    wanted = Geodesic.LATITUDE | Geodesic.LONGITUDE | Geodesic.LONG_UNROLL
    ring = []
    for number in range(CIRCLE_POINTS):
        end = Geodesic.WGS84.Direct(latitude, longitude, -360 * number / CIRCLE_POINTS, radius, wanted)
        ring.append((end["lon2"], end["lat2"]))
    circle = Polygon(ring)
    west, _, east, _ = circle.bounds
    if west >= -180 and east <= 180:
        return circle
    world = shapely.box(-180, -90, 180, 90)
    parts = [affinity.translate(circle, turn).intersection(world) for turn in (-360, 0, 360)]
    return MultiPolygon([part for part in parts if isinstance(part, Polygon) and part.area > 0])


def _distance_to_pole(longitude: float, latitude: float) -> float:
    """Return the metres to the nearer pole."""
    pole = 90 if latitude >= 0 else -90
    return float(Geodesic.WGS84.Inverse(latitude, longitude, pole, longitude, Geodesic.DISTANCE)["s12"])


def narrowest_box(shape: Polygon | MultiPolygon) -> BoundingBox:
    """Return the box that leaves out the widest stretch of longitude without any part of the shape."""
    if isinstance(shape, Polygon):
        return BoundingBox(*shape.bounds)
    _, south, _, north = shape.bounds
    spans = sorted((part.bounds[0], part.bounds[2]) for part in shape.geoms)
    west, east = spans[0][0], spans[0][1]
    widest, after_gap, before_gap = 0.0, 0.0, 0.0
    for start, end in spans[1:]:
        if start - east > widest:
            widest, after_gap, before_gap = start - east, start, east
        east = max(east, end)
    if widest > west + 360 - east:
        return BoundingBox(after_gap, south, before_gap + 360, north)
    return BoundingBox(west, south, east, north)
