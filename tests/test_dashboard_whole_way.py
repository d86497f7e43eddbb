"""The whole way of somebody who has just started the service: sign in, make a key, use it, see its use, replace it."""

import pytest
from playwright.sync_api import Page, expect

from tests.support.cast import Actor
from tests.support.dashboard_browser import Viewport, journey, look_at, on_a_phone
from tests.support.race import call

pytest_plugins = ["tests.support.dashboard_fixtures"]
pytestmark = pytest.mark.django_db(transaction=True)

FENCES = "/api/v1/geofences"
CLIPBOARD = "() => navigator.clipboard.readText()"


def asked(site: str, key: str) -> int:
    """Return the status that a program gets with this key."""
    return call(site, "GET", FENCES, headers={"X-API-KEY": key}).status


def copied(page: Page, button: int = 0) -> str:
    """Return what a press on a copy button puts into the clipboard."""
    page.get_by_role("button", name="Copy", exact=True).nth(button).click()
    expect(page.get_by_role("button", name="Copied", exact=True)).to_be_visible()
    text: str = page.evaluate(CLIPBOARD)
    return text


@on_a_phone
def test_from_the_first_page_to_a_key_that_came_and_went(site: str, viewport: Viewport, alice: Actor):
    def steps(page: Page) -> None:
        come_in(page)
        first = generate(page)
        assert asked(site, first) == asked(site, first) == 200
        see_its_use(page)
        second = rotate(page)
        assert (asked(site, first), asked(site, second)) == (200, 200)
        revoke(page)
        assert (asked(site, first), asked(site, second)) == (200, 401)

    def come_in(page: Page) -> None:
        page.goto("/")
        page.get_by_role("button", name="Sign in").click()
        page.get_by_label("Email address").fill(alice.user.email)
        page.get_by_role("button", name="Continue").click()
        page.get_by_label("Password").fill("correct horse battery staple")
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("API Keys")
        look_at(page)

    journey(site, viewport, steps)


def generate(page: Page) -> str:
    """Return the key that the page shows once, as the copy button gives it."""
    page.get_by_role("button", name="Generate New API Key").first.click()
    page.get_by_label("Name").fill("Delivery tracker")
    page.get_by_role("button", name="Generate the key").click()
    expect(page.get_by_text("you won't see it again")).to_be_visible()
    look_at(page)
    shown = page.locator("#api-key").inner_text().strip()
    assert copied(page) == shown and shown.startswith("sf_")
    assert shown not in page.url
    page.get_by_role("button", name="Copied", exact=True).wait_for(state="detached")
    assert shown in copied(page, 1)
    page.get_by_role("button", name="I have copied it").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Delivery tracker")
    assert shown not in page.content()
    return shown


def see_its_use(page: Page) -> None:
    page.reload()
    expect(page.get_by_text("2 requests").first).to_be_visible()
    look_at(page)


def rotate(page: Page) -> str:
    """Return the successor of the key whose page this is."""
    page.get_by_role("button", name="Rotate").click()
    page.get_by_role("button", name="Rotate").click()
    expect(page.get_by_text("you won't see it again")).to_be_visible()
    shown = page.locator("#api-key").inner_text().strip()
    page.get_by_role("button", name="I have copied it").click()
    return shown


def revoke(page: Page) -> None:
    page.get_by_role("button", name="Revoke").click()
    look_at(page)
    page.get_by_role("button", name="Revoke").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("API Keys")
