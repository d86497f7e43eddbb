"""Fences made from an address, in files: what is such a fence stays one, and what only says so counts as drawn."""

from typing import Any

import pytest

from tests.support.cast import Actor
from tests.support.fence_files import collection, counts, export, feature, only_fence, send
from tests.support.fences import POLYGON, URL

CONTENT_TYPE = "application/octet-stream"
SPOT = {"type": "Point", "coordinates": [5, 5]}
LEGAL = {"source": "address", "radius_meters": 50, "buffer_meters": 50, "point": [5, 5], "address": "Seestrasse 1"}
KEPT = ("name", "geometry", "radius_meters", "source", "address", "point", "buffer_meters")


def test_the_circle_of_its_address_stays_one_that_follows_it(alice: Actor) -> None:
    answer = send(alice.client, collection(feature("Spot", SPOT, **LEGAL)))

    assert counts(answer) == (1, 1, 0, 0)
    fence = only_fence(alice)
    assert (fence["source"], fence["point"], fence["buffer_meters"]) == ("address", [5, 5], 50)
    wider = alice.client.put(f"{URL}/{fence['id']}", {"buffer_meters": 900}, format="json").json()
    assert (wider["source"], wider["radius_meters"]) == ("address", 900)


@pytest.mark.parametrize(
    ("geometry", "wrong"),
    [
        (SPOT, {"buffer_meters": 900}),
        (SPOT, {"point": [60, 60]}),
        (SPOT, {"point": [5, 6]}),
        (SPOT, {"buffer_meters": None}),
        (SPOT, {"point": None}),
        (POLYGON, {"radius_meters": None}),
    ],
)
def test_what_is_not_the_circle_of_its_address_counts_as_drawn(
    alice: Actor, geometry: dict[str, Any], wrong: dict[str, Any]
) -> None:
    said = {**LEGAL, **wrong}

    answer = send(alice.client, collection(feature("Spot", geometry, **said)))

    assert counts(answer) == (1, 1, 0, 0)
    fence = only_fence(alice)
    assert (fence["source"], fence["address"]) == ("draw", "Seestrasse 1")
    assert (fence["point"], fence["buffer_meters"]) == (said["point"], said["buffer_meters"])
    moved = alice.client.put(f"{URL}/{fence['id']}", {"buffer_meters": 70, "lat": 1, "lng": 2}, format="json").json()
    assert (moved["geometry"], moved["buffer_meters"], moved["point"]) == (fence["geometry"], 70, [2, 1])


@pytest.mark.parametrize("format_name", ["geojson", "kml", "gpx"])
def test_an_import_of_an_export_leaves_them_what_they_are(alice: Actor, mallory: Actor, format_name: str) -> None:
    places = [(47.3, 8.5), (-10.1, 180), (10, -180), (0.1 + 0.2, -1e-7), (0, 0)]
    items = [
        {"index": number, "address": f"Street {number}", "status": "ok", "lat": lat, "lng": lng, "buffer_meters": 70}
        for number, (lat, lng) in enumerate(places)
    ]
    made = alice.client.post(f"{URL}/bulk", {"items": items}, format="json").json()["results"]
    put = {"geometry": {"type": "Circle", "center": [-180, -10.1, 12.5], "radius_meters": 70}}
    assert alice.client.put(f"{URL}/{made[1]['geofence_id']}", put, format="json").json()["source"] == "address"

    answer = send(mallory.client, export(alice.client, format=format_name), CONTENT_TYPE, format=format_name)

    assert counts(answer) == (5, 5, 0, 0)
    assert kept(mallory) == kept(alice)
    assert {fence["source"] for fence in kept(mallory)} == {"address"}


def kept(actor: Actor) -> list[dict[str, Any]]:
    listed = actor.client.get(URL).json()["geofences"]
    return sorted(({name: fence[name] for name in KEPT} for fence in listed), key=lambda fence: fence["name"])
