"""The point test against an independent oracle: shapely's STRtree over every polygon, and geographiclib's distance for
circles. Hypothesis draws the fences and the points, and favours what is hard: boundaries, holes, the antimeridian.

The oracle knows nothing of bounding boxes that go on beyond 180 degrees: it looks at a polygon's parts as they lie on
the map, once for each name of a point.
"""

import random
import uuid
from typing import Any

import pytest
from geographiclib.geodesic import Geodesic
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from shapely import LineString, MultiPolygon, Point, Polygon, STRtree

from geofences.geometry import GeometryError, read_geometry
from geofences.models import Geofence
from tests.support.cast import Actor
from tests.support.fences import URL

ALMOST_THE_RADIUS = 1e-3  # metres on both sides of a circle's edge, where nobody is asked
GRID = 0.25  # degrees: a coarse grid, so that points fall onto boundaries and corners


def snapped(low: float, high: float) -> st.SearchStrategy[float]:
    return st.integers(round(low / GRID), round(high / GRID)).map(lambda steps: steps * GRID)


# Three places: an ordinary one, one that goes over the antimeridian (west is up to 180, east beyond), one at a pole.
PLACES = {"land": (6, 10, 45, 48), "antimeridian": (178, 182, -2, 2), "pole": (-180, -174, 86, 90)}


@st.composite
def rectangles(draw: Any, place: str) -> dict[str, Any]:
    """Draw a rectangle, perhaps with a rectangular hole; cut at the antimeridian as RFC 7946 3.1.9 says."""
    west, east, south, north = PLACES[place]
    left, right = sorted(draw(st.lists(snapped(west, east), min_size=2, max_size=2, unique=True)))
    bottom, top = sorted(draw(st.lists(snapped(south, north), min_size=2, max_size=2, unique=True)))
    shell = box_ring(left, bottom, right, top)
    hole = []
    if right - left >= 3 * GRID and top - bottom >= 3 * GRID and draw(st.booleans()):
        hole = [box_ring(left + GRID, bottom + GRID, right - GRID, top - GRID)]
    if right <= 180:
        return {"type": "Polygon", "coordinates": [shell, *hole]}
    if left >= 180:
        return {"type": "Polygon", "coordinates": [turned(ring) for ring in (shell, *hole)]}
    return {
        "type": "MultiPolygon",
        "coordinates": [[box_ring(left, bottom, 180, top)], [turned(box_ring(180, bottom, right, top))]],
    }


def box_ring(left: float, bottom: float, right: float, top: float) -> list[list[float]]:
    return [[left, bottom], [right, bottom], [right, top], [left, top], [left, bottom]]


def turned(ring: list[list[float]]) -> list[list[float]]:
    return [[longitude - 360, latitude] for longitude, latitude in ring]


@st.composite
def triangles(draw: Any, place: str) -> dict[str, Any]:
    west, east, south, north = PLACES[place]
    corner = st.tuples(snapped(west, min(east, 180)), snapped(south, north)).map(list)
    ring = draw(st.lists(corner, min_size=3, max_size=3, unique_by=tuple))
    return {"type": "Polygon", "coordinates": [[*ring, ring[0]]]}


@st.composite
def circles(draw: Any, place: str) -> dict[str, Any]:
    west, east, south, north = PLACES[place]
    center = [on_map(draw(st.floats(west, east))), draw(st.floats(south, north))]
    return {"type": "Circle", "center": center, "radius_meters": draw(st.floats(1, 100_000))}


def on_map(longitude: float) -> float:
    return longitude - 360 if longitude > 180 else longitude


@st.composite
def scenes(draw: Any) -> tuple[list[dict[str, Any]], list[tuple[float, float]]]:
    """Draw valid fences and points; some points at exactly a circle's edge or close to it, some on the grid."""
    place = draw(st.sampled_from(list(PLACES)))
    west, east, south, north = PLACES[place]
    drawn = draw(st.lists(st.one_of(rectangles(place), triangles(place), circles(place)), min_size=1, max_size=8))
    fences = [fence for fence in drawn if is_valid(fence)]
    grid = st.tuples(snapped(west, east).map(on_map), snapped(south, north))
    anywhere = st.tuples(st.floats(west, east).map(on_map), st.floats(south, north))
    points = draw(st.lists(st.one_of(grid, anywhere), min_size=3, max_size=6))
    for fence in fences:
        if fence["type"] == "Circle":
            part, azimuth = draw(st.sampled_from([0.99995, 1.0, 1.00005])), draw(st.floats(-180, 180))
            points.append(at_distance(fence, part, azimuth))
    return fences, points


