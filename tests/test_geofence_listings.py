"""Groups, tags, the archive, the summary for a map, the totals, and how large an answer may become."""

import random
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection

from accounts.models import Workspace
from geofences.geometry import GeometryError, read_geometry
from geofences.models import Geofence, GeofenceTotal
from tests.support.cast import Actor
from tests.support.fences import CIRCLE, POLYGON, URL, names, store_fence, store_row


def group_of(fence: dict[str, Any]) -> str:
    return f"{URL}/groups/{fence['group_id']}/geofences"


def test_groups_are_those_of_the_usual_list(alice: Actor, mallory: Actor) -> None:
    store_fence(mallory, group_name="North")
    kept = store_fence(alice, group_name="South")
    north = [store_fence(alice, name, group_name="North") for name in ("one", "two", "three")]
    alice.client.delete(f"{URL}/{north[0]['id']}")
    alice.client.post(f"{URL}/{north[1]['id']}/archive")

    groups = alice.client.get(f"{URL}/groups").json()

    assert groups == {
        "groups": [
            {"group_id": north[0]["group_id"], "group_name": "North", "geofence_count": 1},
            {"group_id": kept["group_id"], "group_name": "South", "geofence_count": 1},
        ],
        "count": 2,
        "truncated": False,
    }
    assert names(alice.client.get(group_of(north[0]))) == ["three"]
    point = {"lat": 47.35, "lng": 8.55}
    alice.client.delete(f"{URL}/{north[2]['id']}")
    archived = alice.client.get(group_of(north[0]))
    tested = alice.client.post(f"{URL}/groups/{north[0]['group_id']}/test-point", point, format="json")
    assert (archived.status_code, archived.json()["geofences"], archived.json()["total_count"]) == (200, [], 0)
    assert (tested.status_code, tested.json()["results"]) == (200, [])
    alice.client.delete(f"{URL}/{north[1]['id']}")
    assert alice.client.get(group_of(north[0])).status_code == 404


@pytest.mark.parametrize(
    ("query", "found"), [("", "edcba"), ("?limit=2", "ed"), ("?limit=2&offset=4", "a"), ("?offset=5", "")]
)
def test_a_groups_pages(alice: Actor, query: str, found: str) -> None:
    fences = [store_fence(alice, name, group_name="North") for name in "abcde"]

    answer = alice.client.get(f"{group_of(fences[0])}{query}")

    assert names(answer) == list(found)
    assert (answer.json()["count"], answer.json()["total_count"]) == (len(found), 5)
    assert alice.client.get(f"{group_of(fences[0])}?limit=0").status_code == 422


@pytest.mark.parametrize("body", ['{"name": "North"}', "[]", "5", "true", f'"{"x" * 256}"', "{}"])
def test_a_group_is_named_by_a_text(alice: Actor, body: str) -> None:
    fence = store_fence(alice, group_name="South")
    path = f"{URL}/{fence['id']}/group"

    refused = alice.client.put(path, body, content_type="application/json")

    assert (refused.status_code, list(refused.json()["details"])) == (422, ["group_name"])
    assert alice.client.get(f"{URL}/{fence['id']}").json()["group_name"] == "South"
    assert alice.client.put(path, '" North "', content_type="application/json").json()["group_name"] == "North"
    assert alice.client.put(path, "null", content_type="application/json").json()["group_id"] is None


def test_what_comes_back_from_the_archive_may_repeat_what_was_made_meanwhile(alice: Actor) -> None:
    archived = store_fence(alice)
    alice.client.post(f"{URL}/{archived['id']}/archive")
    store_fence(alice)

    back = alice.client.post(f"{URL}/{archived['id']}/unarchive")

    assert (back.status_code, back.json()["archived"]) == (200, False)
    assert names(alice.client.get(URL)) == ["Depot", "Depot"]


