"""What is refused when a geofence is created or changed, in which words; and that nothing in a body makes a 5xx."""

import json
from typing import Any

import pytest

from geofences.models import Geofence
from tests.support.cast import Actor
from tests.support.fences import POLYGON, URL, store_fence, store_row

NO_GEOMETRY = (
    "a geometry is required, and it is missing or null. The Python SDK sends null for a plain dict: "
    "build the request with CreateGeofenceRequest.from_dict(...), or pass geometry=Geometry1(GeoJSONPolygon(...))."
)
NO_GEOCODER = (
    'this service has no geocoder; send source "draw" and the geometry itself, '
    "for instance a Circle around the address."
)


@pytest.mark.parametrize(
    ("body", "details"),
    [
        ({"name": "Depot"}, {"geometry": [NO_GEOMETRY]}),
        ({"name": "Depot", "geometry": None}, {"geometry": [NO_GEOMETRY]}),
        ({"name": "Depot", "source": "address", "address": "Bahnhofstrasse 1"}, {"source": [NO_GEOCODER]}),
        ({"geometry": POLYGON}, {"name": ["This field is required."]}),
        ({"geometry": POLYGON, "name": None}, {"name": ["This field may not be null."]}),
        ({"geometry": POLYGON, "name": " "}, {"name": ["This field may not be blank."]}),
        (
            {"geometry": POLYGON, "name": "x" * 101},
            {"name": ["Ensure this field has no more than 100 characters."]},
        ),
        ({"geometry": POLYGON, "name": 5}, {"name": ["Not a valid string."]}),
        (
            {"name": "Depot", "geometry": {**POLYGON, "coordinates": [[[0, 0], [1, 0], [1, 91], [0, 0]]]}},
            {
                "geometry": [
                    "ring 0, position 2: the latitude is outside -90 to 90; the order is [longitude, latitude]."
                ]
            },
        ),
        (
            {"name": "Depot", "geometry": POLYGON, "webhook_url": "ftp://acme.test/"},
            {"webhook_url": ["Must be an http:// or https:// URL."]},
        ),
        (
            {"name": "Depot", "geometry": POLYGON, "webhook_events": "enter"},
            {"webhook_events": ["Must be a list of at most 50 texts of 1 to 100 characters."]},
        ),
        (
            {"name": "Depot", "geometry": POLYGON, "tags": ["ok", 5]},
            {"tags": ["Must be a list of at most 50 texts of 1 to 64 characters."]},
        ),
        ({"name": "Depot", "geometry": POLYGON, "metadata": []}, {"metadata": ["Must be an object."]}),
        (
            {"name": "Depot", "geometry": POLYGON, "metadata": {"a": "x" * 17_000}},
            {"metadata": ["The object is larger than 16 KiB."]},
        ),
        ({"name": "Depot", "geometry": POLYGON, "source": "building"}, {"source": ['Must be "draw".']}),
        (
            {"name": "Depot", "geometry": POLYGON, "buffer_meters": 10_001},
            {"buffer_meters": ["Must be a whole number from 1 to 10000."]},
        ),
        (
            {"name": "Depot", "geometry": POLYGON, "buffer_meters": True},
            {"buffer_meters": ["Must be a whole number from 1 to 10000."]},
        ),
        (
            {"name": "Depot", "geometry": POLYGON, "confirm_duplicate": "yes"},
            {"confirm_duplicate": ["Must be true or false."]},
        ),
    ],
)
def test_a_body_is_refused_with_a_sentence(alice: Actor, body: dict[str, Any], details: dict[str, list[str]]) -> None:
    answer = alice.client.post(URL, body, format="json")

    field, messages = next(iter(details.items()))
    assert answer.status_code == 422
    assert answer.json() == {
        "detail": f"{field}: {messages[0]}",
        "error_code": "validation_error",
        "details": details,
    }
    assert not Geofence.objects.exists()


@pytest.mark.parametrize(
    "member",
    [
        "name",
        "description",
        "geometry",
        "webhook_url",
        "webhook_events",
        "metadata",
        "group_name",
        "source",
        "address",
        "buffer_meters",
        "confirm_duplicate",
        "tags",
        "is_active",
        "lat",
        "lng",
        "coordinates",
        "type",
        "position",
    ],
)
@pytest.mark.parametrize(
    "value",
    [
        "true",
        "1e308",
        "-1",
        "123456789012345678901234567890",
        "[]",
        "{}",
        '""',
        '"\\udbff\\udfff"',
        "[" * 900 + "]" * 900,
        '{"a":' * 900 + "1" + "}" * 900,
        "[" * 10_000 + "]" * 10_000,
        '"\\ud800"',
        '"\\u0000"',
        "NaN",
        "1e999",
        "[" + "[[0,0]]," * 20_000 + "0]",
        '{"type":"Circle","center":[0,0],"radius_meters":1e-320}',
    ],
    ids=lambda value: f"{value[:12]} {len(value)}",
)
def test_no_body_makes_a_5xx(alice: Actor, member: str, value: str) -> None:
    fence = store_row(alice, "Depot")
    body = {"name": "Depot", "geometry": POLYGON}
    raw = {key: json.dumps(given) for key, given in body.items()} | {member: value}
    if member == "coordinates":
        raw["geometry"] = '{"type": "Polygon", "coordinates": %s}' % value  # noqa: UP031 - braces
    elif member == "type":
        raw["geometry"] = '{"type": %s, "coordinates": []}' % value  # noqa: UP031
    elif member == "position":
        raw["geometry"] = '{"type": "Circle", "center": [%s, %s], "radius_meters": %s}' % (value, value, value)  # noqa: UP031
    content = "{%s}" % ", ".join(f'"{key}": {text}' for key, text in raw.items())  # noqa: UP031

    created = alice.client.post(URL, content, content_type="application/json")
    updated = alice.client.put(f"{URL}/{fence.pk}", content, content_type="application/json")

    assert created.status_code in (201, 400, 422)
    assert updated.status_code in (200, 400, 422)


@pytest.mark.parametrize("content", ["[]", "null", '"text"', "5", "", "{", "\xff"])
def test_a_body_that_is_no_object_is_refused(alice: Actor, content: str) -> None:
    answer = alice.client.post(URL, content.encode("latin-1"), content_type="application/json")

    assert answer.status_code in (400, 422)
    assert isinstance(answer.json()["detail"], str)


@pytest.mark.parametrize(
    ("body", "details"),
    [
        (
            {"geometry": None},
            {"geometry": [NO_GEOMETRY.replace("Create", "Update").replace("Geometry1", "Geometry3")]},
        ),
        ({"name": None}, {"name": ["This field may not be null."]}),
        ({"is_active": 1}, {"is_active": ["Must be true or false."]}),
        ({"lat": 47.3}, {"lat": ["Send lat and lng together."]}),
        ({"lat": 91, "lng": 0}, {"lat": ["Must be a number from -90 to 90."]}),
        ({"address": "x" * 513}, {"address": ["Ensure this field has no more than 512 characters."]}),
    ],
)
def test_an_update_is_refused_with_a_sentence(alice: Actor, body: dict[str, Any], details: dict[str, Any]) -> None:
    fence = store_fence(alice)

    answer = alice.client.put(f"{URL}/{fence['id']}", body, format="json")

    assert answer.status_code == 422
    assert answer.json()["details"] == details
    assert alice.client.get(f"{URL}/{fence['id']}").json() == fence
