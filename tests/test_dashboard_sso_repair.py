"""Looking after a connection that is in use: metadata that changes at its address, what required single sign-on leaves
possible, and what an owner repairs who came in by a recovery link.
"""

import re
from typing import Any

import pytest
from django.conf import settings as project
from django.db import connections
from django.test import Client
from django.utils import timezone

from accounts.models import AuditEvent, Workspace
from accounts.throttles import METADATA_FETCHES
from dashboard.session import FRESH_FOR
from dashboard.sso_wording import CALLED_THERE, CHECKS, page_for
from sso.models import IdentityProvider, SamlAttempt
from sso.saml_presets import PRESETS
from tests.support.cast import Actor
from tests.support.entrance import visitor
from tests.support.mails import delivered
from tests.support.pages import age_session, fill_in, hidden_fields, signed_in
from tests.support.saml_idp import SamlIdp, certificate
from tests.support.saml_setup import entity, key_descriptor, serving, signed_in_by
from tests.support.sso_history import an_attempt, connected, shown
from tests.support.tls_site import Site, respond

pytest_plugins = ["tests.support.saml_fixtures", "tests.support.metadata_site"]
pytestmark = pytest.mark.django_db

PLACE = "/settings/sso"


def publish(published: Site, *names: str, **changed: Any) -> None:
    """Let the provider's metadata name these keys' certificates."""
    xml = entity(keys="".join(key_descriptor(certificate(name)) for name in names or ("idp",)), **changed)
    published.answer = lambda handler: respond(handler, xml.encode())


@pytest.fixture
def owner(alice: Actor, published: Site) -> Client:
    """Alice, whose connection follows the metadata of the site; she signed in by it."""
    browser = signed_in(alice)
    publish(published)
    assert (
        browser.post(f"{PLACE}/connection/metadata", {"preset": "okta", "url": published.url(), "xml": ""}).status_code
        == 302
    )
    return signed_in(signed_in_by(alice, "saml"), SERVER_NAME="localhost")


def reread(owner: Client) -> Any:
    return owner.post(f"{PLACE}/connection/reread", shown(), follow=True)


def require() -> None:
    Workspace.objects.filter(slug="acme").update(requires_sso=True)


def test_metadata_is_read_again_at_once(owner: Client, published: Site):
    assert serving().metadata_url == published.url()
    assert b"nothing has changed" in reread(owner).content

    publish(published, "idp", "next")
    page = reread(owner)

    assert b"taken over" in page.content
    assert serving().certificates == [certificate("idp"), certificate("next")]
    event = AuditEvent.objects.filter(action="sso.configured").latest("sequence")
    assert event.actor_email == "alice@acme.test"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("is_swapped", [True, False])
def test_a_reading_changes_no_connection_that_came_in_its_place_meanwhile(
    owner: Client, alice: Actor, published: Site, is_swapped: bool
):
    """Nor the one of before, which is not what its owner looked at any more."""
    publish(published, "idp", "next")
    publishes, colleague = published.answer, signed_in(alice)
    first, second = serving(), connected_beside(serving())
    form = hidden_fields(owner.get(f"{PLACE}/connection/reread"))

    def swaps(handler: Any) -> None:
        if is_swapped:
            assert fill_in(colleague, f"{PLACE}/staged/promote").status_code == 302
            connections.close_all()  # each thread has its own
        publishes(handler)

    published.answer = swaps
    answer = owner.post(f"{PLACE}/connection/reread", form)

    assert answer.status_code == (409 if is_swapped else 302)
    assert ("Another connection is in that place by now." in answer.content.decode()) == is_swapped
    assert serving().id == (second.id if is_swapped else first.id)
    held = {row.id: row.certificates for row in IdentityProvider.objects.all()}
    assert (certificate("next") in held[first.id]) != is_swapped and held[second.id] == [certificate("other")]


def connected_beside(provider: IdentityProvider) -> IdentityProvider:
    """Return a tested second connection beside this one."""
    return IdentityProvider.objects.create(
        workspace=provider.workspace,
        state=IdentityProvider.State.STAGED,
        entity_id="https://second.test",
        sso_url="https://second.test/sso",
        certificates=[certificate("other")],
        attribute_mapping={"email": "email"},
        tested_at=timezone.now(),
    )


def test_while_it_is_required_a_reading_only_adds_certificates(owner: Client, published: Site):
    IdentityProvider.objects.update(certificates=[certificate("idp"), certificate("gone", -5)], is_enabled=True)
    require()

    publish(published, "next")
    assert b"taken over" in reread(owner).content
    assert serving().certificates == [certificate("idp"), certificate("gone", -5), certificate("next")]

    publish(
        published,
        "next",
        services='<md:SingleSignOnService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect" '
        'Location="https://elsewhere.test/sso"/>',
    )
    answer = reread(owner)
    assert answer.status_code == 409 and b"stop requiring SSO first" in answer.content
    assert serving().sso_url != "https://elsewhere.test/sso"


