"""The operator's pages in a real browser, from the sign-in with a second factor to a suspension: under our strict
Content-Security-Policy, at a desktop's and at a phone's width.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import call_command
from playwright.sync_api import Page, expect

from accounts.models import User
from tests.support.cast import PASSWORD, Actor
from tests.support.dashboard_browser import Viewport, at_each_width, axe, journey, local
from tests.support.launch import Server, launch
from tests.support.totp import code, enrol, wait_for_an_early_moment

pytestmark = pytest.mark.django_db(transaction=True)
PICTURES = Path(settings.BASE_DIR) / "var" / "screenshots"


@pytest.fixture(scope="module")
def running(database_url: str) -> Iterator[Server]:
    with launch(database_url, workers=1, extra_env={"ADMIN_ENABLED": "true"}) as server:
        yield server


@at_each_width
def test_an_operator_signs_in_searches_and_suspends(
    running: Server, viewport: Viewport, alice: Actor, mallory: Actor
) -> None:
    secret, _ = enrol(mallory)
    call_command("make_operator", mallory.user.email)
    wait_for_an_early_moment(12)
    width = viewport["viewport"]["width"]
    PICTURES.mkdir(parents=True, exist_ok=True)

    def steps(page: Page) -> None:
        page.goto("/operator/")
        page.locator("main input[name=email]").fill(mallory.user.email)
        page.keyboard.press("Enter")
        page.locator("main input[name=password]").fill(PASSWORD)
        page.keyboard.press("Enter")
        page.locator("main input[name=otp]").fill(code(secret))
        page.keyboard.press("Enter")
        page.wait_for_url("**/operator/")
        page.screenshot(path=PICTURES / f"operator-home-{width}.png")
        axe(page)

        page.get_by_role("link", name="Users", exact=True).first.click()
        page.locator("#searchbar").fill("alice")
        page.keyboard.press("Enter")
        expect(page.get_by_role("link", name=alice.user.email)).to_be_visible()
        page.locator("input[name=_selected_action]").check()
        page.locator("select[name=action]").select_option("suspend")
        page.screenshot(path=PICTURES / f"operator-users-{width}.png")
        axe(page)
        page.get_by_role("button", name="Run").or_(page.get_by_role("button", name="Go")).click()
        expect(page.get_by_text(f"{alice.user.email} is suspended.")).to_be_visible()

        page.get_by_role("link", name=alice.user.email).click()
        expect(page.get_by_text("Close")).to_be_visible()
        page.screenshot(path=PICTURES / f"operator-user-{width}.png")
        axe(page)

    journey(local(running), viewport, steps)

    assert not User.objects.get(id=alice.user.id).is_active
