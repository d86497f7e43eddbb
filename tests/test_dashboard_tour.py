"""Every page in a real browser, on a desktop and on a phone, with a month of history: accessible, fitting, silent."""

import time

import pytest
from playwright.sync_api import Page

from tests.support.dashboard_browser import Viewport, at_each_width, journey, look_at, transferred
from tests.support.dashboard_tour import plan, tour
from tests.support.demo import harbour

pytest_plugins = ["tests.support.dashboard_fixtures"]
pytestmark = pytest.mark.django_db(transaction=True)


@at_each_width
def test_every_page_can_be_read_by_everybody(site: str, viewport: Viewport):
    stops = plan(harbour())

    def steps(page: Page) -> None:
        def look(name: str) -> None:
            page.evaluate("for (const closed of document.querySelectorAll('main details')) closed.open = true")
            weight = sum(transferred(page).values())
            began = time.perf_counter()
            look_at(page)
            print(f"{name}: {weight} bytes, judged in {time.perf_counter() - began:.1f} s")

        tour(page, site, stops, look)

    journey(site, viewport, steps, refusals={404})
