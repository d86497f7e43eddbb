"""Importing KML: what a placemark becomes, and which placemarks are refused since something of them would be lost."""

from typing import Any

import pytest

from tests.support.cast import Actor
from tests.support.fence_files import KML, counts, kml, only_fence, send
from tests.support.fences import MULTI_POLYGON, URL, names

OUTER = "<outerBoundaryIs><LinearRing><coordinates>0,0 9,0 9,9 0,0</coordinates></LinearRing></outerBoundaryIs>"
INNER = "<innerBoundaryIs><LinearRing><coordinates>5,2 7,2 7,4 5,2</coordinates></LinearRing></innerBoundaryIs>"
SPOT = "<Point><coordinates>1,2</coordinates></Point>"


def test_kml_placemarks_become_fences(alice: Actor) -> None:
    ring = (
        "<LinearRing><coordinates>\n 8.5,47.3,408 8.6,47.3,408\n8.6,47.4,409 8.5,47.3,408 </coordinates></LinearRing>"
    )
    hole = "<LinearRing><coordinates>1,1 2,1 2,2 1,1</coordinates></LinearRing>"
    big = "<LinearRing><coordinates>0,0 10,0 10,10 0,10 0,0</coordinates></LinearRing>"
    polygon = f"<Polygon><tessellate>1</tessellate><outerBoundaryIs>{ring}</outerBoundaryIs></Polygon>"
    holed = f"<Polygon><outerBoundaryIs>{big}</outerBoundaryIs><innerBoundaryIs>{hole}</innerBoundaryIs></Polygon>"
    data = '<ExtendedData><Data name="zone"><value>7</value></Data></ExtendedData>'

    answer = send(
        alice.client,
        kml(
            f"<name>Multi</name><MultiGeometry>{polygon}{holed}</MultiGeometry>",
            f"<name>Single &amp; plain</name><description><![CDATA[<b>Gate</b>]]></description>{data}{polygon}",
            "<name>Spot</name><Point><coordinates>8.5,47.3</coordinates></Point>",
        ),
        KML,
        radius_meters=30,
    )

    assert counts(answer) == (3, 3, 0, 0), answer.content
    spot, single, multi = alice.client.get(URL).json()["geofences"]
    assert multi["geometry"] == MULTI_POLYGON | {
        "coordinates": [
            [[[8.5, 47.3, 408], [8.6, 47.3, 408], [8.6, 47.4, 409], [8.5, 47.3, 408]]],
            MULTI_POLYGON["coordinates"][1],
        ]
    }
    assert (single["name"], single["description"], single["metadata"]) == (
        "Single & plain",
        "<b>Gate</b>",
        {"zone": "7"},
    )
    assert single["geometry_type"] == "Polygon"
    assert spot["geometry"] == {"type": "Circle", "center": [8.5, 47.3], "radius_meters": 30}


@pytest.mark.parametrize(
    ("geometry", "message"),
    [
        ("<Polygon/>", "a Polygon has one outerBoundaryIs with one LinearRing; this one has 0."),
        (f"<Polygon>{INNER}</Polygon>", "a Polygon has one outerBoundaryIs with one LinearRing; this one has 0."),
        (
            f"<Polygon>{OUTER}{OUTER}</Polygon>",
            "a Polygon has one outerBoundaryIs with one LinearRing; this one has 2.",
        ),
        (
            f"<MultiGeometry><Polygon>{OUTER}</Polygon><Polygon>{INNER}</Polygon></MultiGeometry>",
            "a Polygon has one outerBoundaryIs with one LinearRing; this one has 0.",
        ),
        (f"<Polygon>{OUTER}<innerBoundaryIs/></Polygon>", "an innerBoundaryIs of the Polygon has no LinearRing."),
        (
            f"<Polygon>{OUTER}</Polygon>".replace("9,0 ", "9,0</coordinates><coordinates>"),
            "a LinearRing has one element coordinates; this one has 2.",
        ),
        (
            f"{SPOT}<Polygon>{OUTER}</Polygon>",
            "the placemark has 2 geometries (Point, Polygon); put polygons into one MultiGeometry, and anything else "
            "into a placemark of its own.",
        ),
        ("<Point/>", "a Point has one position; this one has 0."),
        ("<Point><coordinates>1,2 3,4</coordinates></Point>", "a Point has one position; this one has 2."),
    ],
)
def test_no_part_of_a_placemark_is_lost_or_taken_for_another(alice: Actor, geometry: str, message: str) -> None:
    good = f"<name>Holed</name><Polygon>{INNER}{OUTER}</Polygon>"
    body = kml(f"<name>Wrong</name>{geometry}", good, f"<name>Spot</name>{SPOT}")

    answer = send(alice.client, body, KML, radius_meters=9, on_error="skip")

    assert counts(answer) == (3, 2, 0, 1), answer.content
    assert answer.json()["errors"] == [{"index": 0, "name": "Wrong", "message": message}]
    spot, holed = alice.client.get(URL).json()["geofences"]
    assert spot["geometry"]["center"] == [1, 2]
    assert [ring[0] for ring in holed["geometry"]["coordinates"]] == [[0, 0], [5, 2]]


