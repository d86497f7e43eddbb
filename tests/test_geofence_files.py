"""Importing files of geofences: what a feature of each format becomes, and what is refused and how."""

import json
from typing import Any

import pytest

from geofences.models import Geofence
from tests.support.cast import Actor
from tests.support.fence_files import (
    GEOJSON,
    GPX,
    KML,
    SQUARE,
    RawJson,
    collection,
    counts,
    feature,
    gpx,
    kml,
    only_fence,
    send,
)
from tests.support.fences import MULTI_POLYGON, POLYGON, URL, names

# --- What becomes of a feature


def test_a_geojson_feature_becomes_a_fence_with_all_its_members(alice: Actor) -> None:
    members = {
        "description": "North gate",
        "webhook_url": "https://example.com/hook",
        "webhook_events": ["enter"],
        "metadata": {"owner": "Ops"},
        "group_name": "Depots",
        "tags": ["North", "north"],
        "address": "Seestrasse 1",
        "point": [8.55, 47.35],
        "buffer_meters": 50,
        "zone": 7,
        "source": "survey 2024",
    }

    answer = send(alice.client, collection(feature("Yard", MULTI_POLYGON, **members)))

    assert answer.status_code == 201, answer.content
    assert answer.json() == {
        "format": "geojson",
        "dry_run": False,
        "features": 1,
        "created": 1,
        "duplicates": 0,
        "refused": 0,
        "duplicate_indexes": [],
        "errors": [],
        "truncated": False,
    }
    fence = only_fence(alice)
    assert fence["geometry"] == MULTI_POLYGON
    assert fence["metadata"] == {"owner": "Ops", "zone": 7, "source": "survey 2024"}
    assert (fence["tags"], fence["group_name"], fence["source"]) == (["North"], "Depots", "draw")
    kept = ("description", "webhook_url", "webhook_events", "address", "point", "buffer_meters")
    assert {name: fence[name] for name in kept} == {name: members[name] for name in kept}
    # It is found where it lies, and its group is the one that the API knows by this name.
    found = alice.client.post(f"{URL}/test-point", {"lat": 47.33, "lng": 8.58}, format="json").json()
    assert [match["group_id"] for match in found["matched_geofences"]] == [fence["group_id"]]


def test_a_point_with_a_radius_becomes_a_circle(alice: Actor) -> None:
    point = {"type": "Point", "coordinates": [8.5, 47.3]}

    answer = send(
        alice.client, collection(feature("own", point, radius_meters=40), feature("given", point)), radius_meters=75
    )

    assert counts(answer) == (2, 2, 0, 0)
    circles = {fence["name"]: fence["geometry"] for fence in alice.client.get(URL).json()["geofences"]}
    assert circles["own"] == {"type": "Circle", "center": [8.5, 47.3], "radius_meters": 40}
    assert circles["given"]["radius_meters"] == 75


def track(name: str, *segments: list[list[float]]) -> str:
    def points(ring: list[list[float]]) -> str:
        return "".join(f'<trkpt lat="{lat}" lon="{lon}"><time>2026-01-01T00:00:00Z</time></trkpt>' for lon, lat in ring)

    inner = "".join(f"<trkseg>{points(ring)}</trkseg>" for ring in segments)
    return f"<trk><name>{name}</name>{inner}</trk>"


def test_gpx_tracks_routes_and_waypoints_become_fences(alice: Actor) -> None:
    almost_closed = [*SQUARE[:-1], [8.5003, 47.3003]]
    route = "".join(f'<rtept lat="{lat}" lon="{lon}"/>' for lon, lat in SQUARE)

    answer = send(
        alice.client,
        gpx(
            '<wpt lat="47.3" lon="8.5"><ele>408.5</ele><name>Spot</name></wpt>'
            f"<rte><name>Route</name>{route}</rte>" + track("Walk", almost_closed) + track("Line", SQUARE[:3])
        ),
        GPX,
        radius_meters=20,
        on_error="skip",
    )

    assert counts(answer) == (4, 3, 0, 1), answer.content
    assert answer.json()["errors"] == [
        {
            "index": 3,
            "name": "Line",
            "message": "segment 0 ends more than 100 m from where it begins, so it is not the outline of anything.",
        }
    ]
    walk, route_fence, spot = alice.client.get(URL).json()["geofences"]
    assert route_fence["geometry"] == {"type": "Polygon", "coordinates": [SQUARE]}
    assert walk["geometry"] == {"type": "Polygon", "coordinates": [[*almost_closed, SQUARE[0]]]}
    assert spot["geometry"] == {"type": "Circle", "center": [8.5, 47.3, 408.5], "radius_meters": 20}


