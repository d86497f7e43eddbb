"""The list of geofences in the dashboard: its filters, its pages, the map's share of it, and the point test beside."""

import json
from urllib.parse import parse_qs, urlsplit

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone
from lxml import html

from geofences.browsing import MAX_COMPARED, MAX_DRAWN_BYTES, PAGE_LENGTH
from geofences.models import Geofence
from tests.support.cast import Actor
from tests.support.fences import CIRCLE, POLYGON, store_fence, store_row
from tests.support.pages import signed_in

PLACE = "/geofences"
AROUND = {"type": "Circle", "center": [8.58, 47.33], "radius_meters": 9000}
COPIES_SQL = """
    INSERT INTO geofences_geofence
    SELECT (json_populate_record(fence, json_build_object(
        'id', gen_random_uuid(), 'name', 'Copy ' || number, 'distinct_by', gen_random_uuid(),
        'created_at', fence.created_at - number * interval '1 second'))).*
    FROM geofences_geofence AS fence, generate_series(1, %s) AS number WHERE fence.id = %s"""


@pytest.fixture
def page(alice: Actor) -> Client:
    return signed_in(alice)


def listed(page: Client, query: str = "") -> list[str]:
    return [fence.name for fence in page.get(f"{PLACE}{query}").context["list"].fences]


def follow(page: Client, query: str = "") -> list[list[str]]:
    """Return the names on each page from this one to the last."""
    pages, address = [], f"{PLACE}{query}"
    while address:
        answer = page.get(address)
        pages.append([fence.name for fence in answer.context["list"].fences])
        links = html.document_fromstring(answer.content.decode()).xpath("//a[@rel='next']/@href")
        address = links[0] if links else ""
    return pages


def test_filters_narrow_the_list_and_the_counts_stay(page: Client, alice: Actor):
    store_fence(alice, "North Yard", group_name="Yards", tags=["Night", "gate 4"])
    store_fence(alice, "South yard", group_name="Yards")
    store_fence(alice, "100% quay_7", CIRCLE, tags=["night"])
    store_row(alice, "Old", archived=True)
    store_row(alice, "Gone", is_active=False)
    store_row(alice, "Long gone", age=60, is_active=False, archived=True)

    cases = {
        "": ["100% quay_7", "South yard", "North Yard"],
        "?state=archived": ["Old"],
        "?state=deleted": ["Gone", "Long gone"],
        "?group=Yards": ["South yard", "North Yard"],
        "?group=yards": [],
        "?tag=NIGHT": ["100% quay_7", "North Yard"],
        "?search=YARD": ["South yard", "North Yard"],
        "?search=0%25": ["100% quay_7"],
        "?search=y_7": ["100% quay_7"],
        "?search=%25": ["100% quay_7"],
        "?group=Yards&tag=gate+4&search=north": ["North Yard"],
        "?state=deleted&search=long": ["Long gone"],
    }
    for query, expected in cases.items():
        assert listed(page, query) == expected, query
        assert page.get(f"{PLACE}{query}").context["list"].totals == {"active": 3, "archived": 1, "deleted": 2}
    text = page.get(f"{PLACE}?group=yards&search=x").content.decode()
    assert "No active fence fits." in text and 'value="yards"' in text


@pytest.mark.parametrize(
    "query",
    [
        *("?state=x", f"?group={'x' * 256}", f"?tag={'x' * 65}", f"?search={'x' * 101}", "?search=%00", "?after=x"),
        *("?after=2026-01-01T00:00:00_11111111-1111-1111-1111-111111111111", "?after=2026-01-01T00:00:00Z_x"),
    ],
)
def test_what_no_link_says_is_refused(page: Client, query: str):
    assert page.get(f"{PLACE}{query}").status_code == 422


def test_pages_follow_one_another_whatever_is_made_meanwhile(page: Client, alice: Actor):
    moment = timezone.now()
    for number in range(2 * PAGE_LENGTH + 7):  # many at one moment: the id decides between them
        store_row(alice, f"Fence {number}", created_at=moment if number % 3 else moment - timezone.timedelta(hours=1))
    first = page.get(PLACE)
    store_row(alice, "Newer")

    pages = [[fence.name for fence in first.context["list"].fences], *follow(page, first.context["following"][10:])]

    assert [len(names) for names in pages] == [PAGE_LENGTH, PAGE_LENGTH, 7]
    names = [name for names in pages for name in names]
    assert sorted(names) == sorted(f"Fence {number}" for number in range(107))
    assert "First page" not in first.content.decode()
    assert "First page" in page.get(first.context["following"]).content.decode()
    assert [len(names) for names in follow(page, "?search=fence")] == [PAGE_LENGTH, PAGE_LENGTH, 7]


