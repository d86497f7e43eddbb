"""Geofences through the official SDK: the life of one, pages of many, and the trap in how the SDK sends a geometry."""

from typing import Any

import pytest

from tests.support.cast import Actor
from tests.support.fences import POLYGON, URL, store_fence
from tests.support.sdk import Client, built, from_dict
from tests.support.sdk_operations import exercises

pytest_plugins = ["tests.support.sdk_fixtures"]
pytestmark = pytest.mark.django_db(transaction=True)

GEOMETRIES: dict[str, dict[str, Any]] = {
    "GeoJSONPolygon": POLYGON,
    "GeoJSONMultiPolygon": {
        "type": "MultiPolygon",
        "coordinates": [[[[8.5, 47.3], [8.6, 47.3], [8.6, 47.4], [8.5, 47.3]]], [[[0, 0], [1, 0], [1, 1], [0, 0]]]],
    },
    "GeoJSONCircle": {"type": "Circle", "center": [8.5417, 47.3769], "radius_meters": 49.5},
}


@exercises("geofences.create", "geofences.get")
@pytest.mark.parametrize("caller", ["alice_sdk", "key_sdk"])
@pytest.mark.parametrize("way", ["from_dict", "built"])
@pytest.mark.parametrize("model", GEOMETRIES)
def test_a_geometry_of_each_type_is_created_and_read(request, alice: Actor, model, way, caller):
    client: Client = request.getfixturevalue(caller)
    geometry = GEOMETRIES[model]
    body = {
        "from_dict": from_dict("CreateGeofenceRequest", name="Depot", geometry=geometry),
        "built": built("CreateGeofenceRequest", name="Depot", geometry=built("Geometry1", built(model, **geometry))),
    }

    fence = client.call("geofences.create", request=body[way])

    assert (fence["name"], fence["geometry"], fence["geometry_type"]) == ("Depot", geometry, geometry["type"])
    assert client.call("geofences.get", geofence_id=fence["id"]) == fence
    assert alice.client.get(f"{URL}/{fence['id']}").json() == fence  # the SDK's reading loses nothing


@exercises("geofences.create")
def test_every_field_of_a_new_fence_arrives(key_sdk: Client):
    fields = {
        "name": "Werk Süd",
        "description": "Tor 3",
        "webhook_url": "https://hooks.example/fence",
        "webhook_events": ["enter", "exit"],
        "metadata": {"shift": {"from": 6, "to": 14.5}},
        "group_name": "Plants",
        "source": "draw",
        "address": "Industriestrasse 1",
        "buffer_meters": 25,
        "tags": ["north", "24/7"],
    }

    fence = key_sdk.call("geofences.create", request=from_dict("CreateGeofenceRequest", geometry=POLYGON, **fields))

    assert {name: fence[name] for name in fields} == fields
    assert fence["group_id"] is not None


def test_a_plain_dict_as_geometry_is_sent_as_null_and_the_refusal_says_how_to_build_it(alice_sdk: Client):
    """The form of the SDK's own README: its model turns the dict into nothing."""
    trap = built("CreateGeofenceRequest", name="My Region", geometry=POLYGON)

    refusal = alice_sdk.refused("geofences.create", request=trap)

    assert (refusal.kind, refusal.status_code, refusal.error_code) == ("ValidationError", 422, "validation_error")
    assert refusal.detail == (
        "geometry: a geometry is required, and it is missing or null. The Python SDK sends null for a plain dict: "
        "build the request with CreateGeofenceRequest.from_dict(...), or pass geometry=Geometry1(GeoJSONPolygon(...))."
    )
    alice_sdk.call("geofences.create", request=from_dict("CreateGeofenceRequest", name="My Region", geometry=POLYGON))


