"""The whole way of a workspace with its identity provider, in a real browser: an owner connects it from nothing,
members sign in by it, its certificate changes, it breaks, and the owner repairs it.

The provider is Debian's SimpleSAMLphp, at 127.0.0.1 and so another site than the service at localhost. Its metadata is
read by TLS from a site of our own, which passes on what it says at that moment.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import Page, expect

from accounts.models import Workspace
from sso.models import IdentityProvider
from tests.support.cast import Actor
from tests.support.dashboard_browser import (
    DESKTOP,
    PHONE,
    Viewport,
    another_browser,
    fits,
    journey,
    local,
    look_at,
    sign_in,
)
from tests.support.dns_server import DnsServer, dns_server
from tests.support.launch import launch
from tests.support.mails import mail_files
from tests.support.real_providers import ALICE, BOB, RealProvider
from tests.support.simplesamlphp import simplesamlphp
from tests.support.sso_way import (
    PLACE,
    ask_for_a_recovery_link,
    claim_domain,
    come_in,
    follow_the_mailed_link,
    is_at,
    is_in,
    log_in_there,
    name_attributes,
    press,
    publish_record,
    sign_out,
    tells,
)
from tests.support.tls_site import Site, respond, tls_site

pytestmark = pytest.mark.django_db(transaction=True)


@dataclass
class Scene:
    """The service, and what stands around it: the provider, where its metadata is read, the DNS."""

    site: str
    provider: RealProvider
    metadata: Site
    dns: DnsServer


@pytest.fixture(scope="module")
def running(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with (
        simplesamlphp() as provider,
        tls_site(tmp_path_factory.mktemp("tls")) as metadata,
        dns_server() as dns,
    ):
        metadata.answer = lambda handler: respond(handler, provider.metadata())
        environment = {"DNS_RESOLVER": "{}:{}".format(*dns.address), "SSL_CERT_FILE": str(metadata.authority)}
        environment |= {"IDENTITY_PROVIDER_NETWORKS": "127.0.0.0/8,::1/128"}
        with launch(database_url, workers=1, extra_env=environment) as server:
            yield Scene(local(server), provider, metadata, dns)


@pytest.fixture
def scene(running: Scene, alice: Actor, bob: Actor) -> Scene:
    """The scene at its beginning: Alice owns acme, Bob is a member, nothing is connected."""
    running.provider.answer()
    running.dns.records.clear()
    for sent in mail_files():
        sent.unlink()
    return running


def connect(page: Page, scene: Scene) -> None:
    """From nothing to a connection that is named, proven and tested."""
    page.get_by_role("navigation", name="Settings").get_by_role("link", name="Single sign-on").click()
    press(page, "Show our addresses")
    page.get_by_role("link", name="Another identity provider").click()
    press(page, "Go on to step 2")
    page.get_by_label("Address of the metadata").fill(scene.metadata.url())
    press(page, "Save the connection")
    tells(page, "The metadata is read and taken over.")
    scene.provider.fetch(f"{scene.site}/api/v1/auth/saml/acme/metadata")
    press(page, "Domains")
    claim_domain(page, "acme.test")
    publish_record(page, scene.dns)
    press(page, "Check the record now")
    expect(page.locator("h1 .badge")).to_have_text("Proven")
    page.get_by_role("link", name="Back to the steps").click()
    press(page, "Settings")
    name_attributes(page, scene.provider)
    press(page, "Save the settings")


def require(page: Page, scene: Scene) -> None:
    """Test it, switch it on and require it, which ends the owner's own sign-in by password."""
    press(page, "Test")
    press(page, "Begin the test")
    log_in_there(page, scene.provider, ALICE)
    is_at(page, "The test passed")
    press(page, "Go on with the steps")
    press(page, "Switch on")
    press(page, "Switch it on")
    press(page, "Require")
    press(page, "Require it")
    page.wait_for_url("**/sign-in*")
    expect(page.get_by_text("Single sign-on is required from now on.")).to_be_visible()


def read_metadata_again(page: Page, said: str) -> None:
    page.goto(PLACE)
    press(page, "Read metadata again")
    press(page, "Read it now")
    tells(page, said)


