"""The point test over HTTP: what may be sent, what is tested, and in which words the rest is refused. Whether it is
right is tests/test_point_test_oracle.py."""

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from geographiclib.geodesic import Geodesic
from rest_framework.test import APIClient

from geofences.models import Geofence
from geofences.points import MAX_CANDIDATES
from tests.support.cast import Actor
from tests.support.fences import POLYGON, URL, store_fence

TEST = f"{URL}/test-point"
COLUMNS = [column.column for column in Geofence._meta.concrete_fields]
INSIDE = {"lat": 47.35, "lng": 8.58}
SQUARE = {"type": "Polygon", "coordinates": [[[0, 0], [10, 0], [10, 10], [0, 10], [0, 0]]]}
WITH_HOLE = {"type": "Polygon", "coordinates": [*SQUARE["coordinates"], [[4, 4], [6, 4], [6, 6], [4, 6], [4, 4]]]}
HOW = "lat and lng, point with lat and lng, or geometry of type Point."


def ask(client: APIClient, body: Any, path: str = TEST) -> Any:
    return client.post(path, body, format="json")


@pytest.mark.parametrize(
    ("lat", "lng", "inside"),
    [
        (1, 1, 1),
        (0, 0, 1),  # a corner
        (5, 10, 1),  # an edge
        (5, 5, 0),  # in the hole
        (4, 5, 1),  # the hole's edge
        (5, 10.000001, 0),
        (-90, 0, 0),
    ],
)
def test_the_boundary_is_inside_and_a_hole_is_not(alice: Actor, lat: float, lng: float, inside: int) -> None:
    store_fence(alice, geometry=WITH_HOLE)

    assert ask(alice.client, {"lat": lat, "lng": lng}).json()["inside_geofences"] == inside


def test_distances_are_geodesic_to_the_centre_and_decide_the_order(alice: Actor) -> None:
    centers = {"far": [8.55, 47.37], "near": [8.541, 47.37]}
    for name, center in centers.items():
        store_fence(alice, name, {"type": "Circle", "center": center, "radius_meters": 5_000})
    over_the_line = {
        "type": "MultiPolygon",
        "coordinates": [
            [[[179, -1], [180, -1], [180, 1], [179, 1], [179, -1]]],
            [[[-180, -1], [-178, -1], [-178, 1], [-180, 1], [-180, -1]]],
        ],
    }
    store_fence(alice, "date line", over_the_line)

    matched = ask(alice.client, {"lat": 47.37, "lng": 8.54}).json()["matched_geofences"]
    (crossing,) = ask(alice.client, {"lat": 0, "lng": -179.5}).json()["matched_geofences"]

    assert [fence["geofence_name"] for fence in matched] == ["near", "far"]
    for fence in matched:
        longitude, latitude = centers[fence["geofence_name"]]
        expected = Geodesic.WGS84.Inverse(47.37, 8.54, latitude, longitude)["s12"]
        assert fence["distance_meters"] == pytest.approx(expected, abs=0.001)
    assert crossing["distance_meters"] == pytest.approx(0, abs=0.001)  # its middle, not the other side of the globe


@pytest.mark.parametrize(
    "ring",
    [
        [[-1e-160, -1e-300], [1e-200, 90], [180, 90], [0, 89.99999999995], [1e-200, 1e-160], [-1e-160, -1e-300]],
        [[180, -90], [0, -89.99999999], [-1e-200, -45], [-5e-201, -90], [180, -90]],
        [[1e-200, 90], [0, 90], [5e-324, 45], [5e-301, 89.99999999], [1e-200, 90]],
    ],
)
def test_the_centre_of_a_sliver_lies_on_the_globe(alice: Actor, ring: list[list[float]]) -> None:
    """GEOS takes it to be beyond the pole, by rounding."""
    sliver = {"type": "Polygon", "coordinates": [ring]}
    store_fence(alice, geometry=sliver)

    tested = ask(alice.client, {"lat": 47.35, "lng": 8.58, "geometry": sliver}).json()
    (shown,) = alice.client.get(f"{URL}/active-summary").json()["geofences"]

    assert isinstance(tested["results"][0]["distance_meters"], float)
    assert -90 <= shown["center"][1] <= 90


def test_a_place_in_too_many_fences_is_refused_and_those_named_are_tested(alice: Actor) -> None:
    first = store_fence(alice, geometry=SQUARE, group_name="North")
    copied = ", ".join(
        f"gen_random_uuid() AS {column}" if column in ("id", "distinct_by") else column for column in COLUMNS
    )
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO geofences_geofence ({', '.join(COLUMNS)}) SELECT {copied} "  # noqa: S608
            "FROM geofences_geofence, generate_series(1, %s)",
            [MAX_CANDIDATES],
        )

    for path in (TEST, f"{URL}/groups/{first['group_id']}/test-point"):
        refused = ask(alice.client, {"lat": 1, "lng": 1}, path)
        assert (refused.status_code, refused.json()["error_code"]) == (422, "too_many_candidates")
    named = ask(alice.client, {"lat": 1, "lng": 1, "geofence_ids": [first["id"]]})
    assert named.json()["inside_geofences"] == 1
    assert ask(alice.client, {"lat": 11, "lng": 1}).json()["inside_geofences"] == 0


