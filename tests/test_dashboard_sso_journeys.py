"""An owner connects an identity provider that we did not write, in a real browser on a desktop and on a phone: from
nothing to required single sign-on, and on to a second connection and back.
"""

from collections.abc import Iterator

import pytest
from django.conf import settings
from playwright.sync_api import Page, expect

from accounts.models import Workspace, WorkspaceDomain
from sso.models import IdentityProvider
from tests.support.cast import Actor
from tests.support.dashboard_browser import Viewport, journey, local, look_at, on_a_desktop, sign_in
from tests.support.dns_server import DnsServer, dns_server
from tests.support.launch import launch
from tests.support.pysaml2_idp import pysaml2_idp
from tests.support.real_providers import BOB, EVE, RealProvider
from tests.support.sso_history import connected
from tests.support.sso_way import PLACE, claim_domain, is_at, name_attributes, press, publish_record

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(scope="module")
def dns() -> Iterator[DnsServer]:
    with dns_server() as running:
        yield running


@pytest.fixture(scope="module")
def site(database_url: str, dns: DnsServer) -> Iterator[str]:
    """The service at localhost, which asks our DNS; the provider is at 127.0.0.1, another site."""
    environment = {"DNS_RESOLVER": "{}:{}".format(*dns.address), "JWT_ISSUER": settings.PUBLIC_URL}
    with launch(database_url, workers=1, extra_env=environment) as server:
        yield local(server)


@pytest.fixture(scope="module")
def provider() -> Iterator[RealProvider]:
    with pysaml2_idp() as running:
        yield running


def enter_metadata(page: Page, provider: RealProvider) -> None:
    page.get_by_label("Metadata (XML)").fill(provider.metadata().decode())
    look_at(page)
    press(page, "Save the connection")


def choose_metadata(page: Page, provider: RealProvider) -> None:
    file = {"name": "metadata.xml", "mimeType": "application/samlmetadata+xml", "buffer": provider.metadata()}
    page.get_by_label("Metadata file").set_input_files(files=[file])
    press(page, "Save the connection")


def prove(page: Page, dns: DnsServer) -> None:
    press(page, "Domains")
    claim_domain(page, "acme.test")
    press(page, "Check the record now")
    expect(page.get_by_text("There is no TXT record of this name yet.")).to_be_visible()
    look_at(page)
    publish_record(page, dns)
    press(page, "Check the record now")
    expect(page.locator("h1 .badge")).to_have_text("Proven")
    page.get_by_role("link", name="Back to the steps").click()


def try_it(page: Page, provider: RealProvider, person: object) -> None:
    press(page, "Begin the test")
    provider.log_in(page, person)
    page.wait_for_url(f"**{PLACE}/attempts/*")
    look_at(page)


def connect(page: Page, site: str, provider: RealProvider) -> None:
    """Tell the provider about us, and us about the provider."""
    page.get_by_role("link", name="Single sign-on").click()
    look_at(page)
    press(page, "Show our addresses")
    page.get_by_role("link", name="Another identity provider").click()
    press(page, "Copy Entity ID")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == f"{site}/api/v1/auth/saml/acme/metadata"
    look_at(page)
    press(page, "Go on to step 2")
    enter_metadata(page, provider)
    expect(page.locator("h1 .badge")).to_have_text("Off")
    provider.fetch(copied)


def try_until_it_passes(page: Page, provider: RealProvider) -> None:
    press(page, "Test")
    try_it(page, provider, EVE)
    is_at(page, "The test failed")
    expect(page.get_by_text("eve@elsewhere.test").first).to_be_visible()
    press(page, "Test again")
    page.context.clear_cookies(domain="127.0.0.1")  # who she is at the provider
    try_it(page, provider, BOB)
    is_at(page, "The test passed")
    press(page, "Go on with the steps")


@on_a_desktop
def test_an_owner_goes_the_whole_way(
    site: str, viewport: Viewport, alice: Actor, bob: Actor, dns: DnsServer, provider: RealProvider
):
    provider.answer()
    dns.records.clear()

    def steps(page: Page) -> None:
        sign_in(page, alice.user.email)
        connect(page, site, provider)
        prove(page, dns)
        press(page, "Settings")
        name_attributes(page, provider)
        look_at(page)
        press(page, "Save the settings")
        try_until_it_passes(page, provider)
        press(page, "Switch on")
        press(page, "Switch it on")
        expect(page.locator("h1 .badge")).to_have_text("On")
        press(page, "Require")
        look_at(page)
        press(page, "Require it")
        page.wait_for_url("**/sign-in*")  # her own sign-in by password ended with it
        expect(page.get_by_text("Single sign-on is required from now on.")).to_be_visible()

    journey(site, viewport, steps)
    connection = IdentityProvider.objects.get()
    assert connection.is_enabled and connection.tested_at is not None
    assert Workspace.objects.get(slug="acme").requires_sso and WorkspaceDomain.objects.proven().count() == 1


@on_a_desktop
def test_a_second_connection_is_tested_swapped_and_rolled_back(
    site: str, viewport: Viewport, alice: Actor, bob: Actor, provider: RealProvider
):
    provider.answer()
    connected(alice)
    IdentityProvider.objects.filter(state="staged").delete()

    def steps(page: Page) -> None:
        sign_in(page, alice.user.email)
        page.goto(f"{PLACE}/staged")
        look_at(page)
        press(page, "Enter metadata")
        choose_metadata(page, provider)
        provider.fetch(f"{site}/api/v1/auth/saml/acme/metadata")
        press(page, "Settings")
        name_attributes(page, provider)
        look_at(page)
        press(page, "Save the settings")
        press(page, "Test")
        try_it(page, provider, BOB)
        is_at(page, "The test passed")
        press(page, "Go on")
        look_at(page)
        press(page, "Swap")
        press(page, "Swap now")
        expect(page.get_by_text("The second connection serves now.")).to_be_visible()
        press(page, "Roll back")
        press(page, "Roll back")
        expect(page.get_by_text("The former connection serves again.")).to_be_visible()
        look_at(page)

    journey(site, viewport, steps)
    assert IdentityProvider.objects.get(state="former").entity_id == f"{provider}/entity"