# --- What is refused


CHANGED = '<ExtendedData><Data name="spatialflow"><value>{</value></Data></ExtendedData>'
NO_NUMBER = "<Point><coordinates>8,nan</coordinates></Point>"
INFINITE = (
    "the feature is not valid JSON in UTF-8: number is infinity when parsed as double, 6 characters from its beginning."
)
HALF = "the feature is not valid JSON in UTF-8: no low surrogate in string, 7 characters from its beginning."
TOO_LARGE = "the feature is larger than 1 MiB; simplify it."
TWO = collection(feature(), feature())
BOWTIE = {"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [1, 0], [0, 1], [0, 0]]]}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            feature(geometry=BOWTIE),
            "geometry: ring 0, position 0: the edge that starts here crosses or overlaps another edge, at [0.5, 0.5].",
        ),
        (feature(geometry=None), "geometry: the feature has no geometry."),
        (
            feature(geometry={"type": "Point", "coordinates": [8, 47]}),
            "geometry: a point needs radius_meters, among the feature's properties or in the query, to be a circle.",
        ),
        (feature(geometry={"type": "Point"}, radius_meters=5), None),
        (feature(None), "name: the feature has no name; say with name_property which of its properties holds one."),
        (feature("x" * 101), "name: Ensure this field has no more than 100 characters."),
        (feature(["x"]), "name: Not a valid string."),
        (feature(tags="north"), "tags: Must be a list of at most 50 texts of 1 to 64 characters."),
        (feature(metadata=[1]), "metadata: Must be an object."),
        (feature(note="x" * 20_000), "metadata: The object is larger than 16 KiB."),
        (feature(point=[1]), None),
        (feature(archived="yes"), "archived: Must be true or false."),
        (feature(note="a\0b"), "the feature holds a NUL character, which cannot be stored."),
        (RawJson("[" * 60 + "]" * 60), 'a feature is an object with the type "Feature".'),
        (RawJson("[" * 64 + "]" * 64), 'a feature is an object with the type "Feature".'),
        (RawJson("[" * 65 + "]" * 65), "the feature is nested deeper than 64 levels."),
        (RawJson("[" * 3000 + "]" * 3000), "the feature is nested deeper than 64 levels."),
        (feature(note="x" * 1_100_000), TOO_LARGE),
        (feature(geometry={"type": "Polygon", "coordinates": [[[8.5, 47.3]] * 100_000]}), TOO_LARGE),
        (RawJson('{"a": NaN}'), None),
        (RawJson('{"a": 1e999}'), INFINITE),
        (RawJson('{"a": 1' + "0" * 5_000 + "}"), INFINITE),
        (RawJson('{"a": 1e99999999999999999999}'), INFINITE),
        (RawJson('{"a": "\\ud83d"}'), HALF),
        (RawJson('{"a": "\\ud83d\\u0041"}'), None),
        (RawJson('{"a": "\\udfff"}'), None),
        (RawJson('{"a": "\n"}'), None),
        (RawJson("nothing"), None),
        ("feature", 'a feature is an object with the type "Feature".'),
        (POLYGON, 'a feature is an object with the type "Feature".'),
        ({"type": "Feature", "properties": [], "geometry": POLYGON}, "properties must be an object or null."),
    ],
)
def test_a_wrong_feature_is_named_and_keeps_no_other_from_being_made(
    alice: Actor, wrong: Any, message: str | None
) -> None:
    body = collection(feature("one"), wrong, feature("three"))

    refused = send(alice.client, body)
    assert (refused.status_code, refused.json()["error_code"]) == (422, "import_refused")
    assert not Geofence.objects.exists()

    answer = send(alice.client, body, on_error="skip")
    assert (answer.status_code, counts(answer)) == (201, (3, 2, 0, 1))
    assert answer.json()["errors"] == refused.json()["errors"]
    (error,) = answer.json()["errors"]
    assert error["index"] == 1
    assert message is None or error["message"] == message
    assert names(alice.client.get(URL)) == ["three", "one"]


