"""Which geometries are accepted, in which words the others are refused, and what is derived. No database."""

import math
from typing import Any

import pytest
from geographiclib.geodesic import Geodesic
from shapely import Point

from geofences.geometry import BoundingBox, GeometryError, read_geometry

SQUARE = [[0, 0], [10, 0], [10, 10], [0, 10], [0, 0]]


def polygon(*rings: Any) -> dict[str, Any]:
    return {"type": "Polygon", "coordinates": list(rings)}


def multi_polygon(*polygons: Any) -> dict[str, Any]:
    return {"type": "MultiPolygon", "coordinates": list(polygons)}


def circle(longitude: float, latitude: float, radius: Any) -> dict[str, Any]:
    return {"type": "Circle", "center": [longitude, latitude], "radius_meters": radius}


def regular_ring(positions: int) -> list[list[float]]:
    """Return a closed ring of that many positions, the last one included."""
    corners = [
        [math.cos(turn), math.sin(turn)] for turn in (math.tau * i / (positions - 1) for i in range(positions - 1))
    ]
    return [*corners, corners[0]]


def small_squares(count: int) -> list[list[list[list[float]]]]:
    return [[[[x, 0], [x + 0.5, 0], [x + 0.5, 0.5], [x, 0.5], [x, 0]]] for x in range(count)]


def holes(count: int) -> list[list[list[float]]]:
    return [[[x, 0.1], [x + 0.5, 0.1], [x, 0.5], [x, 0.1]] for x in range(1, count + 1)]


NO_OBJECT = "a geometry is an object with the member type: Polygon, MultiPolygon or Circle."
NO_POSITION = "a position is a list of two or three numbers, [longitude, latitude, altitude]."
SWAPPED = "the latitude is outside -90 to 90; the order is [longitude, latitude]."
CROSSES = "the edge that starts here crosses or overlaps another edge"
NO_RADIUS = "radius_meters must be a number above 0 and at most 100,000."
COVERS_A_POLE = "center: the circle covers a pole, which no polygon in longitude and latitude can do."
NO_BOUNDS = "bbox: the bounds are a list of four or six numbers, [west, south, east, north]."
LONG_BAR = [[0, 0], [100, 0], [100, 1], [0, 1], [0, 0]]


@pytest.mark.parametrize(
    ("given", "area", "box"),
    [
        (polygon(SQUARE), 100, (0, 0, 10, 10)),
        (polygon(SQUARE[::-1]), 100, (0, 0, 10, 10)),
        (polygon([[*position, 440.5] for position in SQUARE]), 100, (0, 0, 10, 10)),
        (polygon(SQUARE, [[2, 2], [4, 2], [4, 4], [2, 4], [2, 2]]), 96, (0, 0, 10, 10)),
        (multi_polygon([SQUARE], [[[20, 20], [21, 20], [21, 21], [20, 20]]]), 100.5, (0, 0, 21, 21)),
        (
            polygon([[-180, -90], [0, -90], [180, -90], [180, 90], [0, 90], [-180, 90], [-180, -90]]),
            64800,
            (-180, -90, 180, 90),
        ),
        (multi_polygon(*small_squares(64)), 16, (0, 0, 63.5, 0.5)),
        (polygon(LONG_BAR, *holes(32)), 96.8, (0, 0, 100, 1)),
    ],
)
def test_polygons_are_read(given: dict[str, Any], area: float, box: tuple[float, ...]) -> None:
    geometry = read_geometry(given)

    assert geometry.given is given
    assert geometry.geometry_type == given["type"]
    assert geometry.radius_meters is None
    assert geometry.shape.area == pytest.approx(area)
    assert geometry.bounding_box == BoundingBox(*box)


