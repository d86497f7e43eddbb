"""Shapes that were drawn over the antimeridian: cut there, or left for their reader to judge."""

from typing import Any

import pytest
import shapely

from geofences.antimeridian import cut
from geofences.geometry import GeometryError, read_geometry


def ring(west: float, east: float, south: float = 0, north: float = 10) -> list[list[float]]:
    return [[west, south], [east, south], [east, north], [west, north], [west, south]]


def polygon(*rings: Any) -> dict[str, Any]:
    return {"type": "Polygon", "coordinates": list(rings)}


COMB = [[175, 0], [185, 0], [185, 1], [176, 1], [176, 9], [185, 9], [185, 10], [175, 10], [175, 0]]
BOTH_SIDES = {"type": "MultiPolygon", "coordinates": [[ring(170, 182)], [ring(-180, -170)]]}
HIGH = [[-170, 0, 5], [-185, 0, 5], [-185, 10, 5], [-170, 0, 5]]


@pytest.mark.parametrize(
    ("drawn", "parts", "area"),
    [
        (polygon(ring(170, 190)), 2, 200),
        (polygon(ring(-190, -170)), 2, 200),
        (polygon(ring(170, 190), ring(178, 182, 4, 6)), 2, 192),
        (polygon(COMB), 3, 5 + 5 + 8 + 10),
        (BOTH_SIDES, 2, 200),
        (polygon(HIGH), 2, 75),
    ],
)
def test_a_shape_over_the_antimeridian_is_cut_there(drawn: dict[str, Any], parts: int, area: float):
    shape = read_geometry(cut(drawn)).shape

    assert len(shapely.get_parts(shape)) == parts and shape.area == pytest.approx(area)
    assert (shape.bounds[0], shape.bounds[2]) == (-180, 180)


@pytest.mark.parametrize(
    "within", [polygon(ring(170, 180)), polygon(ring(-180, 0)), polygon([[8, 47, 3], *ring(8, 9)])]
)
def test_what_ends_at_the_antimeridian_stays_as_it_is(within: dict[str, Any]):
    assert cut(within) == within


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        5,
        {"type": ["Polygon"]},
        {"type": "Polygon"},
        {"type": "MultiPolygon", "coordinates": [1]},
        {"type": "MultiPolygon", "coordinates": [[], []]},
        {"type": "Circle", "center": [181, 0], "radius_meters": 5},
        polygon(),
        polygon([["a", 1], [2, 3], [4, 5]]),
        polygon([[{}, 1], [2, 3], [4, 5]]),
        polygon(ring(260, 270)),
        polygon(ring(8, 190)),
        polygon(ring(170, 190, 80, 100)),
        polygon([[170, 0], [190, 0], [10**400, 10], [170, 0]]),
        polygon([[170, 0], [190, 10], [190, 0], [170, 10], [170, 0]]),
    ],
)
def test_what_nobody_can_have_drawn_is_left_to_its_reader(wrong: Any):
    assert cut(wrong) == wrong
    with pytest.raises(GeometryError):
        read_geometry(cut(wrong))
