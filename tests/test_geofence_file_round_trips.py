"""An import of an export makes the same fences, whatever is in them and in whichever format; and others read our files
as they are meant.
"""

import io
import json
import uuid
from typing import Any

import fastkml
import gpxpy
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree
from rest_framework.test import APIClient

from geofences.models import Geofence
from tests.support.cast import Actor
from tests.support.fences import CIRCLE, MULTI_POLYGON, POLYGON, URL, store_fence

FORMATS = ("geojson", "kml", "gpx")
KEPT = (
    *("name", "description", "geometry", "geometry_type", "radius_meters", "webhook_url", "webhook_events", "metadata"),
    *("group_name", "tags", "source", "address", "point", "buffer_meters", "is_active", "archived"),
)
ALL = {"active_only": "false", "include_archived": "true"}

# Any character that the API takes: not NUL, no half of a pair. Some that XML cannot hold are drawn on purpose.
characters = st.one_of(
    st.characters(exclude_characters="\0", exclude_categories=["Cs"]),
    st.sampled_from("\x01\r\n\t\x1f\ufffe\uffff<&>\"'"),
)


def texts(longest: int) -> st.SearchStrategy[str]:
    return st.text(characters, min_size=1, max_size=longest).filter(lambda text: text.strip())


longitudes = st.one_of(st.integers(-179, 170), st.floats(-179, 170))
latitudes = st.one_of(st.integers(-80, 80), st.floats(-80, 80))
altitudes = st.one_of(st.just([]), st.floats(-1e9, 1e9).map(lambda metres: [metres]))


@st.composite
def squares(draw: Any, west: float | None = None) -> list[Any]:
    """Draw the rings of a square, perhaps with a hole."""
    west = draw(longitudes) if west is None else west
    south = draw(latitudes)
    corners = [(0, 0), (5, 0), (5, 5), (0, 5), (0, 0)]
    altitude = draw(altitudes)
    shell = [[west + x, south + y, *altitude] for x, y in corners]
    hole = [[west + 1 + x / 5, south + 1 + y / 5] for x, y in corners]
    return [shell, hole] if draw(st.booleans()) else [shell]


@st.composite
def geometries(draw: Any) -> dict[str, Any]:
    kind = draw(st.sampled_from(["Polygon", "MultiPolygon", "Circle"]))
    if kind == "Polygon":
        return {"type": "Polygon", "coordinates": draw(squares())}
    if kind == "MultiPolygon":
        parts = [draw(squares(west)) for west in (-170, -30.5, 90)[: draw(st.integers(1, 3))]]
        return {
            "type": "MultiPolygon",
            "coordinates": parts,
            **draw(st.sampled_from([{}, {"bbox": [1, 2, 3, 4]}, {"bbox": None}])),
        }
    center = [draw(longitudes), draw(latitudes), *draw(altitudes)]
    return {"type": "Circle", "center": center, "radius_meters": draw(st.floats(1, 1e5) | st.integers(1, 9))}


numbers = st.one_of(
    st.integers(-(2**63), 2**64 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([-0.0, 1e19, 2**63]),
)
values = st.recursive(
    st.none() | st.booleans() | numbers | st.text(characters, max_size=9),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(characters, max_size=5), inner, max_size=2),
    max_leaves=4,
)
fences = st.fixed_dictionaries(
    {"name": texts(100), "geometry": geometries()},
    optional={
        "description": texts(500),
        "webhook_url": st.just("https://example.com/hook?a=1&b=%3C"),
        "webhook_events": st.lists(texts(100), max_size=2),
        "metadata": st.dictionaries(st.text(characters, max_size=9), values, max_size=3),
        "group_name": texts(255),
        "tags": st.lists(texts(64), max_size=3),
        "address": texts(1000),
        "buffer_meters": st.integers(1, 10_000),
        "is_active": st.booleans(),
        "archived": st.booleans(),
        "point": st.tuples(longitudes, latitudes).map(list),
    },
)


