"""The navigation: its places are called as in the documentation, and a phone shows that there are more of them."""

import pytest
from playwright.sync_api import Page, expect

from tests.support.cast import Actor
from tests.support.dashboard_browser import PHONE, Viewport, at_each_width, journey, look_at, sign_in

pytest_plugins = ["tests.support.dashboard_fixtures"]
pytestmark = pytest.mark.django_db(transaction=True)

EDGES = """nav => {
    const style = getComputedStyle(nav);
    return [nav.scrollWidth > nav.clientWidth, style.backgroundAttachment, style.backgroundImage.includes("gradient")];
}"""


@at_each_width
def test_settings_is_where_the_documentation_says(site: str, viewport: Viewport, alice: Actor):
    def steps(page: Page) -> None:
        sign_in(page, alice.user.email)
        navigation = page.get_by_role("navigation", name="Settings")
        expect(navigation.get_by_role("heading", name="Settings", exact=True)).to_be_visible()
        places = navigation.get_by_role("list", name="Settings", exact=True).get_by_role("link")
        names = ["API Keys", "Members", "Single sign-on", "Audit log", "Workspace"]
        assert [name.strip() for name in places.all_inner_texts()] == names
        places.filter(has_text="API Keys").click()
        page.get_by_role("button", name="Generate New API Key").first.click()
        look_at(page)

    journey(site, viewport, steps)


def test_a_strip_on_a_phone_shows_that_it_scrolls(site: str, alice: Actor):
    def steps(page: Page) -> None:
        sign_in(page, alice.user.email)
        is_longer, attachment, is_shaded = page.get_by_role("navigation", name="Settings").evaluate(EDGES)
        assert is_longer and is_shaded
        assert attachment == "local, local, scroll, scroll, scroll"

    journey(site, PHONE, steps)
