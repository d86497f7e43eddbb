"""Many geofences at once: each item for itself, the three ways with duplicates, the limit, and what the trail keeps."""

from typing import Any

import pytest
from rest_framework.test import APIClient

from accounts.models import AuditEvent
from geofences.models import Geofence
from tests.support.cast import Actor
from tests.support.fences import URL, names, store_fence
from tests.support.launch import Server
from tests.support.race import Answer, at_once, call

BULK = f"{URL}/bulk"


def item(index: int = 0, address: str = "Seestrasse 1", **fields: Any) -> dict[str, Any]:
    return {"index": index, "address": address, "status": "ok", "lat": 47.3, "lng": 8.5 + index / 100, **fields}


def send(client: APIClient, *items: Any, **fields: Any) -> Any:
    return client.post(BULK, {"items": list(items), **fields}, format="json")


def statuses(answer: Any) -> list[str]:
    assert answer.status_code == 201, answer.content
    return [result["status"] for result in answer.json()["results"]]


def test_an_item_becomes_a_circle_around_its_address(alice: Actor) -> None:
    full = item(buffer_meters=250, name="Depot", tags=["north"], normalized_address="Seestrasse 1, Zürich")

    results = send(alice.client, full, item(7, "A" * 500)).json()["results"]

    assert [(result["index"], result["status"]) for result in results] == [(0, "created"), (7, "created")]
    fence = alice.client.get(f"{URL}/{results[0]['geofence_id']}").json()
    assert (fence["name"], fence["address"], fence["source"]) == ("Depot", "Seestrasse 1, Zürich", "address")
    assert fence["geometry"] == {"type": "Circle", "center": [8.5, 47.3], "radius_meters": 250}
    assert (fence["buffer_meters"], fence["point"], fence["tags"]) == (250, [8.5, 47.3], ["north"])
    other = alice.client.get(f"{URL}/{results[1]['geofence_id']}").json()
    assert (other["name"], other["radius_meters"]) == ("A" * 100, 100)


def test_a_name_is_kept_whole_or_refused_and_an_address_that_serves_as_one_is_cut(alice: Actor) -> None:
    results = send(
        alice.client, item(0, name="x" * 100), item(1, "B", name="y" * 101), item(2, "C" * 101), item(3, "D", name="")
    ).json()["results"]

    assert [result["status"] for result in results] == ["created", "error", "created", "created"]
    assert results[1]["error"]["message"] == "name: Ensure this field has no more than 100 characters."
    fences = {fence["address"]: fence["name"] for fence in alice.client.get(URL).json()["geofences"]}
    assert fences == {"Seestrasse 1": "x" * 100, "C" * 101: "C" * 100, "D": "D"}
    described = alice.client.get("/api/v1/openapi.json").json()["components"]["schemas"]["BulkItem"]["properties"]
    assert described["name"]["maxLength"] == 100
    assert "the first 100 characters of the address" in described["name"]["description"]


@pytest.mark.parametrize(
    ("wrong", "code", "message"),
    [
        ({"lat": None}, "no_coordinates", "This service has no geocoder; send lat and lng with the address."),
        ({"status": "skipped"}, "not_committed", 'The item has the status "skipped": nothing was created.'),
        ({"status": "error"}, "not_committed", 'The item has the status "error": nothing was created.'),
        ({"status": "new"}, "validation_error", 'status: "new" is not a valid choice.'),
        ({"address": None}, "validation_error", "address: This field may not be null."),
        ({"name": "x" * 101}, "validation_error", "name: Ensure this field has no more than 100 characters."),
        ({"buffer_meters": 0}, "validation_error", "buffer_meters: Must be a whole number from 1 to 10000."),
        ({"lng": 181}, "validation_error", "lng: Must be a number from -180 to 180."),
        (
            {"lat": 90},
            "invalid_geometry",
            "center: the circle covers a pole, which no polygon in longitude and latitude can do.",
        ),
    ],
)
def test_a_wrong_item_keeps_no_other_from_being_made(
    alice: Actor, wrong: dict[str, Any], code: str, message: str
) -> None:
    answer = send(alice.client, item(0, "one"), item(1, **{"address": "two", **wrong}), item(2, "three"))

    assert statuses(answer) == ["created", "error", "created"]
    refused = answer.json()["results"][1]
    assert refused == {
        "index": 1,
        "status": "error",
        "geofence_id": None,
        "error_code": code,
        "error": {"code": code, "message": message},
    }
    assert sorted(names(alice.client.get(URL))) == ["one", "three"]