def test_tags_are_capped_at_500_and_say_so(alice: Actor) -> None:
    for start in range(0, 501, 50):
        tags = [f"Tag {number:03}" for number in range(start, min(start + 50, 501))]
        store_row(alice, f"fence {start}", tags=tags, tag_keys=[tag.lower() for tag in tags])

    answer = alice.client.get(f"{URL}/tags").json()

    assert [tag["name"] for tag in answer["tags"]] == [f"Tag {number:03}" for number in range(500)]
    assert (answer["total"], answer["truncated"]) == (501, True)


def test_a_tags_use_is_what_a_list_by_it_finds(alice: Actor, mallory: Actor) -> None:
    store_fence(mallory, tags=["vip"])
    for name in ("kept", "archived", "deleted"):
        store_fence(alice, name, tags=["VIP", "Zoo"] if name == "kept" else ["vip"])
    for fence in alice.client.get(URL).json()["geofences"]:
        if fence["name"] == "archived":
            alice.client.post(f"{URL}/{fence['id']}/archive")
        elif fence["name"] == "deleted":
            alice.client.delete(f"{URL}/{fence['id']}")

    tags = alice.client.get(f"{URL}/tags").json()["tags"]

    assert [(tag["name"], tag["usage_count"]) for tag in tags] == [("VIP", 1), ("Zoo", 1)]
    assert alice.client.get(URL, {"tags": "vip"}).json()["total_count"] == 1


def test_the_summary_is_the_newest_and_bounded(alice: Actor) -> None:
    for age in range(501):
        store_row(alice, f"fence {age}", age=age)

    answer = alice.client.get(f"{URL}/active-summary").json()

    assert names(alice.client.get(f"{URL}/active-summary")) == [f"fence {age}" for age in range(500)]
    assert (answer["total_count"], answer["truncated"]) == (501, True)
    assert answer["geofences"][0]["center"] == pytest.approx([8.566667, 47.333333], abs=1e-6)


def large_geometry() -> dict[str, Any]:
    """Return a strip of 1,000 positions with all the digits that a float has."""
    chance = random.Random(9)
    upper = [[number / 10 + chance.random() / 20, 1 + chance.random()] for number in range(499)]
    lower = [[number / 10 + chance.random() / 20, -1 - chance.random()] for number in reversed(range(500))]
    return {"type": "Polygon", "coordinates": [[*upper, *lower, upper[0]]]}


def test_a_page_that_is_too_large_says_which_limit_fits(alice: Actor) -> None:
    geometry = large_geometry()
    store_fence(alice, "large", geometry)
    for number in range(299):
        store_row(alice, f"fence {number}", age=number + 1, geometry=geometry)

    refused = alice.client.get(URL, {"limit": 500})
    allowed = int(refused.json()["detail"].split("a smaller limit; ")[1].split()[0])
    fitting = alice.client.get(URL, {"limit": allowed})

    assert (refused.status_code, refused.json()["error_code"]) == (422, "page_too_large")
    assert refused.json()["detail"].startswith("limit: these 300 geofences are ")
    assert (fitting.status_code, fitting.json()["count"]) == (200, allowed)
    assert 100 <= allowed < 300
    summary = alice.client.get(f"{URL}/active-summary")
    assert 50 < len(summary.json()["geofences"]) < 300
    assert len(summary.content) < 5 * 1024 * 1024


def strip_with_long_numbers(altitudes: int) -> dict[str, Any]:
    """Return a geometry with so many altitudes that are 302 bytes in an answer."""
    ring = [*large_geometry()["coordinates"][0]]
    return {
        "type": "Polygon",
        "coordinates": [[[*at, 1e-300] for at in ring[:altitudes]] + ring[altitudes:-1] + ring[:1]],
    }


LARGEST = {
    "description": "\x01" * 500,
    "webhook_url": "https://example.com/" + "u" * (2048 - 20),
    "webhook_events": ["\x01" * 32] * 42,
    "metadata": {"a": "\x01" * 2728},
    "group_name": "\x01" * 255,
    "address": "\x01" * 1000,
    "tags": [f"{number:02}" + "\x01" * 31 for number in range(42)],
}


