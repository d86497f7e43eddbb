"""The map of geofences in a real browser, where it once went wrong: points in a row, what is not finished or too large,
and fences over the antimeridian.
"""

import json
import re

import pytest
import shapely
from playwright.sync_api import Page, expect

from geofences.models import Geofence
from tests.support.cast import Actor
from tests.support.dashboard_browser import DESKTOP, journey, sign_in
from tests.support.fences import POLYGON, store_fence

pytest_plugins = ["tests.support.dashboard_fixtures"]
pytestmark = pytest.mark.django_db(transaction=True)

PLACE = "/geofences"
CORNERS = [(80, 80), (220, 70), (240, 200), (90, 210)]


EAST_OF_FIJI = {"type": "Circle", "center": [-178, -17], "radius_meters": 100_000}
SQUARE = {"type": "Polygon", "coordinates": [[[8.7, 47.4], [8.8, 47.4], [8.8, 47.5], [8.7, 47.5], [8.7, 47.4]]]}
CUT = {
    "type": "MultiPolygon",
    "coordinates": [
        [[[179, -18], [180, -18], [180, -16], [179, -16], [179, -18]]],
        [[[-180, -18], [-179, -18], [-179, -16], [-180, -16], [-180, -18]]],
    ],
}

HAS_LINE = """([latitude, longitude]) => [...document.querySelectorAll("path.fence")].some((path) =>
    getComputedStyle(path).stroke !== "none" && [-360, 0, 360].some((turn) => {
        const {x, y} = map.latLngToLayerPoint([latitude, longitude + turn]);
        return path.isPointInStroke(new DOMPoint(x, y));
    }))"""


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def press_corners(page: Page) -> None:
    for x, y in CORNERS:
        page.locator("#map").click(position={"x": x, "y": y})


def test_points_are_tested_one_after_the_other(site: str, alice: Actor):
    store_fence(alice, "Depot", POLYGON)

    def steps(page: Page) -> None:
        sign_in(page, alice.user.email)
        page.goto(PLACE)
        for latitude, said in (("47.31", "47.31, 8.55 lies in 1 of 1"), ("40", "40.0, 8.55 lies in 0 of 1")):
            page.get_by_label("Latitude").fill(latitude)
            page.get_by_label("Longitude").fill("8.55")
            press(page, "Test this point")
            expect(page.locator("#point-result")).to_contain_text(said)

    journey(site, DESKTOP, steps)


def test_nothing_is_saved_before_a_shape_is_finished(site: str, alice: Actor):
    fence = store_fence(alice, "Depot", POLYGON)

    def steps(page: Page) -> None:
        sign_in(page, alice.user.email)
        page.goto(f"{PLACE}/{fence['id']}/edit")
        press(page, "Draw a polygon")
        press_corners(page)
        press(page, "Save changes")
        expect(page.get_by_text("This shape is not finished.")).to_be_in_viewport()
        press(page, "Finish")
        press(page, "Save changes")
        expect(page.get_by_text("Your changes are saved.")).to_be_visible()

    journey(site, DESKTOP, steps)
    assert Geofence.objects.get().geometry != POLYGON


def test_a_paste_that_no_form_takes_is_said_to_be_too_large(site: str, alice: Actor):
    def steps(page: Page) -> None:
        sign_in(page, alice.user.email)
        page.goto(f"{PLACE}/new")
        page.get_by_label("Name").fill("Coast")
        page.locator("#id_geometry").evaluate("(field) => { field.value = ' '.repeat(3 * 2 ** 20); }")
        press(page, "Make the geofence")
        expect(page.get_by_text("This holds 3.0 MB, and a form takes 1 MB.")).to_be_in_viewport()
        page.locator("#id_geometry").fill(json.dumps(POLYGON))
        press(page, "Make the geofence")
        expect(page.get_by_role("heading", level=1)).to_contain_text("Coast")

    journey(site, DESKTOP, steps)


def test_a_fence_is_drawn_over_the_antimeridian(site: str, alice: Actor):
    def steps(page: Page) -> None:
        sign_in(page, alice.user.email)
        page.goto(f"{PLACE}/new")
        page.evaluate("map.setView([-17, -180], 4, { animate: false })")
        press(page, "Draw a polygon")
        size = page.locator("#map").bounding_box()
        assert size
        for right, down in ((-60, -40), (60, -40), (60, 40), (-60, 40)):
            page.locator("#map").click(position={"x": size["width"] / 2 + right, "y": size["height"] / 2 + down})
        press(page, "Finish")
        expect(page.get_by_text("It goes over the antimeridian")).to_be_visible()
        page.get_by_label("Name").fill("Fiji")
        press(page, "Make the geofence")
        expect(page.get_by_role("heading", level=1)).to_contain_text("Fiji")
        expect(page.get_by_text("2 polygons, 8 corners")).to_be_visible()
        for longitude in ("179", "-179"):
            page.goto(f"{PLACE}/test-point?lat=-17&lng={longitude}")
            expect(page.get_by_text("lies in 1 of 1 active fence")).to_be_visible()

    journey(site, DESKTOP, steps)
    west, _, east, _ = shapely.geometry.shape(Geofence.objects.get().geometry).bounds
    assert (west, east) == (-180, 180)


