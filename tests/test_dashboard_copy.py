"""The copy buttons, in a real browser: what they say where the clipboard takes a text, and where it is refused."""

import pytest
from playwright.sync_api import Page, expect

from tests.support.cast import Actor
from tests.support.dashboard_browser import PHONE, journey, look_at, sign_in
from tests.support.fences import POLYGON, store_fence

pytest_plugins = ["tests.support.dashboard_fixtures"]
pytestmark = pytest.mark.django_db(transaction=True)


def allow_clipboard(page: Page, setting: str) -> None:
    """Let the browser grant or deny what its person would be asked for."""
    developer = page.context.new_cdp_session(page)
    browser = developer.send("Target.getTargetInfo")["targetInfo"]["browserContextId"]
    wish = {"permission": {"name": "clipboard-write"}, "setting": setting, "browserContextId": browser}
    developer.send("Browser.setPermission", wish)


def test_a_refused_copy_is_said_and_the_text_is_selected(site: str, alice: Actor):
    fence = store_fence(alice, "Depot", POLYGON)

    def steps(page: Page) -> None:
        sign_in(page, alice.user.email)
        page.goto(f"/geofences/{fence['id']}")
        page.evaluate("for (const closed of document.querySelectorAll('main details')) closed.open = true")
        button = page.locator("[data-copy]")
        allow_clipboard(page, "denied")
        button.click()
        line = page.locator("[data-told]")
        expect(line).to_contain_text("The browser did not let this page copy.")
        expect(button).to_have_text("Copy")
        assert page.evaluate("getSelection().toString().trim()") == page.locator("#geojson").inner_text().strip()
        look_at(page)
        allow_clipboard(page, "granted")
        button.click()
        expect(button).to_have_text("Copied")
        expect(line).to_have_text("Copied.")
        assert line.get_attribute("class") == "unseen" and line.get_attribute("role") == "status"

    journey(site, PHONE, steps)