def test_a_search_looks_through_so_many_a_page_and_goes_on(page: Client, alice: Actor):
    newest = store_row(alice, "Needle")
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = '60s'")  # for the copies alone, on a loaded machine
        cursor.execute(COPIES_SQL, [MAX_COMPARED + 10, newest.id])
        cursor.execute("SET LOCAL statement_timeout = '5s'")
    Geofence.objects.filter(name=f"Copy {MAX_COMPARED + 5}").update(name="Second needle")

    answer = page.get(f"{PLACE}?search=second")

    assert "None of the fences looked through so far fits." in answer.content.decode()
    assert follow(page, "?search=second") == [[], ["Second needle"]]
    assert follow(page, "?search=needle") == [["Needle"], ["Second needle"]]


def test_what_is_drawn_has_a_bound(page: Client, alice: Actor):
    saw = [[8 + number / 1000, 47 + number % 2 / 1000] for number in range(900)]
    large = {"type": "Polygon", "coordinates": [[[8, 47.5], *saw, [8.9, 47.5], [8, 47.5]]]}
    for number in range(PAGE_LENGTH):
        store_row(alice, f"Large {number}", geometry=large, age=number)
    store_row(alice, "Small")

    answer = page.get(PLACE)

    drawn = html.document_fromstring(answer.content.decode()).xpath("//tr/@data-geometry")
    assert json.loads(drawn[0]) == POLYGON
    assert 2 < len(drawn) < PAGE_LENGTH and sum(map(len, drawn)) <= MAX_DRAWN_BYTES
    assert f"{PAGE_LENGTH - len(drawn)} fences of this page are too detailed" in answer.content.decode()
    assert len(answer.content) < 2 * MAX_DRAWN_BYTES


def test_the_map_knows_the_tiles_of_the_operator(page: Client, alice: Actor, settings):
    store_fence(alice)
    settings.MAP_TILE_URL = "https://tiles.example.com/{z}/{x}/{y}.png"
    settings.MAP_TILE_ATTRIBUTION = "© <b>Somebody</b>"

    text = page.get(PLACE).content.decode()

    assert 'data-tiles="https://tiles.example.com/{z}/{x}/{y}.png"' in text
    assert 'data-attribution="© &lt;b&gt;Somebody&lt;/b&gt;"' in text


def test_a_point_is_in_the_fences_whose_centre_is_near_first(page: Client, alice: Actor):
    far = store_fence(alice, "Around", AROUND, group_name="Zones")
    near = store_fence(alice, "Yard", POLYGON)
    store_fence(alice, "Elsewhere", CIRCLE)

    answer = page.get(f"{PLACE}/test-point?lat=47.33&lng=8.57")

    tested = answer.context["tested"]
    contract = alice.client.post("/api/v1/geofences/test-point", {"lat": 47.33, "lng": 8.57}, format="json").json()
    assert [fence["geofence_id"] for fence in tested["holding"]] == [
        result["geofence_id"] for result in contract["results"]
    ]
    assert {fence["geofence_id"] for fence in tested["holding"]} == {near["id"], far["id"]}
    text = answer.content.decode()
    assert "47.33, 8.57 lies in 2 of 3 active fences." in text and "Zones" in text and "m to its centre" in text
    assert [json.loads(fence["geometry"]) for fence in tested["holding"] if fence["geofence_id"] == near["id"]] == [
        POLYGON
    ]
    assert "none holds it" in page.get(f"{PLACE}/test-point?lat=-1&lng=-1").content.decode()


def test_the_active_fences_around_a_point_are_sent_once(page: Client, alice: Actor):
    for name, geometry in (("Yard", POLYGON), ("Elsewhere", CIRCLE)):
        store_fence(alice, name, geometry)
    store_row(alice, "Archived", archived=True)
    path = f"{PLACE}/test-point?lat=47.33&lng=8.57"

    def drawn(**headers: str) -> list[str]:
        answer = page.get(path, headers=headers)
        return [str(name) for name in html.fromstring(answer.content).xpath("//@data-name")]

    assert sorted(drawn()) == ["Elsewhere", "Yard"]
    assert drawn(**{"HX-Request": "true"}) == []  # the map is there already: only the result is taken


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        ("lat=91&lng=0", {"lat"}),
        ("lat=0&lng=-180.1", {"lng"}),
        ("lat=north&lng=", {"lat", "lng"}),
        ("lat=nan&lng=inf", {"lat", "lng"}),
        ("lat=1", {"lng"}),
    ],
)
def test_a_point_that_is_none_is_refused_at_its_field(page: Client, query: str, fields: set[str]):
    answer = page.get(f"{PLACE}/test-point?{query}")

    assert answer.status_code == 422
    assert answer.context["form"].errors.keys() == fields
    assert all(value in answer.content.decode() for [value] in parse_qs(urlsplit(f"?{query}").query).values())