@exercises("geofences.update")
@pytest.mark.parametrize("caller", ["alice_sdk", "key_sdk"])
def test_an_update_changes_what_it_names_and_nothing_else(request, alice: Actor, caller):
    client: Client = request.getfixturevalue(caller)
    before = store_fence(alice, description="Tor 3", tags=["north"], metadata={"n": 1})
    circle = built("Geometry3", built("GeoJSONCircle", **GEOMETRIES["GeoJSONCircle"]))

    renamed = client.call(
        "geofences.update", geofence_id=before["id"], request=from_dict("UpdateGeofenceRequest", name="Yard")
    )
    moved = client.call(
        "geofences.update", geofence_id=before["id"], request=built("UpdateGeofenceRequest", geometry=circle)
    )

    assert renamed == {**before, "name": "Yard", "updated_at": renamed["updated_at"]}
    assert (moved["geometry"], moved["radius_meters"]) == (GEOMETRIES["GeoJSONCircle"], 49.5)
    assert (moved["name"], moved["description"], moved["tags"]) == ("Yard", "Tor 3", ["north"])


def test_a_plain_dict_as_new_geometry_is_refused_and_changes_nothing(alice: Actor, alice_sdk: Client):
    before = store_fence(alice)
    trap = built("UpdateGeofenceRequest", name="Yard", geometry=POLYGON)

    refusal = alice_sdk.refused("geofences.update", geofence_id=before["id"], request=trap)

    assert refusal.kind == "ValidationError"
    assert "UpdateGeofenceRequest.from_dict(...), or pass geometry=Geometry3(GeoJSONPolygon(...))" in refusal.detail
    assert alice_sdk.call("geofences.get", geofence_id=before["id"]) == before


@exercises("geofences.delete")
@pytest.mark.parametrize("caller", ["alice_sdk", "key_sdk"])
def test_a_deleted_fence_leaves_the_list_and_stays_readable_as_inactive(request, alice: Actor, caller):
    client: Client = request.getfixturevalue(caller)
    fence = store_fence(alice)

    assert client.call("geofences.delete", geofence_id=fence["id"]) is None

    assert client.call("geofences.list") == {"geofences": [], "count": 0, "total_count": 0}
    assert client.call("geofences.list", active_only=False)["total_count"] == 1
    after = client.call("geofences.get", geofence_id=fence["id"])
    assert after == {**fence, "is_active": False, "updated_at": after["updated_at"]}


@exercises("geofences.list")
@pytest.mark.parametrize("caller", ["alice_sdk", "key_sdk"])
def test_a_page_tells_its_own_length_and_the_total(request, alice: Actor, caller):
    client: Client = request.getfixturevalue(caller)
    fences = [store_fence(alice, name) for name in "edcba"][::-1]  # the newest first

    assert client.call("geofences.list", limit=2, offset=1) == {
        "geofences": fences[1:3],
        "count": 2,
        "total_count": 5,
    }


@exercises("geofences.list")
def test_tags_are_all_asked_for(alice: Actor, key_sdk: Client):
    both = store_fence(alice, "both", tags=["north", "24/7"])
    store_fence(alice, "one", tags=["north"])

    assert key_sdk.call("geofences.list", tags=["north", "24/7"])["geofences"] == [both]
    assert key_sdk.call("geofences.list", tags=["north"])["count"] == 2


@pytest.mark.parametrize("helper", ["paginate", "paginate_geofences"])
@pytest.mark.parametrize(("limit", "pages"), [(2, 3), (5, 2), (100, 1)])
def test_the_sdks_pagination_reads_every_fence_once(alice: Actor, key_sdk: Client, helper, limit, pages):
    fences = [store_fence(alice, name) for name in "edcba"][::-1]

    walked = key_sdk.paginate(helper, limit=limit)

    assert walked["items"] == fences
    assert walked["pages"] == pages
    if helper == "paginate_geofences":  # the generic one takes the last page's own length for the total
        assert walked["total_count"] == 5


@exercises("geofences.archive", "geofences.unarchive")
@pytest.mark.parametrize("caller", ["alice_sdk", "key_sdk"])
def test_an_archived_fence_leaves_the_list_until_it_is_brought_back(request, alice: Actor, caller):
    client: Client = request.getfixturevalue(caller)
    fence = store_fence(alice)

    archived = client.call("geofences.archive", geofence_id=fence["id"])

    assert archived == {**fence, "archived": True, "updated_at": archived["updated_at"]}
    assert client.call("geofences.archive", geofence_id=fence["id"]) == archived
    assert client.call("geofences.list")["geofences"] == []
    assert client.call("geofences.list", include_archived=True)["geofences"] == [archived]
    back = client.call("geofences.unarchive", geofence_id=fence["id"])
    assert back == {**fence, "updated_at": back["updated_at"]}
    assert client.call("geofences.unarchive", geofence_id=fence["id"]) == back
    assert client.call("geofences.list")["geofences"] == [back]


