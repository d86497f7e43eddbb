"""The life of a geofence over HTTP: created, read, repeated, changed, deleted; and who may do it."""

import threading
import time
import uuid
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
from django.db import connection, transaction
from rest_framework.test import APIClient

from geofences.geometry import BoundingBox, read_geometry
from geofences.models import Geofence
from geofences.writes import create_geofence, group_id_for
from tests.support.cast import Actor
from tests.support.fences import CIRCLE, MULTI_POLYGON, POLYGON, URL, names, store_fence

NOT_FOUND = {"detail": "Not found.", "error_code": "not_found"}


@pytest.mark.parametrize("geometry", [POLYGON, MULTI_POLYGON, CIRCLE], ids=lambda geometry: geometry["type"])
def test_a_geometry_comes_back_as_given(alice: Actor, geometry: dict[str, Any]) -> None:
    created = alice.client.post(URL, {"name": "Depot", "geometry": geometry}, format="json")

    radius = geometry.get("radius_meters")
    assert created.status_code == 201
    assert created.json() == {
        "id": created.json()["id"],
        "name": "Depot",
        "description": None,
        "geometry": geometry,
        "geometry_type": geometry["type"],
        "radius_meters": radius,
        "webhook_url": None,
        "webhook_events": [],
        "metadata": {},
        "is_active": True,
        "group_id": None,
        "group_name": None,
        "source": "draw",
        "address": None,
        "buffer_meters": None,
        "archived": False,
        "point": None,
        "tags": [],
        "source_id": None,
        "pre_upgrade_geometry": None,
        "building_provenance": None,
        "effective_radius_meters": radius,
        "below_min_trigger_radius": radius is not None,
        "is_example": False,
        "created_at": created.json()["created_at"],
        "updated_at": created.json()["created_at"],
    }
    assert created.json()["created_at"].endswith("Z")
    assert alice.client.get(f"{URL}/{created.json()['id']}").json() == created.json()
    assert alice.client.get(URL).json()["geofences"] == [created.json()]
    row = Geofence.objects.get(pk=created.json()["id"])
    assert (row.workspace, row.created_by, row.geometry) == (alice.workspace, alice.user, geometry)


def test_every_member_is_kept(alice: Actor) -> None:
    members = {
        "description": "Where the vans sleep",
        "webhook_url": "https://hooks.acme.test/in?x=1",
        "webhook_events": ["enter", "exit"],
        "metadata": {"": [1, 2.5, None, True], "ключ": {"a": "🏭"}, "__proto__": {}},
        "address": "Bahnhofstrasse 1",
        "buffer_meters": 25,
    }

    created = store_fence(
        alice, name="  Depot  ", source="draw", group_name="North", tags=["Night", " VIP "], **members
    )

    assert {key: created[key] for key in members} == members
    assert created["name"] == "Depot"
    assert created["tags"] == ["Night", "VIP"]
    assert (created["group_name"], created["group_id"]) == ("North", str(group_id_for(alice.workspace.pk, "North")))


def test_nulls_and_unknown_members_are_left_out(alice: Actor) -> None:
    optional = ["description", "webhook_url", "webhook_events", "metadata", "group_name", "source", "address"]
    nulls = dict.fromkeys([*optional, "buffer_meters", "confirm_duplicate", "tags"])

    created = store_fence(alice, **nulls, id=str(uuid.uuid4()), workspace_id="other", is_active=False, archived=True)

    assert (created["metadata"], created["webhook_events"], created["tags"]) == ({}, [], [])
    assert (created["is_active"], created["archived"], created["source"]) == (True, False, "draw")


def test_a_group_is_joined_by_its_name(alice: Actor, bob: Actor, mallory: Actor) -> None:
    first = store_fence(alice, "one", group_name="North")

    second = store_fence(bob, "two", group_name="North")

    foreign = store_fence(mallory, "three", group_name="North")
    assert second["group_id"] == first["group_id"]
    assert foreign["group_id"] != first["group_id"]


def test_the_bounding_box_is_stored(alice: Actor) -> None:
    created = store_fence(alice)

    assert Geofence.objects.get(pk=created["id"]).bounding_box == BoundingBox(8.5, 47.3, 8.6, 47.4)


def test_both_spellings_of_the_path_answer(alice: Actor) -> None:
    created = alice.client.post(f"{URL}/", {"name": "Depot", "geometry": POLYGON}, format="json").json()

    assert alice.client.get(f"{URL}/{created['id']}/").json() == created
    assert alice.client.get(f"{URL}/").json() == alice.client.get(URL).json()