def at_distance(circle: dict[str, Any], part: float, azimuth: float) -> tuple[float, float]:
    longitude, latitude = circle["center"]
    end = Geodesic.WGS84.Direct(latitude, longitude, azimuth, circle["radius_meters"] * part)
    return max(-180.0, min(180.0, end["lon2"])), end["lat2"]


def is_valid(fence: dict[str, Any]) -> bool:
    try:
        read_geometry(fence)
    except GeometryError:
        return False
    return True


class Oracle:
    """What is inside, found by looking at everything."""

    def __init__(self, fences: dict[str, dict[str, Any]]) -> None:
        self.circles = {name: fence for name, fence in fences.items() if fence["type"] == "Circle"}
        self.names = [name for name in fences if name not in self.circles]
        self.tree = STRtree([as_polygon(fences[name]) for name in self.names])

    def holding(self, point: tuple[float, float]) -> tuple[set[str], set[str]]:
        """Return the names of the fences that hold the point, and of those too close to call."""
        longitude, latitude = point
        found = {
            self.names[number]
            for place in names_of(longitude, latitude)
            for number in self.tree.query(place, predicate="intersects")
        }
        unclear = set()
        for name, circle in self.circles.items():
            line = Geodesic.WGS84.Inverse(latitude, longitude, circle["center"][1], circle["center"][0])
            if abs(line["s12"] - circle["radius_meters"]) < ALMOST_THE_RADIUS:
                unclear.add(name)
            elif line["s12"] < circle["radius_meters"]:
                found.add(name)
        return found, unclear


def as_polygon(fence: dict[str, Any]) -> Polygon | MultiPolygon:
    if fence["type"] == "Polygon":
        return Polygon(fence["coordinates"][0], fence["coordinates"][1:])
    return MultiPolygon([Polygon(rings[0], rings[1:]) for rings in fence["coordinates"]])


def names_of(longitude: float, latitude: float) -> list[Any]:
    """Return what a point is called on the map: 180 degrees is -180, and a pole is the whole edge of the map."""
    if abs(latitude) == 90:
        return [LineString([(-180, latitude), (180, latitude)])]
    return [Point(name, latitude) for name in ({longitude, -longitude} if abs(longitude) == 180 else {longitude})]


def replace_fences(alice: Actor, fences: dict[str, dict[str, Any]]) -> None:
    """Store exactly these fences, by name: as rows, for a hundred requests each time would say nothing more."""
    Geofence.objects.all().delete()
    rows = []
    for name, given_geometry in fences.items():
        geometry = read_geometry(given_geometry)
        rows.append(
            Geofence(
                id=uuid.uuid4(),
                workspace=alice.workspace,
                name=name,
                geometry=geometry.given,
                geometry_type=geometry.geometry_type,
                radius_meters=geometry.radius_meters,
                shape=geometry.wkb,
                bounding_box=geometry.bounding_box,
                geometry_digest=geometry.digest,
            )
        )
    Geofence.objects.bulk_create(rows)


def holding(alice: Actor, point: tuple[float, float]) -> set[str]:
    answer = alice.client.post(f"{URL}/test-point", {"lat": point[1], "lng": point[0]}, format="json")
    assert answer.status_code == 200, answer.content
    matched = answer.json()["matched_geofences"]
    assert matched == sorted(matched, key=lambda fence: (fence["distance_meters"], fence["geofence_id"]))
    return {fence["geofence_name"] for fence in matched}


SQUARE_AT_THE_POLE = {"type": "Polygon", "coordinates": [box_ring(-180, 88, -175, 90)]}
DATE_LINE = {
    "type": "MultiPolygon",
    "coordinates": [[box_ring(179, -1, 180, 1)], [box_ring(-180, -1, -179, 1)]],
}
CLOSE_TO_THE_POLE = {"type": "Circle", "center": [-178.0, 89.5], "radius_meters": 55_000.0}


