"""An identity provider's answer works once, in the browser that asked for it and at the workspace that it is for."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.models import Membership
from sso.models import LoginCode, SamlAttempt, SamlRequest
from tests.support.oauth import CHALLENGED
from tests.support.saml_idp import SamlIdp
from tests.support.saml_steps import came_in, initiate, post, refused_by, signed_in_by_saml

pytest_plugins = ["tests.support.saml_fixtures"]
pytestmark = pytest.mark.django_db


def failed_here(response: Any) -> str:
    """Return the check that failed, of an answer that belongs to nothing that this browser began."""
    body = response.json()
    assert response.status_code == 400 and set(body) == {"detail", "error_code", "reference"}
    assert body["error_code"] == "sso_failed" and not came_in(response)
    return SamlAttempt.objects.get(reference=body["reference"]).failed_check


@pytest.mark.parametrize("begun", [{}, CHALLENGED])
def test_another_browser_cannot_bring_the_answer(bob, idp, connection, browser, begun):
    answer = idp.respond(initiate(browser, **begun))
    other = APIClient()
    initiate(other)

    assert failed_here(post(other, answer)) == "request"
    assert failed_here(post(APIClient(), answer)) == "request"
    assert failed_here(post(browser, answer)) == "request"  # what somebody else has tried is spent
    assert not signed_in_by_saml() and not LoginCode.objects.exists()


def test_an_answer_works_once(bob, idp, connection, browser):
    answer = idp.respond(initiate(browser))

    assert came_in(post(browser, answer))
    assert failed_here(post(browser, answer)) == "request"
    assert signed_in_by_saml() == ["bob@acme.test"]


def test_an_assertion_works_once_although_it_comes_for_another_request(bob, idp, connection, browser):
    first, second = initiate(browser), initiate(browser)
    assert post(browser, idp.respond(first, assertion_id="_one")).status_code == 302

    assert refused_by(post(browser, idp.respond(second, assertion_id="_one"))) == "replay"
    assert came_in(post(browser, idp.respond(initiate(browser), assertion_id="_two")))


@pytest.mark.parametrize("age", [601, 86400])
def test_a_request_expires(bob, idp, connection, browser, age):
    url = initiate(browser)
    SamlRequest.objects.update(expires_at=timezone.now() - timedelta(seconds=age - 600))

    assert failed_here(post(browser, idp.respond(url))) == "request"


@pytest.mark.parametrize("named", ["", "_", "_unknown", "unknown", "_" + "x" * 5000])
def test_a_request_that_was_never_made_is_refused(bob, idp, connection, browser, named):
    initiate(browser)

    assert failed_here(post(browser, idp.respond(named or None))) == "request"
    assert not signed_in_by_saml()


def test_an_answer_is_taken_at_its_own_workspace_only(bob, idp, connection, browser, mallory):
    foreign = SamlIdp(entity_id="https://idp.other.test/saml", key="other")
    foreign.configure(mallory.workspace)

    assert failed_here(post(browser, idp.respond(initiate(browser)), "other")) == "request"
    assert failed_here(post(browser, foreign.respond(initiate(browser, "other")), "acme")) == "request"
    assert came_in(post(browser, idp.respond(initiate(browser))))


@pytest.mark.parametrize("named", ["own", "acme's"])
def test_another_tenants_provider_speaks_for_nobody_here(bob, idp, connection, browser, mallory, named):
    entity_id = idp.entity_id if named == "acme's" else "https://idp.other.test/saml"
    foreign = SamlIdp(entity_id=entity_id, key="other")
    foreign.configure(mallory.workspace, creates_members=True)
    acs, audience = (f"http://localhost:8000/api/v1/auth/saml/acme/{leaf}" for leaf in ("acs", "metadata"))

    # Asked by acme, answered with the foreign key; asked by other, answered about somebody of acme.
    assert refused_by(post(browser, foreign.respond(initiate(browser), acs, audience))) in ("issuer", "signature")
    assert refused_by(post(browser, foreign.respond(initiate(browser, "other")), "other")) == "domain"
    assert not signed_in_by_saml() and not Membership.objects.filter(user=bob.user, workspace__slug="other").exists()


@pytest.mark.parametrize("slug", ["nowhere", "other", "acme%00"])
def test_an_answer_to_no_workspace_is_not_found(mallory, idp, connection, browser, slug):
    assert post(browser, idp.respond(initiate(browser)), slug).status_code == 404
    assert not SamlAttempt.objects.exists()


@pytest.mark.parametrize("answer", ["", "%%%", "AAAA", "PHg+", "é" * 10, "A" * 300_000])
def test_an_unreadable_answer_is_refused(connection, browser, answer):
    initiate(browser)

    assert failed_here(post(browser, answer)) == "request"


def test_the_answer_is_a_form(connection, browser):
    response = browser.post("/api/v1/auth/saml/acme/acs", {"SAMLResponse": "x"}, format="json")

    assert response.status_code == 415
    assert browser.get("/api/v1/auth/saml/acme/acs").status_code == 405