def test_the_refusal_of_a_whole_file_says_what_is_first_wrong(alice: Actor) -> None:
    refused = send(alice.client, collection(feature(), feature(None), feature(None)))

    assert refused.json()["detail"].startswith(
        "2 of 3 features are refused, so nothing was created. The first is the one with index 1: name: "
    )
    assert counts(refused) == (3, 0, 0, 2)


@pytest.mark.parametrize(
    ("body", "content_type", "status", "code", "words"),
    [
        (b"", GEOJSON, 400, "malformed_file", "body is empty"),
        (b'{"type": "FeatureCollection", "features": [', GEOJSON, 400, "malformed_file", "ends before"),
        (collection(feature())[:-9], GEOJSON, 400, "malformed_file", "ends before"),
        (collection(feature())[:-1], GEOJSON, 400, "malformed_file", "ends before"),
        (b" ", GEOJSON, 400, "malformed_file", "ends before"),
        (collection(feature()) + b"}", GEOJSON, 400, "malformed_file", "closed that is not open"),
        (collection(feature()) * 2, GEOJSON, 400, "malformed_file", "one object"),
        (collection(feature()) + b"x", GEOJSON, 400, "malformed_file", "outside of its features"),
        (TWO.replace(b"}}, {", b"}} {"), GEOJSON, 400, "malformed_file", "comma is missing"),
        (TWO.replace(b"}}, {", b"}},, {"), GEOJSON, 400, "malformed_file", "beside a comma"),
        (collection(feature())[:-2] + b",]}", GEOJSON, 400, "malformed_file", "beside a comma"),
        (b'{"features": [{"a": [1}]}', GEOJSON, 400, "malformed_file", "not open"),
        (b'{"features": ["\xff"]}', GEOJSON, 400, "malformed_file", "has no type"),
        (collection("\xff").replace(b"\\u00ff", b"\xff"), GEOJSON, 422, "import_refused", "not valid JSON in UTF-8"),
        (b'{"name": "\\udfff", "features": []}', GEOJSON, 400, "malformed_file", "surrogate"),
        (b'{"name": "\xff", "features": []}', GEOJSON, 400, "malformed_file", "in UTF-8"),
        (b"[" * 100_000, GEOJSON, 400, "malformed_file", "must be one object"),
        (b'{"a":' * 100_000, GEOJSON, 400, "malformed_file", "deeper than 64"),
        (collection(RawJson("[" * 2_000_000)), GEOJSON, 422, "feature_too_large", "larger than 1 MiB"),
        (json.dumps(feature()).encode(), GEOJSON, 400, "malformed_file", 'the type "Feature"; it must be'),
        (json.dumps(POLYGON).encode(), GEOJSON, 400, "malformed_file", 'the type "Polygon"; it must be'),
        (b'{"type": "Topology", "features": []}', GEOJSON, 400, "malformed_file", 'the type "Topology"; it must be'),
        (b'{"features": []}', GEOJSON, 400, "malformed_file", "has no type; it must be"),
        (b'{"type": "FeatureCollection"}', GEOJSON, 400, "malformed_file", "must be a list"),
        (b'{"type": "FeatureCollection", "features": {}}', GEOJSON, 400, "malformed_file", "must be a list"),
        (
            collection(feature("a"))[:-1] + b', "\\u0066eatures": []}', GEOJSON, 400, "malformed_file",
            'two members "features"',
        ),
        (kml("<name>x")[:-30], KML, 400, "malformed_file", "not valid XML"),
        (collection(feature()), KML, 400, "malformed_file", "not valid XML"),
        (b"<gpx/>", KML, 400, "malformed_file", 'must be "kml"'),
        (b"<kml/>", GPX, 400, "malformed_file", 'must be "gpx"'),
        (b'<!DOCTYPE kml [<!ENTITY a "Yard">]>' + kml("<name>&a;</name>"), KML, 400, "malformed_file", "DOCTYPE"),
        (b'<!DOCTYPE kml SYSTEM "file:///etc/passwd"><kml/>', KML, 400, "malformed_file", "DOCTYPE"),
        (kml("<name>&a;</name>"), KML, 400, "malformed_file", "not valid XML"),
        (kml("<a/>" * 50_001), KML, 422, "import_refused", "more than 50,000 elements"),
        (kml("<name>Yard</name>"), KML, 422, "import_refused", "no geometry"),
        (kml("<name>Yard</name><LineString/>"), KML, 422, "import_refused", "a LineString"),
        (kml("<name>Y</name>" + NO_NUMBER), KML, 422, "import_refused", '"nan" is not a number'),
        (kml("<name>Y</name><Point><coordinates>8,47</coordinates></Point>"), KML, 422, "import_refused", "radius_m"),
        (kml(f"<name>Y</name>{CHANGED}<Point/>"), KML, 422, "import_refused", "was changed"),
        (gpx("<trk><name>T</name></trk>"), GPX, 422, "import_refused", "at least one"),
        (gpx('<wpt lat="x" lon="1"><name>W</name></wpt>'), GPX, 422, "import_refused", '"x" is not a number'),
        (gpx(track("T", [[8, 91], [9, 47]])), GPX, 422, "import_refused", "latitude"),
        (collection(feature()), "text/plain", 415, "unsupported_media_type", "?format="),
        (collection(feature()), "", 415, "unsupported_media_type", "?format="),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_read_is_refused_whole(
    alice: Actor, body: bytes, content_type: str, status: int, code: str, words: str
) -> None:
    refused = send(alice.client, body, content_type)

    assert (refused.status_code, refused.json()["error_code"]) == (status, code), refused.content[:500]
    assert words in refused.json()["detail"]
    assert not Geofence.objects.exists()


@pytest.mark.parametrize("content_type", ["application/json", "application/geo+json; charset=utf-8", GEOJSON.upper()])
def test_geojson_comes_under_its_names(alice: Actor, content_type: str) -> None:
    assert counts(send(alice.client, b"\xef\xbb\xbf" + collection(feature()), content_type)) == (1, 1, 0, 0)


def test_the_querys_word_counts_before_the_content_type(alice: Actor) -> None:
    assert counts(send(alice.client, collection(feature()), "text/xml", format="geojson")) == (1, 1, 0, 0)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"format": "shp"}, "format"),
        ({"dry_run": "perhaps"}, "dry_run"),
        ({"on_error": "ignore"}, "on_error"),
        ({"dedup_strategy": "merge"}, "dedup_strategy"),
        ({"radius_meters": "0"}, "radius_meters"),
        ({"radius_meters": "nan"}, "radius_meters"),
    ],
)
def test_a_wrong_query_is_refused(alice: Actor, query: dict[str, str], field: str) -> None:
    refused = send(alice.client, collection(feature()), **query)

    assert (refused.status_code, list(refused.json()["details"])) == (422, [field])
    assert not Geofence.objects.exists()