def test_a_thousand_positions_are_read_and_one_more_is_not() -> None:
    assert len(read_geometry(polygon(regular_ring(1000))).shape.exterior.coords) == 1000

    with pytest.raises(GeometryError, match=r"^ring 0, position 1000: a geometry has at most 1,000 positions\.$"):
        read_geometry(polygon(regular_ring(1001)))


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        # what is no geometry
        ([], NO_OBJECT),
        ("POLYGON((0 0, 1 0, 1 1, 0 0))", NO_OBJECT),
        ({}, "type must be Polygon, MultiPolygon or Circle."),
        ({"type": "Point", "coordinates": [0, 0]}, "type must be Polygon, MultiPolygon or Circle."),
        ({"type": ["Polygon"]}, "type must be Polygon, MultiPolygon or Circle."),
        ({"type": "Feature", "geometry": polygon(SQUARE)}, "a feature is not a geometry; send its geometry member."),
        # structure
        ({"type": "Polygon"}, "coordinates must be a list of rings, with at least one."),
        (polygon(), "coordinates must be a list of rings, with at least one."),
        (polygon("abc"), "ring 0: a ring is a list of positions."),
        (multi_polygon(), "coordinates must be a list of polygons, with at least one."),
        (multi_polygon([]), "polygon 0, coordinates must be a list of rings, with at least one."),
        (multi_polygon([SQUARE], [[1]]), f"polygon 1, ring 0, position 0: {NO_POSITION}"),
        (multi_polygon(*small_squares(65)), "polygon 64, ring 0: a geometry has at most 64 rings."),
        (polygon(LONG_BAR, *holes(33)), "ring 33: a geometry has at most 32 holes."),
        (
            multi_polygon(
                *[[[[-x, -2], [-x - 0.5, -2], [-x, -1], [-x, -2]]] for x in range(63)], [LONG_BAR, *holes(1)]
            ),
            "polygon 63, ring 1: a geometry has at most 64 rings.",
        ),
        (
            multi_polygon([regular_ring(600)], [[[x + 5, y] for x, y in regular_ring(600)]]),
            "polygon 1, ring 0, position 400: a geometry has at most 1,000 positions.",
        ),
        # positions
        (polygon([[0, 0], [1], [1, 1], [0, 0]]), f"ring 0, position 1: {NO_POSITION}"),
        (polygon([[0, 0], [1, 0, 0, 0], [1, 1], [0, 0]]), f"ring 0, position 1: {NO_POSITION}"),
        (polygon([[0, 0], [1, "0"], [1, 1], [0, 0]]), f"ring 0, position 1: {NO_POSITION}"),
        (polygon([[0, 0], [1, True], [1, 1], [0, 0]]), f"ring 0, position 1: {NO_POSITION}"),
        (polygon([[0, 0], [1, None], [1, 1], [0, 0]]), f"ring 0, position 1: {NO_POSITION}"),
        (polygon([[0, 0], [200, 0], [1, 1], [0, 0]]), "ring 0, position 1: the longitude is outside -180 to 180."),
        (polygon([[0, 0], [10**400, 0], [1, 1], [0, 0]]), "ring 0, position 1: the longitude is outside -180 to 180."),
        (polygon([[0, 0], [math.nan, 0], [1, 1], [0, 0]]), "ring 0, position 1: the longitude is outside -180 to 180."),
        (polygon([[35.6, 139.7], [35.7, 139.7], [35.7, 139.8], [35.6, 139.7]]), f"ring 0, position 0: {SWAPPED}"),
        (
            polygon([[0, 0], [1, 0, math.inf], [1, 1], [0, 0]]),
            "ring 0, position 1: the altitude is outside -1e9 to 1e9 metres.",
        ),
        # rings
        (polygon([]), "ring 0, position 0: a ring has at least 4 positions, the last one equal to the first."),
        (
            polygon([[0, 0], [1, 1], [0, 0]]),
            "ring 0, position 3: a ring has at least 4 positions, the last one equal to the first.",
        ),
        (
            polygon(SQUARE, SQUARE[:4]),
            "ring 1, position 3: the ring is not closed; the last position must equal the first.",
        ),
        (
            polygon([[170, 0], [-170, 0], [-170, 10], [170, 10], [170, 0]]),
            "ring 0, position 0: the edge to the next position spans more than 180 degrees of longitude; "
            "cut a shape that crosses the antimeridian into a MultiPolygon (RFC 7946 3.1.9).",
        ),
        # what shapely finds
        (polygon([[0, 0], [10, 10], [10, 0], [0, 10], [0, 0]]), f"ring 0, position 0: {CROSSES}, at [5, 5]."),
        (
            polygon([[0, 0], [10, 0], [10, 10], [5, 0], [0, 10], [0, 0]]),
            "ring 0, position 3: the ring touches itself here, at [5, 0].",
        ),
        (polygon([[0, 0], [1, 1], [2, 2], [0, 0]]), f"ring 0, position 1: {CROSSES}, at [1, 1]."),
        (polygon([[1, 1], [1, 1], [1, 1], [1, 1]]), "ring 0, position 0: the ring encloses no area, at [1, 1]."),
        (
            polygon(SQUARE, [[20, 20], [21, 20], [21, 21], [20, 20]]),
            "ring 1, position 0: this hole lies outside the outer ring, at [20, 20].",
        ),
        (
            polygon(SQUARE, [[1, 1], [9, 1], [9, 9], [1, 1]], [[5, 2], [6, 2], [6, 3], [5, 2]]),
            "ring 2, position 0: this hole lies inside another hole, at [5, 2].",
        ),
        (
            polygon(SQUARE, [[0, 5], [5, 0], [10, 5], [5, 10], [0, 5]]),
            "ring 0, position 0: the holes cut the polygon apart here, at [5, 0].",
        ),
        (
            multi_polygon([SQUARE], [[[1, 1], [2, 1], [2, 2], [1, 1]]]),
            "polygon 1, ring 0, position 0: this polygon lies inside another polygon, at [1, 1].",
        ),
        (
            multi_polygon([[[20, 0], [21, 0], [21, 1], [20, 0]]], [SQUARE], [[[5, 5], [15, 5], [15, 15], [5, 5]]]),
            f"polygon 1, ring 0, position 1: {CROSSES}, at [10, 5].",
        ),
        # circles
        ({"type": "Circle", "radius_meters": 5}, f"center: {NO_POSITION}"),
        (circle(181, 0, 5), "center: the longitude is outside -180 to 180."),
        (circle(0, 0, 0), NO_RADIUS),
        (circle(0, 0, -1), NO_RADIUS),
        (circle(0, 0, 100_000.5), NO_RADIUS),
        (circle(0, 0, 10**400), NO_RADIUS),
        (circle(0, 0, True), NO_RADIUS),
        (circle(0, 0, "5"), NO_RADIUS),
        (circle(0, 0, math.nan), NO_RADIUS),
        (circle(0, 0, None), NO_RADIUS),
        (circle(8, 47, 1e-12), "radius_meters is too small to tell the circle from its center."),
        (circle(0, 90, 1), COVERS_A_POLE),
        (circle(0, -89.5, 60_000), COVERS_A_POLE),
        # what could not be stored
        (polygon([[x, y, 1e-300] for x, y in regular_ring(300)]), "the geometry is larger than 64 KiB."),
        (
            {**polygon(SQUARE), "note 'x'": "x"},
            "a Polygon has no member \"note 'x'\"; put what describes the fence into metadata.",
        ),
        (
            {**polygon(SQUARE), "center": [0, 0], "radius_meters": 5},
            'a Polygon has no member "center"; put what describes the fence into metadata.',
        ),
        (
            {**circle(0, 0, 5), "coordinates": [0, 0]},
            'a Circle has no member "coordinates"; put what describes the fence into metadata.',
        ),
        ({**polygon(SQUARE), "bbox": "\x01" * 60_000}, NO_BOUNDS),
        ({**polygon(SQUARE), "bbox": [0, 0, 1]}, NO_BOUNDS),
        ({**polygon(SQUARE), "bbox": [0, 0, 1, "1"]}, f"bbox: {NO_POSITION}"),
        ({**polygon(SQUARE), "bbox": [0, 0, 181, 1]}, "bbox: the longitude is outside -180 to 180."),
        (
            {**polygon(SQUARE), "bbox": [0, 1, 1, 0]},
            "bbox: the south is north of the north; the order is [west, south, east, north].",
        ),
    ],
)
def test_refusals_name_the_place(given: Any, sentence: str) -> None:
    with pytest.raises(GeometryError) as refusal:
        read_geometry(given)

    assert str(refusal.value) == sentence


