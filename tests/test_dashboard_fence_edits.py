"""A fence that changed while a page about it stood open, and what its form must not change by itself."""

import json
from typing import Any

import pytest
from django.test import Client
from lxml import html

from geofences.models import Geofence
from geofences.writes import update_geofence
from tests.support.cast import Actor
from tests.support.fences import CIRCLE, POLYGON, store_fence
from tests.support.pages import hidden_fields, signed_in

PLACE = "/geofences"
ELSEWHERE = {"type": "Polygon", "coordinates": [[[8, 47], [9, 47], [9, 48], [8, 48], [8, 47]]]}
ROUND = {"shape": "circle", "circle_lat": "47.3", "circle_lng": "8.5", "circle_radius": "300"}
TAGS = ["gate 4, north", 'the "old" one', '"quoted"', "night"]


@pytest.fixture
def page(alice: Actor) -> Client:
    return signed_in(alice)


@pytest.fixture
def fence(alice: Actor) -> Geofence:
    described = {"description": "Old", "group_name": "Yards", "tags": TAGS, "metadata": {"a": 1, "b": 2}}
    return Geofence.objects.get(id=store_fence(alice, "Yard", POLYGON, **described)["id"])


def drawn(page: Client, fence: Geofence) -> dict[str, Any]:
    """Return what the form about the fence sends, as it is drawn now by a browser."""
    answer = page.get(f"{PLACE}/{fence.id}/edit")
    shown = {name: str(value) for name, value in answer.context["form"].values.items()}
    shown["metadata"] = shown["metadata"].replace("\n", "\r\n")
    return shown | hidden_fields(answer)


def save(page: Client, fence: Geofence, body: dict[str, Any]) -> Any:
    return page.post(f"{PLACE}/{fence.id}/edit", body)


def test_an_old_page_moves_no_fence_back(page: Client, fence: Geofence):
    old_page = drawn(page, fence)
    save(page, fence, {**drawn(page, fence), "geometry": json.dumps(ELSEWHERE), "group_name": "Depots", "tags": "new"})

    assert save(page, fence, {**old_page, "description": "New"}).status_code == 302
    kept = Geofence.objects.get()
    assert (kept.geometry, kept.description, kept.tags) == (ELSEWHERE, "New", ["new"])
    assert (kept.group_name, kept.metadata, kept.name) == ("Depots", {"a": 1, "b": 2}, "Yard")


def test_what_was_not_changed_is_not_written(page: Client, fence: Geofence):
    before = Geofence.objects.values().get()

    assert save(page, fence, drawn(page, fence)).status_code == 302
    assert Geofence.objects.values().get() == before


@pytest.mark.parametrize(
    ("meanwhile", "typed", "field", "said"),
    [
        ({"name": "<b>Theirs"}, {"name": "Mine"}, "name", "This is “&lt;b&gt;Theirs” since"),
        ({"description": None}, {"description": "Mine"}, "description", "This is empty since"),
        ({"tags": ["theirs"]}, {"tags": "mine"}, "tags", "This is “theirs” since"),
        ({"metadata": {"c": 3}}, {"metadata": ""}, "metadata", "Somebody changed this"),
    ],
)
def test_who_changes_the_same_is_told_and_loses_nothing(page: Client, fence: Geofence, meanwhile, typed, field, said):
    old_page = drawn(page, fence)
    update_geofence(fence.workspace_id, fence.id, {**meanwhile, "group_name": "Theirs"})
    before = Geofence.objects.values().get()

    refused = save(page, fence, {**old_page, **typed})

    assert refused.status_code == 409 and list(refused.context["form"].errors) == [field]
    assert said in refused.content.decode() and Geofence.objects.values().get() == before
    shown = refused.context["form"].values
    assert shown[field] == typed[field] and shown["group_name"] == "Theirs"
    assert save(page, fence, {**shown, **hidden_fields(refused)}).status_code == 302
    after = Geofence.objects.values().get()
    assert after[field] != before[field] and after["group_name"] == "Theirs"


@pytest.mark.parametrize(
    ("typed", "field"), [(ROUND, "circle_lat"), ({"geometry": json.dumps({**CIRCLE, "a": 1})}, "geometry")]
)
def test_who_moves_the_same_fence_is_told_at_a_field_in_sight(page: Client, fence: Geofence, typed, field):
    old_page = drawn(page, fence)
    save(page, fence, {**drawn(page, fence), "geometry": json.dumps(ELSEWHERE)})

    refused = save(page, fence, {**old_page, **typed})

    assert refused.status_code == 409 and list(refused.context["form"].errors) == [field]
    assert "Somebody moved the fence" in refused.content.decode()
    assert Geofence.objects.get().geometry == ELSEWHERE
    assert refused.context["form"].values.items() >= typed.items()


def test_the_same_change_twice_is_no_conflict(page: Client, fence: Geofence):
    old_page = drawn(page, fence)
    mine = {"geometry": json.dumps(ELSEWHERE), "name": "Both"}
    for _ in range(2):
        assert save(page, fence, {**old_page, **mine}).status_code == 302