def press_beside_the_middle(page: Page, *places: tuple[int, int]) -> None:
    size = page.locator("#map").bounding_box()
    assert size
    for right, down in places:
        page.locator("#map").click(position={"x": size["width"] / 2 + right, "y": size["height"] / 2 + down})


@pytest.mark.parametrize(("middle", "written"), [(182, -178), (-182, 178), (178, 178), (542, -178)])
def test_a_circle_is_drawn_however_far_around_the_world(site: str, alice: Actor, middle: int, written: int):
    def steps(page: Page) -> None:
        sign_in(page, alice.user.email)
        page.goto(f"{PLACE}/new")
        page.evaluate("(longitude) => map.setView([-17, longitude], 7, { animate: false })", middle)
        press(page, "Draw a circle")
        press_beside_the_middle(page, (0, 0), (50, 0))
        expect(page.get_by_label("Radius in metres")).not_to_be_empty()
        assert abs(float(page.get_by_label("Longitude").input_value()) - written) < 0.1
        expect(page.locator("path.fence.chosen")).to_be_in_viewport()
        assert abs(page.evaluate("map.getCenter().lng") - middle) < 1, "the map went to another copy of the world"
        page.get_by_label("Name").fill("Reef")
        press(page, "Make the geofence")
        expect(page.get_by_role("heading", level=1)).to_contain_text("Reef")

    journey(site, DESKTOP, steps)
    assert abs(Geofence.objects.get().geometry["center"][0] - written) < 0.1


def widths_of_what_is_drawn(page: Page) -> list[float]:
    expect(page.locator("path.fence").first).to_be_in_viewport()
    return [path.bounding_box()["width"] for path in page.locator("path.fence:not(.outline)").all()]  # type: ignore[index]


@pytest.mark.parametrize("leaf", ["", "/{id}", "/{id}/edit", "/new", "/test-point", "/test-point?lat=-17&lng=-179.5"])
def test_a_fence_over_the_antimeridian_is_seen_in_one_piece(site: str, alice: Actor, leaf: str):
    fence = store_fence(alice, "Taveuni", CUT)

    def steps(page: Page) -> tuple[list[float], float, list[bool]]:
        sign_in(page, alice.user.email)
        page.goto(f"{PLACE}{leaf.format(id=fence['id'])}")
        widths = widths_of_what_is_drawn(page)
        lines = [page.evaluate(HAS_LINE, position) for position in ([-17, 180], [-18, 179.5], [-17, 179], [-17, -179])]
        return widths, page.evaluate("map.getBounds().getEast() - map.getBounds().getWest()"), lines

    widths, degrees, lines = journey(site, DESKTOP, steps)
    assert min(widths) > 60 and degrees < 30
    assert lines == [False, True, True, True]  # borders all around, and no seam


def test_fences_on_both_sides_of_the_antimeridian_are_seen_together(site: str, alice: Actor):
    for name, geometry in (("Taveuni", CUT), ("East", EAST_OF_FIJI)):
        store_fence(alice, name, geometry)

    def steps(page: Page) -> tuple[list[float], float]:
        sign_in(page, alice.user.email)
        page.goto(PLACE)
        widths = widths_of_what_is_drawn(page)
        return widths, page.evaluate("map.getBounds().getEast() - map.getBounds().getWest()")

    widths, degrees = journey(site, DESKTOP, steps)
    assert len(widths) == 2 and min(widths) > 60 and degrees < 30
    store_fence(alice, "Depot", POLYGON)  # far from the others: all of them fit, and none is torn apart
    _, degrees = journey(site, DESKTOP, steps)
    assert 170 < degrees < 360


def test_a_half_of_a_fence_over_the_antimeridian_is_moved_and_stays_there(site: str, alice: Actor):
    fence = store_fence(alice, "Taveuni", CUT)

    def steps(page: Page) -> None:
        sign_in(page, alice.user.email)
        page.goto(f"{PLACE}/{fence['id']}/edit")
        expect(page.get_by_text("Drag a corner to move it")).to_be_visible()
        corner = page.locator(".handle.corner").nth(5)  # [-179, -18]
        corner.scroll_into_view_if_needed()
        box = corner.bounding_box()
        assert box
        page.mouse.move(box["x"] + 10, box["y"] + 10)
        page.mouse.down()
        page.mouse.move(box["x"] + 40, box["y"] + 10, steps=4)
        page.mouse.up()
        press(page, "Save changes")
        expect(page.get_by_text("Your changes are saved.")).to_be_visible()

    journey(site, DESKTOP, steps)
    first, second = Geofence.objects.get().geometry["coordinates"]
    assert first == CUT["coordinates"][0]
    assert -179 < second[0][1][0] < -178 and second[0][0] == [-180, -18]


