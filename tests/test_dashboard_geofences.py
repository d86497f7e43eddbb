"""Geofences in the dashboard, without a browser: who sees and changes what, what the forms take and refuse."""

import json
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client
from lxml import html

from geofences.models import Geofence
from tests.support.cast import Actor
from tests.support.dashboard_pages import HOST, assert_well_made
from tests.support.fences import CIRCLE, POLYGON, store_fence
from tests.support.pages import hidden_fields, signed_in
from tests.support.urls import EXAMPLE_ID

PLACE = "/geofences"
ACTS = ["edit", "archive", "unarchive", "delete", "restore"]
SQUARE = {"type": "Polygon", "coordinates": [[[8, 47], [9, 47], [9, 48], [8, 48], [8, 47]]]}
NEW = {
    "name": "Yard",
    "description": "",
    "group_name": "Depots",
    "tags": "night, gate 4",
    "metadata": '{"manager": "Ann"}',
    "shape": "geojson",
    "geometry": json.dumps(SQUARE),
    "circle_lat": "",
    "circle_lng": "",
    "circle_radius": "",
}
ROUND = {"shape": "circle", "geometry": "", "circle_lat": "47.3769", "circle_lng": "8.5417", "circle_radius": "49.5"}
HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
def page(alice: Actor) -> Client:
    return signed_in(alice, HTTP_HOST=HOST)


def errors_of(answer: HttpResponse) -> dict[str, str]:
    """Return what is wrong by the field that it stands next to."""
    root = html.document_fromstring(answer.content.decode())
    return {
        found.get("id").removeprefix("id_").removesuffix("-errors"): found.text_content()
        for found in root.xpath("//small[@class='error']")
    }


def body_of(fence: Geofence, page: Client, **changes: Any) -> dict[str, Any]:
    """Return what the form that changes a fence sends when nothing but these is changed."""
    shown = page.get(f"{PLACE}/{fence.id}/edit")
    return {**shown.context["form"].values, **hidden_fields(shown), **changes}


def test_who_has_none_is_told_what_to_do(page: Client, carol: Actor):
    for browser, sentence in ((page, "Draw the first one"), (signed_in(carol), "Ask an owner, a manager")):
        text = browser.get(PLACE).content.decode()
        assert "There is no geofence yet" in text and sentence in text
    assert f"{PLACE}/new" not in signed_in(carol).get(PLACE).content.decode()


def test_a_polygon_is_made_as_the_api_makes_it(page: Client, alice: Actor):
    answer = page.post(f"{PLACE}/new", NEW)

    fence = Geofence.objects.get()
    assert (answer.status_code, answer["Location"]) == (302, f"{PLACE}/{fence.id}")
    assert (fence.workspace_id, fence.created_by_id) == (alice.workspace.id, alice.user.id)
    assert (fence.name, fence.group_name, fence.tags) == ("Yard", "Depots", ["night", "gate 4"])
    assert (fence.geometry, fence.metadata, fence.description) == (SQUARE, {"manager": "Ann"}, None)
    text = page.get(answer["Location"]).content.decode()
    for piece in (
        "“Yard” is made.",
        "Polygon, 4 corners",
        "about 8,3",
        "km²",
        "Depots",
        "gate 4",
        "&quot;manager&quot;",
    ):
        assert piece in text, piece


def test_a_circle_is_made_of_three_numbers(page: Client):
    page.post(f"{PLACE}/new", {**NEW, **ROUND})

    fence = Geofence.objects.get()
    assert fence.geometry == {"type": "Circle", "center": [8.5417, 47.3769], "radius_meters": 49.5}
    text = page.get(f"{PLACE}/{fence.id}").content.decode()
    assert "Circle, 49.5 m radius" in text and "about 7,698 m²" in text


@pytest.mark.parametrize(
    "pasted",
    [
        {"type": "Feature", "properties": {"name": "x"}, "geometry": SQUARE},
        {"type": "FeatureCollection", "features": [{"type": "Feature", "properties": None, "geometry": SQUARE}]},
    ],
)
def test_a_feature_is_taken_for_its_geometry(page: Client, pasted: dict[str, Any]):
    page.post(f"{PLACE}/new", {**NEW, "geometry": json.dumps(pasted)})

    assert Geofence.objects.get().geometry == SQUARE


