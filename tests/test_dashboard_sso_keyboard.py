"""The guided way to single sign-on with the keyboard alone: whatever it takes is reached by Tab, shows that it is, and
answers to the key that such a thing answers to.
"""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from sso.models import IdentityProvider
from tests.support.cast import Actor
from tests.support.dashboard_browser import DESKTOP, journey, local, sign_in
from tests.support.dns_server import DnsServer, dns_server
from tests.support.launch import launch
from tests.support.pysaml2_idp import pysaml2_idp
from tests.support.real_providers import ALICE, RealProvider
from tests.support.sso_way import is_at, log_in_there, publish_record, tells

pytestmark = pytest.mark.django_db(transaction=True)

MOST_STEPS = 60
FOCUSED = """() => {
    const here = document.activeElement, style = getComputedStyle(here);
    const label = here.labels?.[0]?.textContent ?? here.getAttribute("aria-label") ?? here.textContent;
    const box = here.getBoundingClientRect();
    return {
        name: label.replace(/\\s+/g, " ").trim(),
        is_page: here === document.body,  // the end of the page is behind its last element
        is_marked: style.outlineStyle !== "none" || style.boxShadow !== "none",
        is_on_screen: box.width > 0 && box.bottom > 0 && box.top < innerHeight,
    };
}"""


@pytest.fixture(scope="module")
def dns() -> Iterator[DnsServer]:
    with dns_server() as running:
        yield running


@pytest.fixture(scope="module")
def provider() -> Iterator[RealProvider]:
    with pysaml2_idp() as running:
        yield running


@pytest.fixture(scope="module")
def site(database_url: str, dns: DnsServer) -> Iterator[str]:
    with launch(database_url, workers=1, extra_env={"DNS_RESOLVER": "{}:{}".format(*dns.address)}) as server:
        yield local(server)


def walk_to(page: Page, *names: str) -> None:
    """Press Tab until the focus is on what begins with one of these names; each step of the way has to be seen."""
    for _ in range(MOST_STEPS):
        page.keyboard.press("Tab")
        found = page.evaluate(FOCUSED)
        if found["is_page"]:
            continue
        assert found["is_marked"] and found["is_on_screen"], found
        if found["name"].startswith(names):
            return
    raise AssertionError(f"{names} cannot be reached by Tab on {page.url}")


def press(page: Page, name: str, key: str = "Enter") -> None:
    """Go to a button or link of the page's content, past the navigation, and press it; it leads to another page."""
    page.wait_for_load_state()
    walk_to(page, "Skip to the content")
    page.keyboard.press("Enter")
    walk_to(page, name)
    with page.expect_navigation():
        page.keyboard.press(key)


def write(page: Page, label: str, text: str) -> None:
    walk_to(page, label)
    page.keyboard.insert_text(text)


def connect(page: Page, site: str, provider: RealProvider) -> None:
    press(page, "Show our addresses", "Space")
    press(page, "Another identity provider")
    press(page, "Go on to step 2", "Space")
    page.wait_for_load_state()
    write(page, "Metadata (XML)", provider.metadata().decode())
    walk_to(page, "Save the connection")
    page.keyboard.press("Space")
    tells(page, "The metadata is read and taken over.")
    provider.fetch(f"{site}/api/v1/auth/saml/acme/metadata")


def prove(page: Page, dns: DnsServer) -> None:
    press(page, "Domains", "Space")
    write(page, "Domain", "acme.test")
    page.keyboard.press("Enter")
    is_at(page, "acme.test")
    publish_record(page, dns)
    press(page, "Check the record now", "Space")
    expect(page.locator("h1 .badge")).to_have_text("Proven")
    press(page, "Back to the steps")


def name_attributes(page: Page, provider: RealProvider) -> None:
    press(page, "Settings", "Space")
    write(page, "Email address", provider.attributes["email"])
    write(page, "First name", provider.attributes["first_name"])
    write(page, "Last name", provider.attributes["last_name"])
    page.keyboard.press("Enter")
    tells(page, "The settings are saved.")


def test_the_guided_way_with_the_keyboard_alone(site: str, alice: Actor, dns: DnsServer, provider: RealProvider):
    provider.answer()

    def steps(page: Page) -> None:
        sign_in(page, ALICE.email)
        page.wait_for_load_state()
        walk_to(page, "Single sign-on")
        page.keyboard.press("Enter")
        is_at(page, "Single sign-on")
        connect(page, site, provider)
        prove(page, dns)
        name_attributes(page, provider)
        press(page, "Test", "Space")
        press(page, "Begin the test", "Space")
        log_in_there(page, provider, ALICE)
        is_at(page, "The test passed")
        press(page, "Go on with the steps", "Space")
        press(page, "Switch on", "Space")
        press(page, "Switch it on", "Space")
        tells(page, "The connection is switched on.")
        press(page, "Require", "Space")
        page.wait_for_load_state()
        walk_to(page, "Keep working")
        page.keyboard.press("ArrowDown")
        walk_to(page, "Require it")
        page.keyboard.press("Space")
        page.wait_for_url("**/sign-in*")

    journey(site, DESKTOP, steps)
    connection = IdentityProvider.objects.select_related("workspace").get()
    assert connection.is_enabled and connection.workspace.requires_sso and connection.workspace.refuses_keys_under_sso