def export(client: APIClient, format_name: str, **query: str) -> bytes:
    answer = client.get(f"{URL}/export", {"format": format_name, **query})
    assert answer.status_code == 200, answer.content
    return b"".join(answer.streaming_content)


def import_file(client: APIClient, body: bytes, format_name: str) -> Any:
    address = f"{URL}/import?format={format_name}&dedup_strategy=override"
    answer = client.generic("POST", address, body, content_type="application/octet-stream")
    assert answer.status_code == 201, answer.content
    return answer


def what_is_kept(client: APIClient) -> list[dict[str, Any]]:
    listed = client.get(URL, {**ALL, "limit": 100}).json()["geofences"]
    return [{name: fence[name] for name in KEPT} for fence in listed]


def in_any_order(kept: list[dict[str, Any]]) -> list[str]:
    return sorted(json.dumps(fence, sort_keys=True) for fence in kept)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(drawn=st.lists(fences, min_size=1, max_size=3), format_name=st.sampled_from(FORMATS))
def test_an_import_of_an_export_makes_the_same_fences(
    alice: Actor, mallory: Actor, settings: Any, drawn: list[dict[str, Any]], format_name: str
) -> None:
    allow_any_number_of_requests(alice, mallory, settings)
    Geofence.objects.all().delete()
    for fence in drawn:
        columns = {name: fence.pop(name) for name in ("is_active", "archived", "point") if name in fence}
        stored = store_fence(alice, **fence, confirm_duplicate=True)
        Geofence.objects.filter(pk=stored["id"]).update(**columns)
    key = mallory.key_client()

    answer = import_file(key, export(alice.client, format_name, **ALL), format_name)

    assert answer.json()["created"] == len(drawn)
    before, after = what_is_kept(alice.client), what_is_kept(mallory.client)
    assert in_any_order(after) == in_any_order(before)
    usual = all(fence["is_active"] and not fence["archived"] for fence in before)
    if usual and format_name != "gpx":  # where circles come first
        assert after == before


@pytest.mark.parametrize("format_name", FORMATS)
def test_numbers_that_few_programs_hold_go_out_and_in(alice: Actor, mallory: Actor, format_name: str) -> None:
    numbers = [1e19, 2**63, 2**64 - 1, -(2**63), 1e22, 1.7976931348623157e308, 5e-324, -0.0]
    stored = store_fence(alice, metadata={"numbers": numbers})

    import_file(mallory.client, export(alice.client, format_name), format_name)

    assert [float(number) for number in stored["metadata"]["numbers"]] == [float(number) for number in numbers]
    assert what_is_kept(mallory.client) == what_is_kept(alice.client)


def allow_any_number_of_requests(*parameters: Any) -> None:
    *actors, settings = parameters
    settings.PLAN_LIMITS = {**settings.PLAN_LIMITS, **{actor.workspace.plan: 10_000_000 for actor in actors}}


# --- What others see in our files


@pytest.fixture
def three(alice: Actor) -> Actor:
    store_fence(alice, "Triangle", POLYGON, description="<North> & south", tags=["a"])
    store_fence(alice, "Parts", MULTI_POLYGON)
    store_fence(alice, "Spot", CIRCLE)
    return alice


def test_geojson_is_as_the_rfc_wants_it(three: Actor) -> None:
    answer = three.client.get(f"{URL}/export")
    body = json.loads(b"".join(answer.streaming_content))

    assert answer["Content-Type"] == "application/geo+json"
    assert answer["Content-Disposition"] == 'attachment; filename="geofences.geojson"'
    triangle, parts, spot = body["features"]
    assert body["type"] == "FeatureCollection" and {one["type"] for one in body["features"]} == {"Feature"}
    assert (triangle["geometry"], parts["geometry"]) == (POLYGON, MULTI_POLYGON)
    assert triangle["properties"] == {"name": "Triangle", "description": "<North> & south", "tags": ["a"]}
    assert spot["geometry"] == {"type": "Point", "coordinates": CIRCLE["center"], "bbox": CIRCLE["bbox"]}
    assert spot["properties"] == {"name": "Spot", "radius_meters": 49.5}
    assert uuid.UUID(spot["id"]) in set(Geofence.objects.values_list("id", flat=True))