@exercises("geofences.update_group", "geofences.list_groups", "geofences.list_group_geofences")
@pytest.mark.parametrize("caller", ["alice_sdk", "key_sdk"])
def test_a_fence_is_put_into_a_group_and_taken_out(request, alice: Actor, caller):
    client: Client = request.getfixturevalue(caller)
    fence = store_fence(alice, description="Tor 3")

    grouped = client.call("geofences.update_group", geofence_id=fence["id"], body="Plants")

    group_id = grouped["group_id"]
    expected = {"id": fence["id"], "name": "Depot", "group_id": group_id, "group_name": "Plants"}
    assert grouped == {**expected, "updated_at": grouped["updated_at"]}
    groups = client.call("geofences.list_groups")
    assert groups == {
        "groups": [{"group_id": group_id, "group_name": "Plants", "geofence_count": 1}],
        "count": 1,
    }
    listed = client.call("geofences.list_group_geofences", group_id=group_id)
    assert listed["geofences"] == [
        {**grouped, "description": "Tor 3", "created_at": fence["created_at"], "updated_at": grouped["updated_at"]}
    ]
    assert (listed["count"], listed["group_id"]) == (1, group_id)
    assert client.call("geofences.update_group", geofence_id=fence["id"], body=None)["group_id"] is None
    assert client.call("geofences.list_groups") == {"groups": [], "count": 0}
    assert client.refused("geofences.list_group_geofences", group_id=group_id).kind == "NotFoundError"


POINT_REQUESTS = {
    "lat and lng": from_dict("TestPointRequest", lat=47.35, lng=8.58),
    "point": from_dict("TestPointRequest", point={"lat": 47.35, "lng": 8.58}),
    "geometry": built(
        "TestPointRequest",
        geometry=built("Geometry2", built("GeoJSONPoint", type="Point", coordinates=[8.58, 47.35])),
    ),
}


@exercises("geofences.test_point")
@pytest.mark.parametrize("caller", ["alice_sdk", "key_sdk"])
@pytest.mark.parametrize("way", POINT_REQUESTS)
def test_a_point_is_tested_against_the_workspaces_fences(request, alice: Actor, way, caller):
    client: Client = request.getfixturevalue(caller)
    inside = store_fence(alice, group_name="Plants")
    store_fence(alice, "elsewhere", geometry=GEOMETRIES["GeoJSONCircle"])

    tested = client.call("geofences.test_point", test_point_request=POINT_REQUESTS[way])

    distance = tested["results"][0]["distance_meters"]
    found = {"geofence_id": inside["id"], "geofence_name": "Depot"}
    assert tested == {
        "point": {"type": "Point", "coordinates": [8.58, 47.35]},
        "inside_geofences": 1,
        "total_geofences": 2,
        "results": [{**found, "is_inside": True, "distance_meters": distance}],
        "matched_geofences": [
            {**found, "group_id": inside["group_id"], "group_name": "Plants", "distance_meters": distance}
        ],
        "request_metadata": None,
    }


@exercises("geofences.test_point")
def test_a_point_is_tested_against_a_draft(key_sdk: Client):
    draft = built("Geometry2", built("GeoJSONPolygon", **POLYGON))
    point = built("TestPointCoordinate", lat=47.35, lng=8.58)

    tested = key_sdk.call(
        "geofences.test_point",
        test_point_request=built("TestPointRequest", geometry=draft, point=point, request_metadata={"try": 1}),
    )

    assert (tested["inside_geofences"], tested["total_geofences"]) == (1, 1)
    assert tested["results"][0]["geofence_id"] == "draft"
    assert tested["request_metadata"] == {"try": 1}