@pytest.mark.parametrize(
    ("entity_id", "status", "said"),
    [
        ("https://another.test/saml", 200, b"describes another entity ID"),
        ("", 200, b""),
        ("https://idp.test", 404, b""),
    ],
)
def test_metadata_that_cannot_be_read_changes_nothing(
    owner: Client, published: Site, entity_id: str, status: int, said: bytes
):
    before = serving()
    xml = entity(entity_id)
    published.answer = lambda handler: respond(handler, xml.encode(), status)

    answer = reread(owner)

    assert answer.status_code == 422 and b'role="alert"' in answer.content and said in answer.content
    assert (serving().entity_id, serving().updated_at) == (before.entity_id, before.updated_at)


def test_readings_are_limited_as_in_the_api(owner: Client):
    for _ in range(int(METADATA_FETCHES.rate.split("/")[0]) - 1):
        assert owner.post(f"{PLACE}/connection/reread", shown()).status_code == 302

    assert owner.post(f"{PLACE}/connection/reread", shown()).status_code == 429


def recovered(alice: Actor) -> Client:
    """Return the browser in which Alice has used a recovery link."""
    visitor().post("/sso-recovery/ask", {"email": alice.user.email, "workspace_slug": "acme"})
    [mail] = [mail for mail in delivered() if "sso-recovery?token=" in mail.body]
    browser = visitor()
    browser.get("/sso-recovery", {"token": re.findall(r"token=([\w-]+)", mail.body)[0]})
    assert browser.post("/sso-recovery")["Location"] == "/sso-recovery/repair"
    return browser


def test_an_owner_who_is_locked_out_repairs_the_connection(alice: Actor, connection: IdentityProvider, idp: SamlIdp):
    require()
    browser = recovered(alice)
    page = browser.get("/sso-recovery/repair").content.decode()
    for leaf in ("", "/attempts", "/connection/certificates"):
        assert f'href="{PLACE}{leaf}"' in page
        assert browser.get(f"{PLACE}{leaf}").status_code == 200

    form = {"entity_id": idp.entity_id, "sso_url": "https://new.acme.test/sso", "certificate": certificate("next")}
    assert fill_in(browser, f"{PLACE}/connection/by-hand", form)["Location"] == PLACE

    assert (serving().sso_url, serving().certificates) == (form["sso_url"], [certificate("next")])
    age_session(browser, FRESH_FOR + 1)
    assert browser.post(f"{PLACE}/connection/by-hand", {**form, **shown()})["Location"].startswith("/confirm?")


def test_who_has_no_password_either_confirms_by_a_new_link(alice: Actor, connection: IdentityProvider):
    require()
    browser = recovered(alice)
    alice.user.set_unusable_password()
    alice.user.save()
    age_session(browser, FRESH_FOR + 1)

    page = browser.get(browser.post(f"{PLACE}/disable")["Location"])

    assert b'href="/sso-recovery/ask"' in page.content and b'name="current_password"' not in page.content


def test_others_stage_a_second_connection_instead(alice: Actor, connection: IdentityProvider, idp: SamlIdp):
    require()
    owner = signed_in(signed_in_by(alice, "saml"))
    form = {"entity_id": idp.entity_id, "sso_url": "https://new.acme.test/sso", "certificate": idp.certificate}

    answer = fill_in(owner, f"{PLACE}/connection/by-hand", form)

    assert answer.status_code == 409 and b"Stage a second configuration" in answer.content
    assert owner.post(f"{PLACE}/staged/by-hand", form)["Location"] == f"{PLACE}/staged"
    assert IdentityProvider.objects.get(state="staged").sso_url == form["sso_url"]


def test_every_check_has_words_and_every_page_that_mends_is_there(alice: Actor):
    table = (
        (project.BASE_DIR / "docs" / "saml.md").read_text().split("## When a sign-in is refused")[1].split("\n## ")[0]
    )
    documented = {
        name for row in re.findall(r"^\| (`.*?`) \|", table, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)
    }
    assert documented <= CHECKS.keys() and CALLED_THERE.keys() == PRESETS.keys()

    connected(alice)
    browser = signed_in(alice)
    for state in ("serving", "staged"):
        for check in CHECKS:
            page = page_for(check, state)
            assert not page or browser.get(page).status_code == 200, page
    attempt = an_attempt(alice)
    assert (
        f'<a href="{PLACE}/connection/certificates">Go there</a>'
        in browser.get(f"{PLACE}/attempts/{attempt}").content.decode()
    )
    SamlAttempt.objects.update(provider=None)  # as what nobody has signed is kept
    assert b"Go there" in browser.get(f"{PLACE}/attempts/{attempt}").content
    IdentityProvider.objects.filter(state="serving").delete()
    assert b"Go there" not in browser.get(f"{PLACE}/attempts/{attempt}").content