def test_a_point_is_picked_among_the_fences_and_the_map_stays(site: str, alice: Actor):
    for name, geometry in (("Depot", POLYGON), ("Yard", SQUARE)):
        store_fence(alice, name, geometry)

    def steps(page: Page) -> None:
        sign_in(page, alice.user.email)
        page.goto(f"{PLACE}/test-point")
        expect(page.locator("path.fence")).to_have_count(2)
        page.locator("path.fence").first.dispatch_event("mouseover")
        expect(page.locator(".leaflet-tooltip")).to_have_text("Yard")
        page.locator("path.fence").first.dispatch_event("mouseout")
        seen = page.evaluate("map.getBounds().toBBoxString()")
        press(page, "Pick on the map")
        page.locator("#map").click(position={"x": 60, "y": 60})
        expect(page.locator("#point-result")).to_contain_text("lies in 0 of 2 active fences")
        expect(page.locator("path.spot")).to_be_in_viewport()
        assert page.evaluate("map.getBounds().toBBoxString()") == seen
        page.get_by_label("Latitude").fill("47.31")
        page.get_by_label("Longitude").fill("8.55")
        press(page, "Test the point")
        expect(page.locator("#point-result")).to_contain_text("lies in 1 of 2")
        expect(page.locator("path.fence.chosen")).to_have_count(1)
        assert page.evaluate("map.getBounds().toBBoxString()") == seen
        zoom = page.evaluate("map.getZoom()")
        page.get_by_label("Latitude").fill("-30")
        press(page, "Test the point")
        expect(page.locator("#point-result")).to_contain_text("lies in 0 of 2")
        for _ in range(50):  # the page's policy forbids the browser's own waiting for a condition
            if in_sight := page.evaluate("map.getBounds().contains([-30, 8.55])"):
                break
            page.wait_for_timeout(100)
        assert in_sight
        assert page.evaluate("map.getZoom()") == zoom

    journey(site, DESKTOP, steps, reduced_motion="reduce")


@pytest.mark.parametrize(("latitude", "held"), [("46", 0), ("-30", 0), ("47.31", 1)])
def test_a_result_that_is_opened_stands_beside_the_fences(site: str, alice: Actor, latitude: str, held: int):
    store_fence(alice, "Depot", POLYGON)

    def steps(page: Page) -> None:
        sign_in(page, alice.user.email)
        page.goto(f"{PLACE}/test-point?lat={latitude}&lng=8.55")
        expect(page.locator("#point-result")).to_contain_text(f"lies in {held} of 1")
        expect(page.locator("path.spot")).to_be_in_viewport()
        expect(page.locator("path.fence").first).to_be_in_viewport()
        expect(page.locator("path.fence.chosen")).to_have_count(held)

    journey(site, DESKTOP, steps)


@pytest.mark.parametrize(("leaf", "button"), [("", "Test this point"), ("/test-point", "Test the point")])
def test_a_tested_point_stands_in_the_address(site: str, alice: Actor, leaf: str, button: str):
    store_fence(alice, "Depot", POLYGON)

    def test(page: Page, latitude: str, said: str) -> None:
        page.get_by_label("Latitude").fill(latitude)
        page.get_by_label("Longitude").fill("8.55")
        press(page, button)
        expect(page.locator("#point-result")).to_contain_text(said)

    def steps(page: Page) -> None:
        sign_in(page, alice.user.email)
        page.goto(f"{PLACE}{leaf}")
        test(page, "47.31", "lies in 1 of 1")
        expect(page).to_have_url(re.compile(r"/geofences/test-point\?lat=47\.31&lng=8\.55$"))
        test(page, "40", "lies in 0 of 1")
        expect(page).to_have_url(re.compile(r"/geofences/test-point\?lat=40&lng=8\.55$"))
        page.go_back()
        expect(page.locator("#point-result")).to_contain_text("47.31, 8.55 lies in 1 of 1")
        expect(page.get_by_label("Latitude")).to_have_value("47.31")
        page.go_back()
        expect(page).to_have_url(re.compile(f"{PLACE}{leaf}$"))
        expect(page.locator("#point-result")).to_be_empty()
        page.go_forward()
        expect(page.locator("#point-result")).to_contain_text("47.31, 8.55 lies in 1 of 1")

    journey(site, DESKTOP, steps)


def test_a_zoom_button_at_its_end_is_dark_in_the_dark(site: str, alice: Actor):
    store_fence(alice, "Depot", POLYGON)

    def steps(page: Page) -> None:
        sign_in(page, alice.user.email)
        page.goto(PLACE)
        page.evaluate("map.setZoom(map.getMaxZoom(), { animate: false })")
        ended = page.locator(".leaflet-control-zoom-in.leaflet-disabled")
        ground = page.locator("#map").evaluate("(map) => getComputedStyle(map).backgroundColor")
        expect(ended).to_have_css("background-color", ground)

    journey(site, DESKTOP, steps, color_scheme="dark")