def test_what_else_is_wrong_keeps_what_was_seen(page: Client, fence: Geofence):
    old_page = drawn(page, fence)
    save(page, fence, {**drawn(page, fence), "geometry": json.dumps(ELSEWHERE)})

    wrong = save(page, fence, {**old_page, "name": ""})
    mended = save(page, fence, {**old_page, **hidden_fields(wrong), "name": "Named"})

    assert (wrong.status_code, mended.status_code) == (422, 302)
    assert Geofence.objects.get().geometry == ELSEWHERE


@pytest.mark.parametrize("typed", [{"name": "Told"}, {"name": ""}])
@pytest.mark.parametrize("seen", [None, "", "[1]", "{", '{"name": 5, "nothing": 1}', "[" * 5000])
def test_a_form_that_does_not_say_what_was_seen_changes_nothing(page: Client, fence: Geofence, seen: str, typed: dict):
    form, before = drawn(page, fence) | typed, Geofence.objects.values().get()
    crooked = {name: value for name, value in {**form, "seen": seen}.items() if value is not None}

    refused = save(page, fence, crooked)

    text = refused.content.decode()
    assert refused.status_code == 409 and "This form does not say what it showed" in text
    assert f'href="{PLACE}/{fence.id}/edit">Open the page again' in text and Geofence.objects.values().get() == before
    assert save(page, fence, form).status_code == (302 if typed["name"] else 422)


def test_tags_are_shown_as_they_are_read(page: Client, fence: Geofence):
    body = drawn(page, fence)
    save(page, fence, {**body, "tags": f'{body["tags"]}, "a, b" ,c'})

    assert Geofence.objects.get().tags == [*TAGS, "a, b", "c"]


@pytest.mark.parametrize(("tags", "status"), [("x" * 140_000, 422), ('"open, b', 302), ("a\r\nb", 302)])
def test_odd_tags_are_answered(page: Client, fence: Geofence, tags: str, status: int):
    assert save(page, fence, {**drawn(page, fence), "tags": tags}).status_code == status


def test_an_unknown_kind_of_shape_is_refused(page: Client, fence: Geofence):
    refused = save(page, fence, {**drawn(page, fence), "shape": "zz"})

    assert refused.status_code == 422 and "Choose how the shape is given" in refused.content.decode()
    assert Geofence.objects.get().geometry == POLYGON


def test_no_field_of_a_shape_is_called_optional(page: Client):
    labels = html.document_fromstring(page.get(f"{PLACE}/new").content.decode()).xpath("//label")
    said = {label.get("for"): label.text_content().strip() for label in labels}

    assert said["id_geometry"] == "GeoJSON" and said["id_circle_radius"] == "Radius in metres"
    assert said["id_description"] == "Description (optional)"


@pytest.mark.parametrize("act", ["archive", "unarchive"])
def test_a_deleted_fence_is_not_said_to_be_archived(page: Client, fence: Geofence, act: str):
    Geofence.objects.update(is_active=False, archived=act == "unarchive")
    before = Geofence.objects.values().get()

    refused = page.post(f"{PLACE}/{fence.id}/{act}")

    assert refused.status_code == 409 and "This fence is deleted" in refused.content.decode()
    assert Geofence.objects.values().get() == before
    Geofence.objects.update(is_active=True)
    assert page.post(f"{PLACE}/{fence.id}/{act}").status_code == 302


def test_an_old_page_writes_nothing_to_a_deleted_fence(page: Client, fence: Geofence):
    old_page = {**drawn(page, fence), "name": "Renamed"}
    page.post(f"{PLACE}/{fence.id}/delete")
    before = Geofence.objects.values().get()

    refused = [save(page, fence, old_page), page.get(f"{PLACE}/{fence.id}/edit")]

    for answer in refused:
        text = answer.content.decode()
        assert answer.status_code == 409 and "This fence is deleted" in text and f'href="{PLACE}"' in text
    assert Geofence.objects.values().get() == before
    page.post(f"{PLACE}/{fence.id}/restore")
    assert save(page, fence, old_page).status_code == 302 and Geofence.objects.get().name == "Renamed"


@pytest.mark.parametrize("archived", [True, False])
def test_a_restored_fence_is_said_to_be_what_it_is(page: Client, fence: Geofence, archived: bool):
    Geofence.objects.update(is_active=False, archived=archived)

    asked = page.get(f"{PLACE}/{fence.id}/restore").content.decode()
    done = page.post(f"{PLACE}/{fence.id}/restore", follow=True).content.decode()

    assert ("comes back as an archived fence" in asked, "counts again" in asked) == (archived, not archived)
    assert "The fence is restored." in done and ("It is archived still" in done) == archived


@pytest.mark.parametrize("typed", ["1_0", "٤٧", "inf", "1 0", "0x1"])
def test_a_point_is_given_in_digits(page: Client, fence: Geofence, typed: str):
    assert page.get(f"{PLACE}/test-point", {"lat": typed, "lng": "8.55"}).status_code == 422
    assert page.get(f"{PLACE}/test-point", {"lat": " +4.731E1 ", "lng": "8.55"}).context["tested"]["count"] == 1


def test_a_body_that_no_form_takes_is_answered_with_its_size(alice: Actor):
    browser = signed_in(alice)
    browser.raise_request_exception = False

    refused = browser.post(f"{PLACE}/new", {"geometry": "x" * 3 * 2**20})

    assert refused.status_code == 413 and "at most 1 MiB" in refused.content.decode()
    assert browser.post(f"{PLACE}/new", {"geometry": "x"}).status_code == 422