def test_deleted_and_archived_fences_and_those_of_others_are_not_tested(alice: Actor, mallory: Actor) -> None:
    store_fence(mallory)
    kept = store_fence(alice)
    archived, deleted = store_fence(alice, "archived"), store_fence(alice, "deleted")
    alice.client.post(f"{URL}/{archived['id']}/archive")
    alice.client.delete(f"{URL}/{deleted['id']}")

    everything = ask(alice.client, INSIDE).json()
    named = [fence["id"] for fence in (archived, deleted, kept)]
    among = ask(alice.client, {**INSIDE, "geofence_ids": named}).json()

    assert [fence["geofence_id"] for fence in everything["matched_geofences"]] == [kept["id"]]
    assert everything["total_geofences"] == among["total_geofences"] == 1
    assert [fence["geofence_id"] for fence in among["results"]] == [kept["id"]]


def test_named_fences_are_all_told_of(alice: Actor) -> None:
    inside, outside = store_fence(alice), store_fence(alice, "away", SQUARE)
    store_fence(alice, "not named")

    answer = ask(alice.client, {**INSIDE, "geofence_ids": [outside["id"], inside["id"], str(uuid.uuid4())]})

    results = {fence["geofence_name"]: fence["is_inside"] for fence in answer.json()["results"]}
    assert results == {"Depot": True, "away": False}
    assert (answer.json()["total_geofences"], answer.json()["inside_geofences"]) == (2, 1)
    assert ask(alice.client, {**INSIDE, "geofence_ids": []}).json()["results"] == []


@pytest.mark.parametrize(
    ("draft", "inside"),
    [(POLYGON, 1), (SQUARE, 0), ({"type": "Circle", "center": [8.58, 47.35], "radius_meters": 1}, 1)],
)
def test_a_draft_is_tested_alone_and_not_stored(alice: Actor, draft: Any, inside: int) -> None:
    store_fence(alice, "stored")

    answer = ask(alice.client, {"geometry": draft, **INSIDE, "metadata": {"shown": True}}).json()

    assert (answer["inside_geofences"], answer["total_geofences"]) == (inside, 1)
    assert [fence["geofence_id"] for fence in answer["results"]] == ["draft"]
    assert answer["request_metadata"] == {"shown": True}
    assert alice.client.get(URL).json()["total_count"] == 1


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ({}, f"Send a point: {HOW}"),
        ({"geometry": POLYGON}, f"Send a point: {HOW}"),
        ({**INSIDE, "point": INSIDE}, f"Send the point once: {HOW}"),
        ({"lat": 1}, "lat: Send lat and lng together."),
        ({"point": {"lng": 1}}, "point: Send both lat and lng."),
        ({"lat": 91, "lng": 0}, "lat: Must be a number from -90 to 90."),
        ({"lat": "1", "lng": 0}, "lat: Must be a number from -90 to 90."),
        ({"lat": True, "lng": 0}, "lat: Must be a number from -90 to 90."),
        (
            {"geometry": {"type": "Point", "coordinates": [0, 91]}},
            "geometry: coordinates: the latitude is outside -90 to 90; the order is [longitude, latitude].",
        ),
        (
            {"geometry": {"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [0, 0]]]}, **INSIDE},
            "geometry: ring 0, position 3: a ring has at least 4 positions, the last one equal to the first.",
        ),
        ({**INSIDE, "geofence_ids": ["nonsense"]}, "geofence_ids: Must be a list of at most 500 ids of geofences."),
        ({**INSIDE, "geofence_ids": "x"}, "geofence_ids: Must be a list of at most 500 ids of geofences."),
        (
            {**INSIDE, "geofence_ids": [str(uuid.UUID(int=7))] * 501},
            "geofence_ids: Must be a list of at most 500 ids of geofences.",
        ),
        (
            {"geometry": POLYGON, **INSIDE, "geofence_ids": []},
            "geofence_ids: Send a draft in geometry or geofence_ids, not both.",
        ),
        ([], "Invalid data. Expected a dictionary, but got list."),
    ],
)
def test_refusals_say_what_to_send(alice: Actor, body: Any, detail: str) -> None:
    answer = ask(alice.client, body)

    assert (answer.status_code, answer.json()["detail"]) == (422, detail)


def test_a_group_is_tested_as_a_whole(alice: Actor) -> None:
    group_id = store_fence(alice, group_name="North")["group_id"]
    path = f"{URL}/groups/{group_id}/test-point"

    draft = ask(alice.client, {"geometry": POLYGON, **INSIDE}, path)
    named = ask(alice.client, {**INSIDE, "geofence_ids": []}, path)

    assert [draft.status_code, named.status_code] == [422, 422]
    assert draft.json()["detail"].endswith("test a draft at /api/v1/geofences/test-point.")
    assert named.json()["detail"].endswith("name geofences at /api/v1/geofences/test-point.")
    assert ask(alice.client, INSIDE, path).json()["matching_geofences"] == 1


def test_reading_is_enough_to_test_a_point(carol: Actor, acme_key: Callable[..., APIClient], anyone: APIClient) -> None:
    assert ask(carol.client, INSIDE).status_code == 200
    assert ask(acme_key(["geofences:read"]), INSIDE).status_code == 200
    assert ask(acme_key([]), INSIDE).status_code == 403
    assert ask(anyone, INSIDE).status_code == 401


@pytest.mark.parametrize("fences", [1, 20])
def test_a_point_test_costs_two_statements(alice: Actor, django_assert_num_queries: Any, fences: int) -> None:
    for number in range(fences):
        store_fence(alice, f"fence {number}")

    with django_assert_num_queries(2):
        answer = ask(alice.client, INSIDE)

    assert answer.json()["inside_geofences"] == fences