def locked_out(page: Page, scene: Scene) -> None:
    """The provider signs with a key that nobody was told of; the owner gets in by a mailed link."""
    scene.provider.answer(signing_key="untold")
    come_in(page, scene.provider, ALICE)
    expect(page.get_by_role("alert")).to_contain_text("was not accepted")
    expect(page.get_by_text("Reference:")).to_be_visible()
    ask_for_a_recovery_link(page, ALICE)
    follow_the_mailed_link(page, ALICE)
    press(page, "Sign in for an hour")
    page.wait_for_url("**/sso-recovery/repair")


def roll_over(page: Page, bobs: Page, scene: Scene) -> None:
    """The provider announces its next certificate, signs with it, and forgets the former one."""
    scene.provider.answer(announces_next_key=True)
    read_metadata_again(page, "The metadata is read and taken over.")
    scene.provider.answer(signing_key="next")
    sign_out(bobs, BOB)
    assert come_in(bobs, scene.provider, BOB)  # signing out here counts there, too
    is_in(bobs, BOB)
    read_metadata_again(page, "nothing has changed")
    page.goto(f"{PLACE}/connection/certificates")
    expect(page.get_by_role("heading", name="idp.test")).to_have_count(2)
    look_at(page)


def repair(page: Page, scene: Scene) -> None:
    """Find the refusal, take over the provider's present certificate, take away the former ones, and test it."""
    press(page, "Refused sign-ins")
    page.locator("tbody a").first.click()
    expect(page.locator("h1 .badge")).to_have_text("Signature")
    page.get_by_role("link", name="Go there").click()
    is_at(page, "Certificates")
    read_metadata_again(page, "The metadata is read and taken over.")
    page.goto(f"{PLACE}/connection/certificates")
    for _ in range(2):
        press(page, "Remove the certificate 1")
        tells(page, "The certificate counts no more.")
    expect(page.get_by_role("heading", name="untold.idp.test")).to_have_count(1)
    page.goto(f"{PLACE}/connection/test")
    press(page, "Begin the test")
    is_at(page, "The test passed")  # the provider still knows her


def test_from_nothing_to_a_repaired_connection(scene: Scene):
    def steps(page: Page) -> None:
        sign_in(page, ALICE.email)
        connect(page, scene)
        require(page, scene)
        assert not come_in(page, scene.provider, ALICE)  # who she is there, it knows since the test
        is_in(page, ALICE)
        with another_browser(page, scene.site, DESKTOP, refusals={400}) as bobs:
            come_in(bobs, scene.provider, BOB)
            is_in(bobs, BOB)
            look_at(bobs)
            roll_over(page, bobs, scene)
            sign_out(page, ALICE)
            locked_out(page, scene)
            look_at(page)
            repair(page, scene)
            sign_out(page, ALICE)
            come_in(page, scene.provider, ALICE)
            is_in(page, ALICE)
            sign_out(bobs, BOB)
            scene.provider.answer(signing_key="first")
            come_in(bobs, scene.provider, BOB)
            expect(bobs.get_by_role("alert")).to_contain_text("was not accepted")

    journey(scene.site, DESKTOP, steps, refusals={400})
    assert Workspace.objects.get(slug="acme").requires_sso
    assert len(IdentityProvider.objects.get().certificates) == 1


@pytest.mark.parametrize(
    ("viewport", "has_scripts"), [(DESKTOP, False), (PHONE, True)], ids=["without scripts", "on a phone without htmx"]
)
def test_connected_required_locked_out_and_lifted(scene: Scene, viewport: Viewport, has_scripts: bool):
    def steps(page: Page) -> None:
        page.route(re.compile("/htmx"), lambda route: route.abort("aborted"))
        sign_in(page, ALICE.email)
        if has_scripts:
            assert page.evaluate("() => typeof htmx") == "undefined"
        page.goto(f"{PLACE}/provider")
        expect(page.locator("[data-copy]").first).to_be_visible(visible=has_scripts)  # without, it would do nothing
        connect(page, scene)
        require(page, scene)
        come_in(page, scene.provider, ALICE)
        is_in(page, ALICE)
        page.goto(PLACE)
        expect(page.locator("h1 .badge")).to_have_text("Required")
        sign_out(page, ALICE)
        locked_out(page, scene)
        fits(page)
        press(page, "Stop requiring single sign-on")
        tells(page, "not required any more")
        page.locator("main").get_by_role("button", name="Sign out").click()
        tells(page, "You are signed out.")
        sign_in(page, ALICE.email)
        is_in(page, ALICE)

    journey(scene.site, viewport, steps, refusals={400}, java_script_enabled=has_scripts)
    assert not Workspace.objects.get(slug="acme").requires_sso