def test_a_hundred_of_the_largest_fences_always_fit(alice: Actor) -> None:
    """The SDK asks for a hundred: it must never meet the refusal of a large page."""
    fitting = max(altitudes for altitudes in range(30, 100) if can_be_read(strip_with_long_numbers(altitudes)))
    stored = store_fence(alice, "\x01" * 100, strip_with_long_numbers(fitting), **LARGEST)
    fence = Geofence.objects.get(pk=stored["id"])
    for number in range(1, 100):
        fence.pk, fence.created_at = uuid.uuid4(), fence.created_at - timedelta(seconds=number)
        fence.distinct_by = fence.pk
        fence.save(force_insert=True)

    answer = alice.client.get(URL, {"limit": 100})

    assert (answer.status_code, answer.json()["count"]) == (200, 100), answer.content[:500]
    with connection.cursor() as cursor:
        cursor.execute("SELECT octet_length(geometry::text), octet_length(metadata::text) FROM geofences_geofence")
        geometry_bytes, metadata_bytes = cursor.fetchone()
    assert 65_536 - 310 < geometry_bytes <= 65_536
    assert 16_384 - 12 < metadata_bytes <= 16_384


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("webhook_url", "https://example.com/" + "u" * (2049 - 20)),
        ("webhook_url", "https://example.com/" + "\x01" * 340),
        ("webhook_events", ["\x01" * 32] * 43),
        ("metadata", {"a": "\x01" * 2_730}),
        ("metadata", {"a": 1e-300, "b": [1e308] * 60}),
        ("tags", [f"{number:02}" + "\x01" * 31 for number in range(43)]),
        ("geometry", strip_with_long_numbers(99)),
    ],
)
def test_a_larger_one_is_refused(alice: Actor, member: str, value: Any) -> None:
    refused = alice.client.post(URL, {"name": "Large", "geometry": POLYGON, **LARGEST, member: value}, format="json")

    assert (refused.status_code, list(refused.json()["details"])) == (422, [member])
    store_fence(alice, "Large", **LARGEST)


def can_be_read(geometry: dict[str, Any]) -> bool:
    try:
        read_geometry(geometry)
    except GeometryError:
        return False
    return True


def assert_totals_are_true(workspace: Workspace) -> None:
    kept = GeofenceTotal.objects.filter(workspace=workspace).values().first()
    counted = {
        f"{active}{archived}": Geofence.objects.filter(
            workspace=workspace, is_active=active == "active", archived=archived == "_archived"
        ).count()
        for active in ("active", "inactive")
        for archived in ("", "_archived")
    }
    assert kept == {"workspace_id": workspace.pk, **counted}


def test_totals_follow_every_change(alice: Actor, mallory: Actor) -> None:
    store_fence(mallory)
    fences = [store_fence(alice, name) for name in "abcd"]
    assert_totals_are_true(alice.workspace)

    for method, path in (("post", "/archive"), ("post", "/archive"), ("delete", ""), ("post", "/unarchive")):
        getattr(alice.client, method)(f"{URL}/{fences[0]['id']}{path}")
        assert_totals_are_true(alice.workspace)
    alice.client.put(f"{URL}/{fences[1]['id']}", {"is_active": False, "name": "b2"}, format="json")
    alice.client.post(URL, {"name": "d", "geometry": POLYGON}, format="json")  # refused: a repetition
    alice.client.post(f"{URL}/{fences[2]['id']}/archive")
    Geofence.objects.filter(pk=fences[3]["id"]).delete()

    assert_totals_are_true(alice.workspace)
    assert_totals_are_true(mallory.workspace)
    assert alice.client.get(URL).json()["total_count"] == 0
    everything = alice.client.get(URL, {"active_only": "false", "include_archived": "true"}).json()
    assert everything["total_count"] == everything["count"] == 3


def test_totals_end_with_their_workspace(alice: Actor, mallory: Actor) -> None:
    for actor in (alice, mallory):
        store_fence(actor, geometry=CIRCLE)

    alice.workspace.delete()

    assert_totals_are_true(mallory.workspace)
    with connection.cursor() as cursor:
        cursor.execute("SELECT workspace_id FROM geofences_geofencetotal")
        assert cursor.fetchall() == [(mallory.workspace.pk,)]
