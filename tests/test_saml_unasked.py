"""Sign-ins that begin at the identity provider: off, and where they are on, as little as can be."""

import json
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.models import AuditEvent, Membership, User, Workspace
from sso.models import IdentityProvider, LoginCode, SamlAttempt
from tests.support.oauth import exchange
from tests.support.pages import signed_in
from tests.support.saml_idp import SamlIdp
from tests.support.saml_steps import HOST, post, sign_in, signed_in_by_saml

pytest_plugins = ["tests.support.saml_fixtures"]
pytestmark = pytest.mark.django_db


@pytest.fixture
def tile(connection: IdentityProvider) -> IdentityProvider:
    """The connection, which takes what it did not ask for."""
    IdentityProvider.objects.update(allows_idp_initiated=True)
    return connection


@pytest.fixture
def known(bob: Any, idp: SamlIdp, tile: IdentityProvider) -> Any:
    """Bob, who has begun a sign-in here once before."""
    sign_in(APIClient(), idp)
    return bob


def arrive(browser: Any, idp: SamlIdp, relay_state: str | None = None) -> Any:
    """Bring an answer that is taken; it leads to a page that asks."""
    response = post(browser, idp.respond(None), **({} if relay_state is None else {"RelayState": relay_state}))
    cookie = response.cookies["__Host-arrival"]
    assert (cookie["samesite"], cookie["path"], cookie["domain"]) == ("Lax", "/", "")  # as __Host- demands
    assert cookie["httponly"] and cookie["secure"]
    assert response.status_code == 302 and cookie.value not in response["Location"]
    return response


def bring(idp: SamlIdp, relay_state: str | None = None, **said: Any) -> Any:
    fields = {} if relay_state is None else {"RelayState": relay_state}
    return post(APIClient(), idp.respond(None, **said), **fields)


def refused_by(response: Any) -> str:
    assert (response.status_code, response.json()["error_code"]) == (400, "sso_failed")
    assert not response.cookies
    return SamlAttempt.objects.get(reference=response.json()["reference"]).failed_check


def test_they_are_off(bob, idp, connection, browser):
    sign_in(browser, idp)

    assert refused_by(bring(idp)) == "request"
    assert signed_in_by_saml() == ["bob@acme.test"]


def test_where_they_are_on_who_is_known_comes_in(known, idp):
    browser = APIClient()
    response = arrive(browser, idp)

    page = browser.get(response["Location"], **HOST)
    text = page.content.decode()
    assert page.status_code == 200 and "Acme" in text and "bob@acme.test" in text
    assert signed_in_by_saml() == ["bob@acme.test"]
    assert browser.post(response["Location"], **HOST)["Location"] == "/"
    assert signed_in_by_saml() == ["bob@acme.test"] * 2
    assert browser.get("/settings/sign-ins", **HOST).status_code == 200
    assert browser.post(response["Location"], **HOST).status_code == 401  # once


def test_nobody_is_replaced_unless_they_go_on(known, alice, idp):
    browser = signed_in(alice, SERVER_NAME="localhost")
    response = arrive(browser, idp)

    text = browser.get(response["Location"]).content.decode()

    assert "You are signed in as alice@acme.test now" in text
    assert "alice@acme.test" in browser.get("/settings/profile").content.decode()
    browser.post(response["Location"])
    assert "bob@acme.test" in browser.get("/settings/profile").content.decode()


def test_the_page_is_for_the_browser_that_brought_the_answer(known, idp):
    attacker, victim = APIClient(), APIClient()
    place = arrive(attacker, idp)["Location"]

    assert victim.get(place, **HOST).status_code == victim.post(place, **HOST).status_code == 401
    assert attacker.post(place, **HOST).status_code == 302  # and it was not spent


def test_another_site_cannot_press_the_button(known, idp):
    browser = APIClient(enforce_csrf_checks=True)
    place = arrive(browser, idp)["Location"]

    assert browser.post(place, **HOST).status_code == 403
    assert browser.post(place, **HOST, HTTP_SEC_FETCH_SITE="cross-site").status_code == 403
    assert signed_in_by_saml() == ["bob@acme.test"]