def test_fastkml_reads_our_kml(three: Actor) -> None:
    (document,) = fastkml.KML.parse(io.BytesIO(export(three.client, "kml"))).features

    triangle, parts, spot = document.features
    assert (triangle.name, triangle.description) == ("Triangle", "<North> & south")
    assert triangle.geometry.__geo_interface__["coordinates"] == as_tuples(POLYGON["coordinates"])
    # It tells an altitude that is missing in one part as missing in all; we compare longitude and latitude.
    seen = parts.geometry.__geo_interface__
    rings = seen.get("coordinates") or [part["coordinates"] for part in seen["geometries"]]
    assert flat(rings) == flat(MULTI_POLYGON["coordinates"])
    assert spot.geometry.__geo_interface__["coordinates"][:2] == tuple(CIRCLE["center"])


def test_gpxpy_reads_our_gpx_and_all_stands_where_the_schema_wants_it(three: Actor) -> None:
    body = export(three.client, "gpx")
    read = gpxpy.parse(body.decode())

    (spot,), (triangle, parts) = read.waypoints, read.tracks
    assert (spot.name, spot.longitude, spot.latitude) == ("Spot", *CIRCLE["center"])
    assert (triangle.name, triangle.description) == ("Triangle", "<North> & south")
    (segment,) = triangle.segments
    assert [[at.longitude, at.latitude] for at in segment.points] == POLYGON["coordinates"][0]
    assert [len(segment.points) for segment in parts.segments] == [4, 5, 4]
    assert parts.segments[0].points[2].elevation == 409.25
    assert [etree.QName(element).localname for element in etree.fromstring(body)] == ["wpt", "trk", "trk"]


def flat(coordinates: Any) -> list[tuple[float, float]]:
    if isinstance(coordinates[0], int | float):
        return [tuple(coordinates[:2])]
    return [position for inner in coordinates for position in flat(inner)]


def as_tuples(value: Any) -> Any:
    return tuple(map(as_tuples, value)) if isinstance(value, list) else value


@pytest.mark.parametrize("format_name", FORMATS)
def test_an_export_has_what_the_list_with_these_filters_has(three: Actor, format_name: str) -> None:
    for name in ("Archived", "Deleted"):
        stored = store_fence(three, name, tags=["A"])
        three.client.post(f"{URL}/{stored['id']}/archive") if name == "Archived" else three.client.delete(
            f"{URL}/{stored['id']}"
        )

    def exported(**query: str) -> set[str]:
        body = export(three.client, format_name, **query).decode()
        return {name for name in ("Triangle", "Parts", "Spot", "Archived", "Deleted") if name in body}

    assert exported() == {"Triangle", "Parts", "Spot"}
    assert exported(tags="a") == {"Triangle"}
    assert exported(tags="a", include_archived="true") == {"Triangle", "Archived"}
    assert exported(tags="A", active_only="false", include_archived="true") == {"Triangle", "Archived", "Deleted"}
    assert exported(tags="none") == set()


@pytest.mark.parametrize(("query", "field"), [({"format": "shp"}, "format"), ({"active_only": "x"}, "active_only")])
def test_a_wrong_query_is_refused(alice: Actor, query: dict[str, str], field: str) -> None:
    refused = alice.client.get(f"{URL}/export", query)

    assert (refused.status_code, list(refused.json()["details"])) == (422, [field])


def test_a_changed_track_is_refused_where_it_does_not_fit_any_more(three: Actor) -> None:
    body = export(three.client, "gpx").replace(b"<trkseg>", b"<trkseg/><trkseg>")

    refused = three.client.generic("POST", f"{URL}/import?format=gpx", body, content_type="application/gpx+xml")

    assert refused.status_code == 422
    assert any(
        "what this service wrote about it says otherwise" in error["message"] for error in refused.json()["errors"]
    )