@pytest.mark.parametrize("bbox", [None, [0, 0, 10, 10], [0, 0, -5.5, 10, 10, 1e9], [170, -10, -170, 10]])
@pytest.mark.parametrize("given", [polygon(SQUARE), circle(0, 0, 5)])
def test_bounds_are_kept_as_they_are(given: dict[str, Any], bbox: Any) -> None:
    assert read_geometry({**given, "bbox": bbox}).given["bbox"] == bbox


@pytest.mark.parametrize("given", [polygon(SQUARE), multi_polygon([SQUARE]), circle(0, 0, 5)])
@pytest.mark.parametrize("member", ["type", "coordinates", "center", "radius_meters", "bbox"])
def test_depth_exhausts_no_stack(given: dict[str, Any], member: str) -> None:
    deep: list[Any] = []
    for _ in range(10_000):
        deep = [deep]

    with pytest.raises(GeometryError):
        read_geometry({**given, member: deep})


@pytest.mark.parametrize(
    ("latitude", "radius", "allowed"),
    [
        (0, 100, 3.1e-4),
        (0, 100_000, 3.1e-4),
        (47.4, 0.5, 3.1e-4),
        (47.4, 100_000, 3.1e-4),
        (-80, 100_000, 3.4e-4),
        (85, 100_000, 3.8e-4),
    ],
)
def test_a_circle_is_geodesic(latitude: float, radius: float, allowed: float) -> None:
    """Points on the true circle are off the derived ring by at most the documented part of the radius; the box holds
    them all."""
    geometry = read_geometry(circle(8.5, latitude, radius))
    box = geometry.bounding_box

    for step in range(0, 3600, 7):
        just_inside = Geodesic.WGS84.Direct(latitude, 8.5, step / 10, radius * (1 - allowed))
        outside = Geodesic.WGS84.Direct(latitude, 8.5, step / 10, radius * (1 + 1e-6))
        on_circle = Geodesic.WGS84.Direct(latitude, 8.5, step / 10, radius)
        assert geometry.shape.covers(Point(just_inside["lon2"], just_inside["lat2"]))
        assert not geometry.shape.covers(Point(outside["lon2"], outside["lat2"]))
        assert box.west <= on_circle["lon2"] <= box.east
        assert box.south <= on_circle["lat2"] <= box.north