@pytest.mark.parametrize(
    ("inner", "query", "name", "radius", "metadata"),
    [
        ('<Data name="radius_meters"><value>40</value></Data>', {}, "Spot", 40, {}),
        ('<Data name="radius_meters"><value>40.5</value></Data>', {"radius_meters": 9}, "Spot", 40.5, {}),
        (
            '<SchemaData><SimpleData name="NAME_1">Zug</SimpleData></SchemaData>',
            {"radius_meters": 9, "name_property": "NAME_1"},
            "Zug",
            9,
            {"name": "Spot"},
        ),
        ('<Data name="tags"><value>a</value></Data>', {"radius_meters": 9}, "Spot", 9, {"tags": "a"}),
    ],
)
def test_extended_data_of_kml_holds_names_and_radii(
    alice: Actor, inner: str, query: dict[str, Any], name: str, radius: float, metadata: dict[str, str]
) -> None:
    point = "<Point><coordinates>8.5,47.3</coordinates></Point>"

    answer = send(alice.client, kml(f"<name>Spot</name><ExtendedData>{inner}</ExtendedData>{point}"), KML, **query)

    assert counts(answer) == (1, 1, 0, 0), answer.content
    fence = only_fence(alice)
    assert (fence["name"], fence["radius_meters"], fence["metadata"]) == (name, radius, metadata)


@pytest.mark.parametrize(
    ("radius", "words"), [("wide", '"wide" is not a number'), ("0", "above 0"), ("nan", "not a number")]
)
def test_a_radius_in_extended_data_that_is_none_is_refused(alice: Actor, radius: str, words: str) -> None:
    data = f'<ExtendedData><Data name="radius_meters"><value>{radius}</value></Data></ExtendedData>'
    body = kml(f"<name>Spot</name>{data}<Point><coordinates>8.5,47.3</coordinates></Point>")

    refused = send(alice.client, body, KML, radius_meters=9)

    assert refused.status_code == 422
    assert words in refused.json()["errors"][0]["message"]


@pytest.mark.parametrize(
    ("inner", "message"),
    [
        ("<a/>" * 50_000, "the feature has more than 50,000 elements; simplify it."),
        (f"<a>{'x' * 1_300_000}</a>", "the feature is larger than 1 MiB; simplify it."),
    ],
)
def test_a_placemark_that_is_too_large_is_an_error_of_its_own(alice: Actor, inner: str, message: str) -> None:
    body = kml(f"<name>one</name>{SPOT}", f"<name>two</name>{inner}", f"<name>three</name>{SPOT}")

    answer = send(alice.client, body, KML, radius_meters=9, on_error="skip")

    assert (answer.status_code, counts(answer)) == (201, (3, 2, 0, 1)), answer.content
    assert answer.json()["errors"] == [{"index": 1, "name": None, "message": message}]
    assert names(alice.client.get(URL)) == ["three", "one"]