@pytest.mark.parametrize(
    ("body", "content_type"),
    [(collection(), GEOJSON), (kml(), KML), (gpx(""), GPX), (b'{"features":[ ],"type":"FeatureCollection"}', GEOJSON)],
)
def test_a_file_without_features_makes_nothing(alice: Actor, body: bytes, content_type: str) -> None:
    answer = send(alice.client, body, content_type)

    assert (answer.status_code, counts(answer)) == (200, (0, 0, 0, 0)), answer.content


def test_what_stands_beside_the_features_is_left_alone(alice: Actor) -> None:
    beside = b'{"bbox": [1, 2], "crs": {"features": [{"features": [1]}]}, "name": "features", "features" :[ \n'

    answer = send(alice.client, beside + json.dumps(feature('[{\\"')).encode() + b' ] , "type": "FeatureCollection" }')

    assert counts(answer) == (1, 1, 0, 0), answer.content
    assert only_fence(alice)["name"] == '[{\\"'


def test_another_property_can_hold_the_name(alice: Actor) -> None:
    assert counts(send(alice.client, collection(feature("old", NAME_1=12)), name_property="NAME_1")) == (1, 1, 0, 0)

    assert (only_fence(alice)["name"], only_fence(alice)["metadata"]) == ("12", {"name": "old"})