@pytest.fixture
def unlimited(alice: Actor, settings: Any) -> Actor:
    settings.PLAN_LIMITS = {**settings.PLAN_LIMITS, alice.workspace.plan: 10_000_000}
    return alice


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(scene=scenes())
@example(scene=([SQUARE_AT_THE_POLE], [(50.0, 90.0), (50.0, 89.0), (180.0, 89.0), (0.0, -90.0)]))
@example(scene=([DATE_LINE], [(180.0, 0.0), (-180.0, 1.0), (179.0, 0.0), (-178.9, 0.0), (0.0, 0.0)]))
@example(scene=([CLOSE_TO_THE_POLE], [(at_distance(CLOSE_TO_THE_POLE, 0.999, turn)) for turn in range(0, 360, 15)]))
def test_the_point_test_finds_what_looking_at_everything_finds(
    unlimited: Actor, scene: tuple[list[dict[str, Any]], list[tuple[float, float]]]
) -> None:
    fences = {f"fence {number}": fence for number, fence in enumerate(scene[0])}
    oracle = Oracle(fences)
    replace_fences(unlimited, fences)

    for point in scene[1]:
        expected, unclear = oracle.holding(point)
        assert holding(unlimited, point) - unclear == expected - unclear, point


def test_among_many_fences_the_same_are_found(unlimited: Actor) -> None:
    """Six hundred fences over the whole globe, and what their neighbours would be taken for."""
    chance = random.Random(20261124)
    fences = {}
    while len(fences) < 600:
        longitude, latitude = chance.uniform(-180, 180), chance.uniform(-89, 89)
        size = chance.choice([1, 8, 20])
        ring = box_ring(longitude, latitude, longitude + size, latitude + size)
        circle = {"type": "Circle", "center": [longitude, latitude], "radius_meters": min(size * 50_000, 100_000)}
        fence = circle if chance.random() < 0.5 else {"type": "Polygon", "coordinates": [ring]}
        if is_valid(fence):
            fences[f"fence {len(fences)}"] = fence
    oracle = Oracle(fences)
    replace_fences(unlimited, fences)

    found = 0
    for _ in range(200):
        point = (chance.uniform(-180, 180), chance.uniform(-90, 90))
        expected, unclear = oracle.holding(point)
        found += len(expected)
        assert holding(unlimited, point) - unclear == expected - unclear, point
    assert found > 50


def assert_box_holds_edge(circle: dict[str, Any], azimuth: float) -> None:
    longitude, latitude = at_distance(circle, 1, azimuth)
    west, south, east, north = read_geometry(circle).bounding_box

    assert south <= latitude <= north
    # The turns that the point test asks for, and no others.
    name = -180.0 if longitude == 180 else longitude
    assert west <= name <= east or west <= name + 360 <= east


@settings(max_examples=150, deadline=None)
@given(circle=st.sampled_from(list(PLACES)).flatmap(circles).filter(is_valid), azimuth=st.floats(-180, 180))
def test_a_circles_box_holds_every_point_of_its_edge(circle: dict[str, Any], azimuth: float) -> None:
    assert_box_holds_edge(circle, azimuth)


def test_the_box_of_a_circle_that_almost_touches_a_pole_holds_its_edge() -> None:
    """Where it comes closest it spreads over half of the globe within a fraction of a degree of direction."""
    to_the_pole = Geodesic.WGS84.Inverse(89.5, 0, 90, 0)["s12"]
    circle = {"type": "Circle", "center": [0, 89.5], "radius_meters": to_the_pole * 0.999999}

    for step in range(-100, 101):
        assert_box_holds_edge(circle, step / 100)


def test_the_box_of_a_circle_that_just_reaches_over_the_antimeridian_holds_its_edge() -> None:
    """Its 128 points do not, so that only the widened box goes over."""
    half_width = -read_geometry({"type": "Circle", "center": [0, 60], "radius_meters": 100_000}).shape.bounds[0]
    circle = {"type": "Circle", "center": [-180 + half_width + 1e-9, 60], "radius_meters": 100_000}
    edge = [at_distance(circle, 1, azimuth / 100)[0] for azimuth in range(-9400, -8600)]

    assert read_geometry(circle).shape.geom_type == "Polygon"
    assert max(edge) > 179, "some of the edge is on the other side"
    for azimuth in range(-9400, -8600):
        assert_box_holds_edge(circle, azimuth / 100)
