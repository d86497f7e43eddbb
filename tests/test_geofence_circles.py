"""What a change does to a fence made from an address: what is shown and what is tested stay the same circle."""

import json
from typing import Any

import pytest
import shapely

from geofences.models import Geofence
from tests.support.cast import Actor
from tests.support.fences import POLYGON, URL, store_fence

PLACE = {"lat": 47.3, "lng": 8.5}
NEAR = {"lat": 47.3, "lng": 8.502}  # 151 m to the east


@pytest.fixture
def fence(alice: Actor) -> dict[str, Any]:
    """Return a circle of 100 m around an address."""
    item = {"index": 0, "address": "Seestrasse 1", "status": "ok", **PLACE}
    (made,) = alice.client.post(f"{URL}/bulk", {"items": [item]}, format="json").json()["results"]
    return alice.client.get(f"{URL}/{made['geofence_id']}").json()


def put(alice: Actor, fence: dict[str, Any], **fields: Any) -> Any:
    return alice.client.put(f"{URL}/{fence['id']}", fields, format="json")


def holds(alice: Actor, point: dict[str, float]) -> bool:
    return alice.client.post(f"{URL}/test-point", point, format="json").json()["inside_geofences"] == 1


def test_a_wider_buffer_is_a_wider_circle(alice: Actor, fence: dict[str, Any]) -> None:
    assert not holds(alice, NEAR)

    shown = put(alice, fence, buffer_meters=200).json()

    assert (shown["buffer_meters"], shown["radius_meters"], shown["effective_radius_meters"]) == (200, 200, 200)
    assert shown["geometry"] == {"type": "Circle", "center": [8.5, 47.3], "radius_meters": 200}
    assert (shown["source"], shown["point"]) == ("address", [8.5, 47.3])
    assert holds(alice, NEAR)


def test_a_moved_address_moves_its_circle(alice: Actor, fence: dict[str, Any]) -> None:
    shown = put(alice, fence, lat=47.4, lng=8.6).json()

    assert shown["geometry"] == {"type": "Circle", "center": [8.6, 47.4], "radius_meters": 100}
    assert (shown["point"], shown["buffer_meters"]) == ([8.6, 47.4], 100)
    assert holds(alice, {"lat": 47.4, "lng": 8.6}) and not holds(alice, PLACE)


def test_the_circle_it_has_already_changes_nothing(alice: Actor, fence: dict[str, Any]) -> None:
    answer = put(alice, fence, geometry=fence["geometry"], buffer_meters=100, **PLACE)

    assert answer.json() == {**fence, "updated_at": answer.json()["updated_at"]}


def test_a_circle_with_its_radius_and_place_stays_that_of_its_address(alice: Actor, fence: dict[str, Any]) -> None:
    circle = {"type": "Circle", "center": [8.502, 47.3], "radius_meters": 200}

    shown = put(alice, fence, geometry=circle, buffer_meters=200, **NEAR).json()
    wider = put(alice, fence, buffer_meters=300).json()

    assert (shown["source"], shown["geometry"], shown["buffer_meters"]) == ("address", circle, 200)
    assert (wider["source"], wider["geometry"]) == ("address", {**circle, "radius_meters": 300})


def test_another_geometry_makes_it_a_drawn_fence(alice: Actor, fence: dict[str, Any]) -> None:
    shown = put(alice, fence, geometry=POLYGON).json()

    assert (shown["source"], shown["buffer_meters"], shown["geometry"]) == ("draw", None, POLYGON)
    assert (shown["address"], shown["point"]) == ("Seestrasse 1", [8.5, 47.3])
    again = put(alice, fence, buffer_meters=300, **NEAR).json()
    assert (again["geometry"], again["buffer_meters"]) == (POLYGON, 300)


def outline_of(circle: dict[str, Any]) -> dict[str, Any]:
    """Return the polygon that a circle is tested and drawn as."""
    shape = shapely.from_wkb(bytes(Geofence.objects.get(pk=circle["id"]).shape))
    return json.loads(shapely.to_geojson(shape))


@pytest.mark.parametrize("more", [{}, {"buffer_meters": 500}, {"lat": -10, "lng": -70}])
def test_a_polygon_of_the_same_outline_makes_it_a_drawn_fence(
    alice: Actor, fence: dict[str, Any], more: dict[str, Any]
) -> None:
    outline = outline_of(fence)

    shown = put(alice, fence, geometry=outline, **more).json()

    assert (shown["source"], shown["geometry"], shown["geometry_type"]) == ("draw", outline, "Polygon")
    assert (shown["buffer_meters"], shown["radius_meters"]) == (more.get("buffer_meters"), None)
    moved = put(alice, fence, buffer_meters=5000, lat=-10, lng=-70).json()
    assert (moved["source"], moved["geometry"], moved["point"]) == ("draw", outline, [-70, -10])
    assert holds(alice, PLACE) and not holds(alice, {"lat": -10, "lng": -70})


def test_the_same_circle_in_other_words_stays_that_of_its_address(alice: Actor, fence: dict[str, Any]) -> None:
    with_altitude = {**fence["geometry"], "center": [8.5, 47.3, 408], "radius_meters": 100.0}

    shown = put(alice, fence, geometry=with_altitude).json()

    assert (shown["source"], shown["geometry"], shown["buffer_meters"]) == ("address", with_altitude, 100)
    wider = put(alice, fence, geometry=with_altitude, buffer_meters=200).json()
    assert (wider["source"], wider["radius_meters"], wider["buffer_meters"]) == ("address", 200, 200)


def test_longitude_180_is_the_meridian_of_minus_180(alice: Actor, fence: dict[str, Any]) -> None:
    put(alice, fence, lat=10, lng=180)

    shown = put(alice, fence, geometry={"type": "Circle", "center": [-180, 10], "radius_meters": 100}).json()

    assert (shown["source"], shown["buffer_meters"]) == ("address", 100)
    other = put(alice, fence, geometry={"type": "Circle", "center": [-179, 10], "radius_meters": 100}).json()
    assert (other["source"], other["buffer_meters"]) == ("draw", None)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"buffer_meters": None}, "none of them can be null"),
        ({"lat": None, "lng": None}, "none of them can be null"),
        ({"lat": 90, "lng": 0}, "covers a pole"),
    ],
)
def test_what_leaves_no_circle_is_refused(
    alice: Actor, fence: dict[str, Any], wrong: dict[str, Any], words: str
) -> None:
    refused = put(alice, fence, **wrong)

    assert (refused.status_code, refused.json()["error_code"]) == (422, "invalid_circle")
    assert words in refused.json()["detail"]
    assert alice.client.get(f"{URL}/{fence['id']}").json() == fence
    assert put(alice, fence, buffer_meters=50, lat=89, lng=0).status_code == 200


def test_a_drawn_fence_only_notes_them(alice: Actor) -> None:
    drawn = store_fence(alice)

    shown = put(alice, drawn, buffer_meters=200, **PLACE).json()

    assert (shown["geometry"], shown["buffer_meters"], shown["point"]) == (POLYGON, 200, [8.5, 47.3])