def test_a_repetition_needs_to_be_confirmed(alice: Actor) -> None:
    first = store_fence(alice)
    turned = {"type": "Polygon", "coordinates": [POLYGON["coordinates"][0][1:] + [POLYGON["coordinates"][0][1]]]}

    refused = alice.client.post(URL, {"name": "Depot", "geometry": turned}, format="json")

    assert refused.status_code == 409
    assert refused.json() == {
        "detail": "An active geofence with this name and an equal geometry exists already. "
        "Send confirm_duplicate: true to create it all the same.",
        "error_code": "duplicate_geofence",
    }
    assert Geofence.objects.get().pk == uuid.UUID(first["id"])
    store_fence(alice, confirm_duplicate=True)
    store_fence(alice, confirm_duplicate=True)
    store_fence(alice, name="Depot 2")
    store_fence(alice, geometry=CIRCLE)


def test_a_fence_that_only_confirmed_ones_repeat_is_refused_too(alice: Actor) -> None:
    store_fence(alice, confirm_duplicate=True)

    refused = alice.client.post(URL, {"name": "Depot", "geometry": POLYGON}, format="json")

    assert refused.status_code == 409


def test_a_deleted_fence_and_another_workspaces_are_no_repetition(alice: Actor, mallory: Actor) -> None:
    store_fence(mallory)
    deleted = store_fence(alice)
    alice.client.delete(f"{URL}/{deleted['id']}")

    store_fence(alice)

    answer = alice.client.put(f"{URL}/{deleted['id']}", {"is_active": True}, format="json")
    assert answer.status_code == 200
    assert Geofence.objects.for_workspace(alice.workspace.pk).filter(is_active=True).count() == 2


def test_two_requests_at_once_create_one_fence(transactional_db: None, alice: Actor) -> None:
    """The request looks while the other one's row is not committed yet, and is refused by the unique index."""
    stored = threading.Event()

    def create_and_commit_when_somebody_waits() -> None:
        with closing(connection), transaction.atomic(), connection.cursor() as cursor:
            create_geofence(alice.workspace.pk, alice.user.pk, {"name": "Depot", "geometry": read_geometry(POLYGON)})
            stored.set()
            deadline = time.monotonic() + 10
            waiting = 0
            while not waiting and time.monotonic() < deadline:
                cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
                waiting = cursor.fetchone()[0]

    other = threading.Thread(target=create_and_commit_when_somebody_waits)
    other.start()
    stored.wait(10)
    refused = alice.client.post(URL, {"name": "Depot", "geometry": POLYGON}, format="json")
    other.join()

    assert refused.status_code == 409
    assert refused.json()["error_code"] == "duplicate_geofence"
    assert Geofence.objects.count() == 1


def test_an_update_changes_what_is_given(alice: Actor) -> None:
    before = store_fence(alice, description="old", metadata={"a": 1}, tags=["Night"], group_name="North")

    answer = alice.client.put(f"{URL}/{before['id']}", {"name": "Yard", "geometry": CIRCLE}, format="json")

    changed = {
        "name": "Yard",
        "geometry": CIRCLE,
        "geometry_type": "Circle",
        "radius_meters": 49.5,
        "effective_radius_meters": 49.5,
        "below_min_trigger_radius": True,
    }
    assert answer.status_code == 200
    assert answer.json() == {**before, **changed, "updated_at": answer.json()["updated_at"]}
    assert answer.json()["updated_at"] > before["updated_at"]


def test_an_update_changes_the_rest(alice: Actor) -> None:
    fence = store_fence(alice)
    changes = {
        "description": "new",
        "webhook_url": "http://localhost:9000/hook",
        "webhook_events": ["exit"],
        "metadata": {"b": 2},
        "is_active": False,
        "group_name": "South",
        "tags": ["Day"],
        "address": "Seestrasse 2",
        "buffer_meters": 10,
    }

    answer = alice.client.put(f"{URL}/{fence['id']}", {**changes, "lat": 47.3, "lng": 8}, format="json")

    south = str(group_id_for(alice.workspace.pk, "South"))
    assert answer.json() == {
        **fence,
        **changes,
        "group_id": south,
        "point": [8, 47.3],
        "updated_at": answer.json()["updated_at"],
    }


def test_a_null_empties(alice: Actor) -> None:
    fence = store_fence(
        alice, description="old", metadata={"a": 1}, tags=["Night"], group_name="North", buffer_meters=5
    )
    nulls = dict.fromkeys(["description", "metadata", "tags", "group_name", "buffer_meters", "lat", "lng"])

    answer = alice.client.put(f"{URL}/{fence['id']}", nulls, format="json")

    emptied = {"description": None, "metadata": {}, "tags": [], "group_name": None, "group_id": None}
    assert answer.json() == {**fence, **emptied, "buffer_meters": None, "updated_at": answer.json()["updated_at"]}


