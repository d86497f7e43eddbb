"""What people do with geofences in a real browser: draw, move and describe one, find it on the map, test points."""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from django.contrib.staticfiles import finders
from playwright.sync_api import Page, expect

from geofences.models import Geofence
from tests.support.cast import Actor
from tests.support.dashboard_browser import DESKTOP, Viewport, at_each_width, journey, local, look_at, sign_in
from tests.support.fences import CIRCLE, POLYGON, store_fence
from tests.support.launch import launch

pytest_plugins = ["tests.support.dashboard_fixtures"]
pytestmark = pytest.mark.django_db(transaction=True)

PLACE = "/geofences"
CORNERS = [(80, 80), (220, 70), (240, 200), (90, 210)]


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def is_at(page: Page, heading: str) -> None:
    expect(page.get_by_role("heading", level=1)).to_contain_text(heading)


def press_map(page: Page, x: int, y: int) -> None:
    page.locator("#map").click(position={"x": x, "y": y})


def drag(page: Page, selector: str, right: int, down: int) -> None:
    page.locator(selector).scroll_into_view_if_needed()
    box = page.locator(selector).bounding_box()
    assert box
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + right, y + down, steps=4)
    page.mouse.up()


def drawn(page: Page) -> Any:
    return json.loads(page.locator("#id_geometry").input_value())


def corners(page: Page) -> list[list[float]]:
    [ring] = drawn(page)["coordinates"]
    assert ring[0] == ring[-1]
    return list(ring[:-1])


@at_each_width
def test_a_fence_is_drawn_moved_and_described(site: str, viewport: Viewport, alice: Actor):
    def steps(page: Page) -> None:
        sign_in(page, alice.user.email)
        page.goto(PLACE)
        page.get_by_role("button", name="New geofence").first.click()
        press(page, "Draw a polygon")
        for place in [*CORNERS, (120, 150)]:
            press_map(page, *place)
        press(page, "Undo")
        look_at(page)
        press(page, "Finish")
        assert len(corners(page)) == 4
        expect(page.locator("path.fence")).to_have_count(1)
        page.get_by_label("Name").fill("Harbour")
        page.get_by_label("Group").fill("Yards")
        press(page, "Make the geofence")
        is_at(page, "Harbour")
        expect(page.locator("path.fence")).to_be_visible()
        look_at(page)
        page.get_by_role("button", name="Edit").click()
        reshape(page)
        look_at(page)
        press(page, "Save changes")
        expect(page.get_by_text("Polygon, 4 corners")).to_be_visible()

    def reshape(page: Page) -> None:
        before = corners(page)
        drag(page, ".handle.corner >> nth=0", 12, -8)
        assert corners(page)[0] != before[0] and corners(page)[1:] == before[1:]
        drag(page, ".handle.between >> nth=1", 15, 0)
        assert len(corners(page)) == 5 and corners(page)[3:] == before[2:]
        page.locator(".handle.corner >> nth=4").dblclick()
        assert len(corners(page)) == 4

    journey(site, viewport, steps)
    fence = Geofence.objects.get()
    assert (fence.name, fence.group_name, len(fence.geometry["coordinates"][0])) == ("Harbour", "Yards", 5)


def test_a_circle_is_drawn_and_its_numbers_are_the_map(site: str, alice: Actor):
    store_fence(alice, "Depot", POLYGON)

    def steps(page: Page) -> None:
        sign_in(page, alice.user.email)
        page.goto(f"{PLACE}/new")
        press(page, "Draw a circle")
        press_map(page, 100, 100)
        page.keyboard.press("Escape")
        expect(page.get_by_text("Draw the fence here")).to_be_visible()
        press(page, "Draw a circle")
        press_map(page, 200, 200)
        press_map(page, 260, 200)
        radius = page.get_by_label("Radius in metres")
        before = float(radius.input_value())
        drag(page, ".handle.corner >> nth=0", 40, 0)
        assert float(radius.input_value()) > 1.3 * before
        radius.fill("1250")
        page.get_by_label("Name").fill("Round")
        look_at(page)
        press(page, "Make the geofence")
        expect(page.get_by_text("Circle, 1,250 m radius")).to_be_visible()

    journey(site, DESKTOP, steps)
    made = Geofence.objects.get(name="Round").geometry
    assert 8.4 < made["center"][0] < 8.7 and 47.2 < made["center"][1] < 47.5