@pytest.mark.parametrize("strategy", [{}, {"dedup_strategy": None}, {"dedup_strategy": "skip"}])
def test_skip_leaves_duplicates_out_and_says_of_what(alice: Actor, strategy: dict[str, Any]) -> None:
    (first,) = send(alice.client, item()).json()["results"]

    answer = send(
        alice.client, item(0, lng=9), item(1, "new"), item(2, "new"), item(3, override_dedup=True), **strategy
    )

    assert statuses(answer) == ["duplicate", "created", "duplicate", "created"]
    by_index = answer.json()["results"]
    match = {"geofence_id": first["geofence_id"], "name": "Seestrasse 1", "address": "Seestrasse 1"}
    assert by_index[0]["dedup_match"] == by_index[3]["dedup_match"] == match
    assert by_index[2]["dedup_match"]["geofence_id"] == by_index[1]["geofence_id"]
    assert "dedup_match" not in by_index[1]
    assert Geofence.objects.count() == 3


def test_a_fence_with_the_same_name_and_circle_is_a_duplicate_too(alice: Actor) -> None:
    circle = {"type": "Circle", "center": [8.5, 47.3], "radius_meters": 100}
    drawn = store_fence(alice, "Seestrasse 1", circle)

    answer = send(alice.client, item())

    assert statuses(answer) == ["duplicate"]
    assert answer.json()["results"][0]["dedup_match"]["geofence_id"] == drawn["id"]


def test_override_makes_duplicates_all_the_same(alice: Actor) -> None:
    send(alice.client, item())

    answer = send(alice.client, item(), item(1, "new"), dedup_strategy="override")

    assert statuses(answer) == ["created", "created"]
    assert ["dedup_match" in result for result in answer.json()["results"]] == [True, False]
    assert Geofence.objects.count() == 3


def test_fail_refuses_all_before_anything_is_made(alice: Actor) -> None:
    (first,) = send(alice.client, item()).json()["results"]

    refused = send(alice.client, item(0, "new"), item(4), dedup_strategy="fail")

    assert (refused.status_code, refused.json()["error_code"]) == (409, "duplicate_geofence")
    assert refused.json()["index"] == 4
    assert refused.json()["dedup_match"]["geofence_id"] == first["geofence_id"]
    assert Geofence.objects.count() == 1
    assert statuses(send(alice.client, item(0, "new"), dedup_strategy="fail")) == ["created"]


