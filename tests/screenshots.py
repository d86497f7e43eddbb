"""Pictures of every page at both widths and in both colour schemes, into var/screenshots: `make screenshots`."""

import shutil
from pathlib import Path

import pytest
from django.conf import settings
from playwright.sync_api import Page

from tests.support.dashboard_browser import DESKTOP, PHONE, SCHEMES, Viewport, journey
from tests.support.dashboard_tour import plan, tour
from tests.support.demo import harbour

pytest_plugins = ["tests.support.dashboard_fixtures"]
pytestmark = pytest.mark.django_db(transaction=True)

FOLDER = settings.BASE_DIR / "var" / "screenshots"
WIDTHS: dict[str, Viewport] = {"desktop": DESKTOP, "phone": PHONE}


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_screenshots(site: str, width: str, scheme: str):
    stops = plan(harbour())
    folder: Path = FOLDER / f"{width}-{scheme}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)

    def steps(page: Page) -> None:
        def look(name: str) -> None:
            page.screenshot(path=folder / f"{name}.png", full_page=True)

        tour(page, site, stops, look)

    journey(site, WIDTHS[width], steps, refusals={404}, color_scheme=scheme, reduced_motion="reduce")