@exercises("geofences.test_group_point")
@pytest.mark.parametrize("caller", ["alice_sdk", "key_sdk"])
def test_a_point_is_tested_against_a_group(request, alice: Actor, caller):
    client: Client = request.getfixturevalue(caller)
    inside = store_fence(alice, group_name="Plants")
    outside = store_fence(alice, "elsewhere", geometry=GEOMETRIES["GeoJSONCircle"], group_name="Plants")
    store_fence(alice, "not in the group")

    tested = client.call(
        "geofences.test_group_point",
        group_id=inside["group_id"],
        request=from_dict("TestPointRequest", lat=47.35, lng=8.58),
    )

    assert tested == {
        "group_id": inside["group_id"],
        "test_point": {"latitude": 47.35, "longitude": 8.58},
        "results": [
            {"geofence_id": inside["id"], "geofence_name": "Depot", "contains": True},
            {"geofence_id": outside["id"], "geofence_name": "elsewhere", "contains": False},
        ],
        "total_geofences": 2,
        "matching_geofences": 1,
    }


@exercises("geofences.list_tags")
@pytest.mark.parametrize("caller", ["alice_sdk", "key_sdk"])
def test_tags_are_listed_by_name_with_their_use(request, alice: Actor, caller):
    client: Client = request.getfixturevalue(caller)
    store_fence(alice, "one", tags=["north", "24/7"])
    store_fence(alice, "two", tags=["North"])

    tags = client.call("geofences.list_tags")

    assert [(tag["name"], tag["normalized_name"], tag["usage_count"]) for tag in tags["tags"]] == [
        ("24/7", "24/7", 1),
        ("North", "north", 2),
    ]
    assert (tags["total"], tags["truncated"]) == (2, False)
    assert client.call("geofences.list_tags") == tags


@exercises("geofences.active_summary")
@pytest.mark.parametrize("caller", ["alice_sdk", "key_sdk"])
def test_the_summary_shows_active_fences_with_their_centre(request, alice: Actor, caller):
    client: Client = request.getfixturevalue(caller)
    fence = store_fence(alice, geometry=GEOMETRIES["GeoJSONCircle"])
    gone = store_fence(alice, "gone")
    client.call("geofences.archive", geofence_id=gone["id"])

    assert client.call("geofences.active_summary") == {
        "geofences": [
            {
                "id": fence["id"],
                "name": "Depot",
                "geometry": GEOMETRIES["GeoJSONCircle"],
                "center": [8.5417, 47.3769],
                "event_count_today": 0,
            }
        ]
    }


@exercises("geofences.bulk_create")
@pytest.mark.parametrize("caller", ["alice_sdk", "key_sdk"])
def test_many_fences_are_made_from_addresses(request, alice: Actor, caller):
    client: Client = request.getfixturevalue(caller)
    item = {"address": "Bahnhofstrasse 1", "status": "ok", "lat": 47.37, "lng": 8.54}
    nowhere = {"index": 2, "address": "Nowhere", "status": "ok"}
    items = [{**item, "index": 0}, {**item, "index": 1, "status": "dedup"}, nowhere]

    bulk = from_dict("BulkCreateRequest", items=items)
    made, again, failed = client.call("geofences.bulk_create", request=bulk)["results"]

    match = {"geofence_id": made["geofence_id"], "name": "Bahnhofstrasse 1", "address": "Bahnhofstrasse 1"}
    nothing = {"geofence_id": None, "error_code": None, "error": None, "dedup_match": None}
    assert made == {**nothing, "index": 0, "status": "created", "geofence_id": made["geofence_id"]}
    assert again == {**nothing, "index": 1, "status": "duplicate", "dedup_match": match}
    sentence = "This service has no geocoder; send lat and lng with the address."
    assert failed == {
        **nothing,
        "index": 2,
        "status": "error",
        "error_code": "no_coordinates",
        "error": {"code": "no_coordinates", "message": sentence},
    }
    fence = client.call("geofences.get", geofence_id=made["geofence_id"])
    assert fence["geometry"] == {"type": "Circle", "center": [8.54, 47.37], "radius_meters": 100}


@exercises("geofences.health")
def test_health(anyone_sdk: Client):
    assert anyone_sdk.call("geofences.health") == {"status": "healthy", "service": "geofences"}