@at_each_width
def test_a_fence_is_found_on_the_map_and_points_are_tested(site: str, viewport: Viewport, alice: Actor):
    for name, geometry in (('<img src="/x">Depot', POLYGON), ("Station", CIRCLE)):
        store_fence(alice, name, geometry)

    def steps(page: Page) -> None:
        sign_in(page, alice.user.email)
        page.goto(PLACE)
        expect(page.locator("path.fence")).to_have_count(2)
        page.locator("path.fence").last.dispatch_event("mouseover")
        expect(page.locator(".leaflet-tooltip")).to_have_text('<img src="/x">Depot')
        page.locator("path.fence").last.dispatch_event("mouseout")
        page.get_by_role("button", name="Show Station on the map").click()
        expect(page.locator("path.fence.chosen")).to_have_count(1)
        expect(page.locator("tr.chosen")).to_contain_text("Station")
        look_at(page)
        press(page, "Pick on the map")
        size = page.locator("#map").bounding_box()
        assert size
        press_map(page, int(size["width"] / 2), int(size["height"] / 2))
        expect(page.get_by_text(re.compile("lies in 1 of 2 active fences"))).to_be_visible()
        expect(page.locator("#point-result li")).to_contain_text("Station")
        expect(page.locator("path.spot")).to_be_visible()
        look_at(page)
        page.get_by_label("Latitude").fill("47.31")
        page.get_by_label("Longitude").fill("8.55")
        page.keyboard.press("Enter")
        expect(page.locator("#point-result li")).to_contain_text("Depot")
        assert page.url.endswith(f"{PLACE}/test-point?lat=47.31&lng=8.55")
        page.get_by_label("Name contains").fill("dep")
        press(page, "Filter")
        expect(page.locator("tbody tr")).to_have_count(1)

    journey(site, viewport, steps)


def test_all_of_it_works_without_scripts(site: str, alice: Actor):
    def steps(page: Page) -> None:
        sign_in(page, alice.user.email)
        page.goto(f"{PLACE}/new")
        page.get_by_label("Name").fill("By hand")
        page.locator("#id_geometry").fill('{"type": "Polygon"')
        press(page, "Make the geofence")
        expect(page.get_by_text("This is not valid JSON.")).to_be_visible()
        page.locator("#id_geometry").fill(json.dumps(POLYGON))
        press(page, "Make the geofence")
        is_at(page, "By hand")
        page.get_by_role("button", name="Edit").click()
        page.get_by_label("Circle, by centre and radius").check()
        for label, text in (("Latitude", "47.3"), ("Longitude", "8.5"), ("Radius in metres", "300")):
            page.get_by_label(label).fill(text)
        press(page, "Save changes")
        expect(page.get_by_text("Circle, 300 m radius")).to_be_visible()
        for act in ("Archive", "Unarchive", "Delete", "Restore"):
            page.get_by_role("button", name=act, exact=True).click()
            press(page, f"{act} geofence")
            is_at(page, "By hand")
        page.goto(PLACE)
        page.get_by_label("Latitude").fill("47.3")
        page.get_by_label("Longitude").fill("8.5")
        press(page, "Test this point")
        expect(page.get_by_role("link", name="By hand")).to_be_visible()
        expect(page.get_by_text("The map needs JavaScript.")).to_be_visible()

    journey(site, DESKTOP, steps, refusals=[422], java_script_enabled=False)
    assert Geofence.objects.get().geometry["radius_meters"] == 300


@contextmanager
def tile_server() -> Iterator[tuple[str, list[str]]]:
    """Yield the address of a server of tiles, and the paths that it is asked for."""
    asked: list[str] = []
    picture = Path(finders.find("vendor/leaflet/images/layers.png")).read_bytes()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.send_header("Content-Type", "image/png")
            self.end_headers()
            self.wfile.write(picture)

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=[0.005], daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/{{z}}/{{x}}/{{y}}.png", asked
    finally:
        server.shutdown()
        server.server_close()


def test_tiles_of_the_operator_lie_under_the_fences(database_url: str, alice: Actor):
    store_fence(alice)

    def steps(page: Page) -> None:
        sign_in(page, alice.user.email)
        page.goto(PLACE)
        expect(page.locator("img.leaflet-tile-loaded").first).to_be_visible()
        expect(page.get_by_text("© Somebody & <b>")).to_be_visible()
        look_at(page)

    with tile_server() as (tiles, asked):
        more = {"MAP_TILE_URL": tiles, "MAP_TILE_ATTRIBUTION": "© Somebody & <b>"}
        with launch(database_url, workers=1, extra_env=more) as server:
            journey(local(server), DESKTOP, steps)
    assert asked and all(re.fullmatch(r"/\d+/\d+/\d+\.png", path) for path in asked)