@pytest.mark.parametrize(
    ("changes", "field", "part"),
    [
        ({"name": ""}, "name", "may not be blank"),
        ({"name": "x" * 101}, "name", "no more than 100"),
        ({"description": "x" * 501}, "description", "no more than 500"),
        ({"group_name": "x" * 256}, "group_name", "no more than 255"),
        ({"tags": "x" * 65}, "tags", "1 to 64 characters"),
        ({"tags": "a\0b"}, "tags", "cannot be stored"),
        ({"metadata": "{"}, "metadata", "not valid JSON"),
        ({"metadata": "[1]"}, "metadata", "Write one JSON object"),
        ({"metadata": '{"a": "\\u0000"}'}, "metadata", "This holds a NUL character"),
        ({"geometry": ""}, "geometry", "Draw the fence on the map"),
        ({"geometry": "POLYGON((0 0))"}, "geometry", "not valid JSON"),
        ({"geometry": "null"}, "geometry", "type must be"),
        ({"geometry": "[" * 100_000}, "geometry", "not valid JSON"),
        ({"geometry": "[" * 99 + "]" * 99}, "geometry", "This is nested deeper than 64 levels"),
        ({"geometry": '{"type": "FeatureCollection", "features": [1, 2]}'}, "geometry", "holds 2 features"),
        ({"geometry": '{"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [0, 1]]]}'}, "geometry", "ring 0"),
        ({**ROUND, "circle_lat": "north"}, "circle_lat", "Enter the latitude as a number"),
        ({**ROUND, "circle_radius": ""}, "circle_radius", "Enter the radius in metres"),
        ({**ROUND, "circle_lat": "91"}, "circle_lat", "latitude is outside"),
        ({**ROUND, "circle_lng": "nan"}, "circle_lng", "Enter the longitude as a number"),
        ({**ROUND, "circle_lng": "1_0"}, "circle_lng", "Enter the longitude as a number"),
        ({**ROUND, "circle_radius": "١٢"}, "circle_radius", "Enter the radius in metres as a number"),
        ({**ROUND, "circle_radius": "100001"}, "circle_radius", "radius_meters must be"),
    ],
)
def test_what_is_wrong_stands_at_its_field_and_what_was_typed_stays(page: Client, changes, field, part):
    answer = page.post(f"{PLACE}/new", {**NEW, **changes, "description": changes.get("description", "As typed")})

    assert answer.status_code == 422
    assert errors_of(answer).keys() == {field}
    assert part in errors_of(answer)[field]
    assert "description" in changes or 'value="As typed"' in answer.content.decode()
    assert not Geofence.objects.exists()


def test_everything_wrong_is_said_at_once(page: Client):
    answer = page.post(f"{PLACE}/new", {**NEW, "name": "", "metadata": "{", "geometry": "", "tags": "x" * 65})

    assert errors_of(answer).keys() == {"name", "metadata", "geometry", "tags"}


def test_a_repetition_is_asked_about(page: Client):
    page.post(f"{PLACE}/new", NEW)

    asked = page.post(f"{PLACE}/new", NEW)
    assert (asked.status_code, Geofence.objects.count()) == (422, 1)
    assert "is here already" in errors_of(asked)["confirm_duplicate"]
    assert 'name="confirm_duplicate"' not in page.get(f"{PLACE}/new").content.decode()

    assert page.post(f"{PLACE}/new", {**NEW, "confirm_duplicate": "on"}).status_code == 302
    assert Geofence.objects.count() == 2


@pytest.mark.parametrize("geometry", [CIRCLE, POLYGON])
def test_an_edit_changes_what_was_changed(page: Client, alice: Actor, geometry: dict[str, Any]):
    fields = {"description": "Old", "group_name": "Old", "tags": ["old"], "metadata": {"a": 1}, "webhook_url": None}
    stored = Geofence.objects.get(id=store_fence(alice, "Yard", geometry, **fields)["id"])

    body = body_of(stored, page, name="Yard 2", group_name="", tags="", metadata="", description="")
    answer = page.post(f"{PLACE}/{stored.id}/edit", body)

    fence = Geofence.objects.get()
    assert (answer.status_code, answer["Location"]) == (302, f"{PLACE}/{fence.id}")
    assert (fence.name, fence.description, fence.group_id, fence.tags, fence.metadata) == ("Yard 2", None, None, [], {})
    assert (fence.geometry, fence.updated_at > stored.updated_at) == (geometry, True)


def test_an_edit_moves_a_fence_and_refuses_a_broken_shape(page: Client, alice: Actor):
    fence = Geofence.objects.get(id=store_fence(alice, "Yard", POLYGON)["id"])

    refused = page.post(f"{PLACE}/{fence.id}/edit", body_of(fence, page, geometry='{"type": "Circle"}'))
    assert (refused.status_code, errors_of(refused).keys()) == (422, {"geometry"})
    page.post(f"{PLACE}/{fence.id}/edit", body_of(fence, page, **ROUND))

    assert Geofence.objects.get().geometry["type"] == "Circle"
    assert page.get(f"{PLACE}/test-point?lat=47.3769&lng=8.5417").context["tested"]["count"] == 1