def test_a_circle_across_the_antimeridian_has_two_parts() -> None:
    geometry = read_geometry(circle(179.9, 0, 50_000))

    assert [part.geom_type for part in geometry.shape.geoms] == ["Polygon", "Polygon"]
    assert geometry.shape.covers(Point(179.8, 0))
    assert geometry.shape.covers(Point(-179.8, 0))
    assert not geometry.shape.covers(Point(0, 0))
    assert geometry.bounding_box == pytest.approx((179.4499, -0.4526, 180.3501, 0.4526), abs=1e-3)


def test_equal_geometries_have_equal_digests() -> None:
    turned = [[10, 0], [10, 10], [0, 10], [0.0, 0], [10, 0]]

    assert read_geometry(polygon(SQUARE)).digest == read_geometry(polygon(turned[::-1])).digest
    assert (
        read_geometry(polygon(SQUARE)).digest
        != read_geometry(polygon([[0, 0], [10, 0], [10, 10.000001], [0, 10], [0, 0]])).digest
    )
    minus = [[-0.0 if number == 0 else number for number in position] for position in SQUARE]
    assert read_geometry(polygon(SQUARE)).digest == read_geometry(polygon(minus)).digest
    assert read_geometry(circle(0, 0, 50)).digest == read_geometry(circle(-0.0, -0.0, 50)).digest
    assert read_geometry(circle(1, 1, 50)).digest != read_geometry(circle(1, 1, 50.001)).digest