def test_the_nulls_of_the_sdks_from_dict_change_nothing(alice: Actor) -> None:
    fence = store_fence(alice, description="kept", metadata={"a": 1}, tags=["Night"], group_name="North")
    members = [
        "name",
        "description",
        "geometry",
        "webhook_url",
        "webhook_events",
        "metadata",
        "is_active",
        "group_name",
    ]
    body = dict.fromkeys([*members, "tags", "address", "buffer_meters", "lat", "lng"]) | {"name": "Yard"}

    answer = alice.client.put(f"{URL}/{fence['id']}", body, format="json")

    assert answer.json() == {**fence, "name": "Yard", "updated_at": answer.json()["updated_at"]}


def test_an_empty_update_changes_nothing(alice: Actor) -> None:
    fence = store_fence(alice)

    assert alice.client.put(f"{URL}/{fence['id']}", {}, format="json").json() == fence


def test_a_deleted_fence_stays_readable_and_leaves_the_list(alice: Actor) -> None:
    fence = store_fence(alice)

    answers = [alice.client.delete(f"{URL}/{fence['id']}") for _ in range(2)]

    assert [(answer.status_code, answer.content) for answer in answers] == [(204, b""), (204, b"")]
    after = alice.client.get(f"{URL}/{fence['id']}")
    assert after.status_code == 200
    assert after.json() == {**fence, "is_active": False, "updated_at": after.json()["updated_at"]}
    assert names(alice.client.get(URL)) == []
    assert names(alice.client.get(URL, {"active_only": "false"})) == ["Depot"]


@pytest.mark.parametrize("method", ["get", "put", "delete"])
def test_another_workspaces_fence_is_as_absent_as_none(alice: Actor, mallory: Actor, method: str) -> None:
    fence = store_fence(alice)
    call = getattr(mallory.client, method)

    foreign = call(f"{URL}/{fence['id']}", {"name": "Mine", "is_active": False}, format="json")

    others = [
        call(f"{URL}/{text}", {"name": "Mine"}, format="json") for text in (uuid.uuid4(), "nonsense", "%00", "{}")
    ]
    assert [(answer.status_code, answer.json()) for answer in [foreign, *others]] == [(404, NOT_FOUND)] * 5
    assert names(mallory.client.get(URL, {"active_only": "false", "include_archived": "true"})) == []
    assert alice.client.get(f"{URL}/{fence['id']}").json() == fence


@pytest.mark.parametrize("odd", ["{%s}", "urn:uuid:%s", "%s0"])
def test_an_id_has_one_spelling(alice: Actor, odd: str) -> None:
    fence = store_fence(alice)

    assert alice.client.get(f"{URL}/{fence['id'].upper()}").status_code == 200
    assert alice.client.get(f"{URL}/{odd % fence['id']}").json() == NOT_FOUND
    assert alice.client.get(f"{URL}/{fence['id'].replace('-', '')}").json() == NOT_FOUND


def test_a_field_worker_writes_and_a_member_only_reads(bob: Actor, carol: Actor) -> None:
    fence = store_fence(bob)

    refused = [
        carol.client.post(URL, {"name": "Mine", "geometry": POLYGON}, format="json"),
        carol.client.put(f"{URL}/{fence['id']}", {"name": "Mine"}, format="json"),
        carol.client.delete(f"{URL}/{fence['id']}"),
    ]

    assert [answer.status_code for answer in refused] == [403, 403, 403]
    assert refused[0].json() == {
        "detail": "Insufficient permissions: this request needs the scope geofences:write.",
        "error_code": "insufficient_permissions",
    }
    assert carol.client.get(f"{URL}/{fence['id']}").json() == fence


def test_a_key_does_what_its_scopes_say(acme_key: Callable[..., APIClient]) -> None:
    body = {"name": "Depot", "geometry": POLYGON}

    assert acme_key(["geofences:read"]).post(URL, body, format="json").status_code == 403
    assert acme_key(["geofences:write"]).post(URL, body, format="json").status_code == 201
    assert names(acme_key(["geofences:read"]).get(URL)) == ["Depot"]


@pytest.mark.parametrize("path", [URL, f"{URL}/{uuid.UUID(int=7)}"])
def test_a_credential_is_needed(anyone: APIClient, db: None, path: str) -> None:
    assert anyone.get(path).status_code == 401


def test_health_needs_no_credential(anyone: APIClient, db: None) -> None:
    answer = anyone.get(f"{URL}/health")

    assert (answer.status_code, answer.json()) == (200, {"status": "healthy", "service": "geofences"})


def test_a_fence_ends_with_its_workspace_and_outlives_its_creator(alice: Actor, bob: Actor) -> None:
    fence = create_geofence(bob.workspace.pk, bob.user.pk, {"name": "Depot", "geometry": read_geometry(POLYGON)})
    bob.user.delete()

    assert Geofence.objects.get(pk=fence).created_by is None
    alice.workspace.delete()
    assert not Geofence.objects.exists()