@pytest.mark.parametrize("same", [{}, {"address": "Elsewhere 2", "name": "Yard", "lng": 8.5}])
def test_fail_refuses_two_items_that_would_be_one_fence(alice: Actor, same: dict[str, Any]) -> None:
    refused = send(alice.client, item(0, name="Yard"), item(1, **same), dedup_strategy="fail")

    assert (refused.status_code, refused.json()["index"]) == (409, 1)
    assert not Geofence.objects.exists()
    allowed = send(
        alice.client, item(0, name="Yard"), item(1, **{**same, "override_dedup": True}), dedup_strategy="fail"
    )
    assert statuses(allowed) == ["created", "created"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("strategy", ["skip", "fail"])
def test_of_many_requests_with_one_address_one_makes_it(alice: Actor, server: Server, strategy: str) -> None:
    headers = {"X-API-KEY": alice.make_key()[1]}

    def create(number: int) -> Answer:
        # Only the address is the same: no unique index could tell.
        items = [item(0, name=f"Yard {number}", lng=8.5 + number / 100)]
        return call(server, "POST", BULK, {"items": items, "dedup_strategy": strategy}, headers)

    answers = at_once(20, create)

    if strategy == "fail":
        assert sorted(answer.status for answer in answers) == [201] + [409] * 19
    else:
        results = [answer.body["results"][0]["status"] for answer in answers]
        assert sorted(results) == ["created"] + ["duplicate"] * 19
    assert Geofence.objects.count() == 1


def test_another_workspaces_and_a_deleted_fence_are_no_duplicate(alice: Actor, mallory: Actor) -> None:
    send(mallory.client, item())
    (first,) = send(alice.client, item()).json()["results"]
    alice.client.delete(f"{URL}/{first['geofence_id']}")

    assert statuses(send(alice.client, item())) == ["created"]


@pytest.mark.parametrize(
    ("body", "status", "detail"),
    [
        ([], 422, "Must be an object with items."),
        ({}, 422, "items: Must be a list with at least one item."),
        ({"items": []}, 422, "items: Must be a list with at least one item."),
        ({"items": [item(0, str(n)) for n in range(501)]}, 413, "items: send at most 500 items in one request."),
        (
            {"items": [item(), item()]},
            422,
            "items.1.index: Must be a whole number from 0 that no other item has.",
        ),
        ({"items": ["x"]}, 422, "items.0.index: Must be a whole number from 0 that no other item has."),
        ({"items": [item()], "dedup_strategy": "merge"}, 422, "dedup_strategy: Must be skip, override or fail."),
        ({"items": [item()], "dedup_strategy": ["skip"]}, 422, "dedup_strategy: Must be skip, override or fail."),
    ],
)
def test_a_wrong_frame_refuses_all(alice: Actor, body: Any, status: int, detail: str) -> None:
    answer = alice.client.post(BULK, body, format="json")

    assert (answer.status_code, answer.json()["detail"]) == (status, detail)
    assert not Geofence.objects.exists()


def test_500_items_take_the_statements_of_one(alice: Actor, django_assert_max_num_queries: Any) -> None:
    with django_assert_max_num_queries(12):
        answer = send(alice.client, *(item(number, f"Seestrasse {number}") for number in range(500)))

    assert statuses(answer) == ["created"] * 500


def test_the_trail_keeps_how_many_became_what(alice: Actor) -> None:
    send(alice.client, item(), item(1), item(2, lat=None))

    event = AuditEvent.objects.latest("sequence")
    assert (event.action, event.workspace_id, event.actor_id) == (
        "geofence.bulk_created",
        alice.workspace.pk,
        alice.user.pk,
    )
    assert event.description == "Created 1 of 3 geofences in bulk."
    assert event.status_code == 201
    duration = event.changes.pop("duration_ms")
    assert event.changes == {"items": 3, "dedup_strategy": "skip", "created": 1, "duplicate": 1, "error": 1}
    assert 0 <= duration < 60_000


@pytest.mark.parametrize(("credential", "allowed"), [("token", 10), ("key", 60)])
def test_the_limit_is_the_published_one(alice: Actor, credential: str, allowed: int) -> None:
    client = alice.client if credential == "token" else alice.key_client()

    codes = [client.post(BULK, {}, format="json").status_code for _ in range(allowed + 1)]

    assert codes == [422] * allowed + [429]
    refused = client.post(BULK, {}, format="json")
    assert refused.json()["limit"] == allowed
    assert int(refused["Retry-After"]) > 0
    assert client.get(URL).status_code == 200  # the rest of the API goes on


def test_who_may_only_read_is_not_charged(carol: Actor) -> None:
    codes = {send(carol.client, item()).status_code for _ in range(12)}

    assert codes == {403}