@pytest.mark.parametrize(
    ("state", "page"),
    [
        ("/reports?month=11", "/reports?month=11"),
        ("https://evil.test/", "/"),
        ("//evil.test", "/"),
        ("/\\evil.test", "/"),
        ("spatialflow://auth", "/"),
        ("javascript:alert(1)", "/"),
        ("what the provider remembers", "/"),
        ("", "/"),
        ("/" + "x" * 80, "/"),
    ],
)
def test_they_end_at_a_page_of_ours(known, idp, state, page):
    browser = APIClient()

    assert browser.post(arrive(browser, idp, state)["Location"], **HOST)["Location"] == page


def test_they_bind_nobody_and_make_nobody(bob, idp, tile):
    IdentityProvider.objects.update(creates_members=True)

    assert refused_by(bring(idp)) == "account"
    assert refused_by(bring(idp, name_id="new@acme.test")) == "account"
    assert not bob.user.social_auth.exists() and not User.objects.filter(email="new@acme.test").exists()


def test_who_was_removed_stays_out(known, idp):
    Membership.objects.filter(user=known.user).delete()

    assert refused_by(bring(idp)) == "membership"


def test_they_never_end_in_an_app(known, idp):
    place = arrive(APIClient(), idp, "spatialflow://auth/callback?code_challenge=x&state=y")["Location"]

    assert place.startswith("/signed-in/unasked?code=") and "state" not in place
    code = dict(parse_qsl(urlsplit(place).query))["code"]
    assert exchange(APIClient(), code, state="unasked").json()["error_code"] == "pkce_failed"
    assert signed_in_by_saml() == ["bob@acme.test"]


def test_they_wait_for_five_minutes(known, idp):
    browser = APIClient()
    place = arrive(browser, idp)["Location"]
    left = LoginCode.objects.get().expires_at - timezone.now()
    assert timedelta(minutes=4) < left <= timedelta(minutes=5)

    LoginCode.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert browser.post(place, **HOST).status_code == 401


def test_an_assertion_works_once(known, idp):
    answer = idp.respond(None, assertion_id="_one")
    assert post(APIClient(), answer).status_code == 302

    assert refused_by(post(APIClient(), answer)) == "replay"
    assert refused_by(bring(idp, assertion_id="_one")) == "replay"
    assert AuditEvent.objects.latest("sequence").action == "auth.sign_in_failed"


@pytest.mark.parametrize(
    "change",
    [
        lambda: IdentityProvider.objects.update(is_enabled=False),
        lambda: IdentityProvider.objects.update(state="staged"),
        lambda: IdentityProvider.objects.update(state="former"),
        lambda: IdentityProvider.objects.update(allows_idp_initiated=False),
        lambda: IdentityProvider.objects.update(entity_id="https://another.test"),
        lambda: Workspace.objects.update(plan="team"),
    ],
    ids=["disabled", "staged", "former", "off", "another issuer", "plan"],
)
def test_only_the_connection_in_service_may(known, idp, change):
    change()

    assert refused_by(bring(idp)) == "request"


def test_a_suspended_workspace_is_as_good_as_none(known, idp):
    Workspace.objects.update(suspended_at="2026-01-01T00:00:00Z")

    assert bring(idp).status_code == 404


def test_an_answer_is_not_made_unasked_by_leaving_out_what_it_answers(known, idp, browser):
    """The request stands in the confirmation still."""
    assert refused_by(bring(idp, confirmation_in_response_to="_of-somebody-else")) == "in_response_to"


def test_unsigned_ones_leave_no_entry_in_the_trail(known, idp):
    events = AuditEvent.objects.count()

    assert refused_by(bring(idp, sign="none")) not in ("", "request")
    assert AuditEvent.objects.count() == events


def test_what_is_kept_says_what_was_expected(bob, idp, connection):
    refused_by(bring(idp))

    assert "begun at this service" in json.dumps(SamlAttempt.objects.get().checks)
