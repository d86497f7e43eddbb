"""The map of geofences in a real browser, where it once went wrong: points in a row, what is not finished or too large,
and fences over the antimeridian.
"""

import json

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