def test_a_fence_is_archived_brought_back_deleted_and_restored(page: Client, alice: Actor):
    fence = store_fence(alice, "Yard")
    steps = [
        ("archive", "archived", "Archived", 0),
        ("unarchive", "active", "Active", 1),
        ("delete", "deleted", "Deleted", 0),
        ("restore", "active", "Active", 1),
    ]
    for act, state, badge, counted in steps:
        done = page.post(f"{PLACE}/{fence['id']}/{act}", follow=True)
        assert done.status_code == 200 and f">{badge}</span>" in done.content.decode()
        assert [one.name for one in page.get(f"{PLACE}?state={state}").context["list"].fences] == ["Yard"]
        assert page.get(f"{PLACE}/test-point?lat=47.31&lng=8.55").context["tested"]["total"] == counted


def test_strangers_see_and_change_nothing(page: Client, mallory: Actor):
    theirs = store_fence(mallory, "Theirs", group_name="Secret", tags=["secret"])
    before = Geofence.objects.values().get()

    for identifier in (theirs["id"], EXAMPLE_ID, "x", f"{{{theirs['id']}}}"):
        assert page.get(f"{PLACE}/{identifier}").status_code == 404
        for act in ACTS:
            for answer in (page.get(f"{PLACE}/{identifier}/{act}"), page.post(f"{PLACE}/{identifier}/{act}", NEW)):
                assert answer.status_code == 404, act
    assert Geofence.objects.values().get() == before
    for path in (PLACE, f"{PLACE}?group=Secret", f"{PLACE}?tag=secret", f"{PLACE}?search=Theirs", f"{PLACE}/new"):
        text = page.get(path).content.decode()
        assert "Theirs" not in text and theirs["id"] not in text and "8.5, 47.3" not in text
        assert '<option value="Secret">' not in text and '<option value="secret">' not in text
    tested = page.get(f"{PLACE}/test-point?lat=47.31&lng=8.55").context["tested"]
    assert (tested["count"], tested["total"]) == (0, 0)


def test_members_look_and_field_workers_draw(alice: Actor, bob: Actor, carol: Actor):
    fence = store_fence(alice, "Yard")
    reader, worker = signed_in(carol, HTTP_HOST=HOST), signed_in(bob, HTTP_HOST=HOST)

    for path in (PLACE, f"{PLACE}/{fence['id']}", f"{PLACE}/test-point?lat=47.31&lng=8.55"):
        answer = reader.get(path)
        assert answer.status_code == 200 and "Yard" in answer.content.decode()
        assert "/edit" not in answer.content.decode() and "/new" not in answer.content.decode()
    for path in ("new", *(f"{fence['id']}/{act}" for act in ACTS)):
        assert reader.get(f"{PLACE}/{path}").status_code == 403
        assert reader.post(f"{PLACE}/{path}", NEW).status_code == 403
    assert Geofence.objects.filter(name="Yard", is_active=True, archived=False).count() == 1
    assert worker.post(f"{PLACE}/new", NEW).status_code == 302


def test_forms_want_our_token(alice: Actor):
    fence, browser = store_fence(alice, "Yard"), signed_in(alice, enforce_csrf_checks=True)

    for path in ("new", *(f"{fence['id']}/{act}" for act in ACTS)):
        assert browser.post(f"{PLACE}/{path}", NEW).status_code == 403
    assert Geofence.objects.filter(is_active=True, archived=False).count() == 1


def test_whatever_they_are_called_stays_text(page: Client, alice: Actor):
    fence = store_fence(
        alice,
        HOSTILE,
        description=HOSTILE,
        group_name=HOSTILE,
        tags=[HOSTILE],
        metadata={HOSTILE: f'"><img src=x onerror={HOSTILE}>'},
    )

    paths = [
        "",
        "/new",
        "/test-point?lat=47.31&lng=8.55",
        f"/{fence['id']}",
        *(f"/{fence['id']}/{act}" for act in ACTS),
    ]
    for path in (*paths, f"?search={HOSTILE}&tag={HOSTILE}", f"/test-point?lat={HOSTILE}&lng=1"):
        answer = page.get(f"{PLACE}{path}")
        assert HOSTILE not in answer.content.decode() and "&lt;script&gt;" in answer.content.decode(), path
        if answer.status_code == 200:
            assert_well_made(answer)
