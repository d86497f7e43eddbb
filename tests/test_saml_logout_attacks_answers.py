"""Answers to our requests of single logout that do not hold: they lead nowhere and leave the logout open."""

from typing import Any
from urllib.parse import urlsplit

import pytest

from sso.models import SamlLogout
from tests.support.saml_idp import SamlIdp
from tests.support.saml_logout import bring, logout_response, refused_logout
from tests.support.saml_logout_fixtures import offering_logout  # noqa: F401
from tests.support.saml_logout_lies import SIGNATURES, dtd, with_parts, without
from tests.support.saml_setup import SLO_URL
from tests.test_saml_logout import FRONT, OURS, alive, arrive, client_of, enter, leave

pytest_plugins = ["tests.support.saml_fixtures"]
pytestmark = pytest.mark.django_db

ANSWERS: dict[str, tuple[str, dict[str, Any]]] = {
    **{f"signature {name}": ("signature", lies) for name, lies in SIGNATURES.items() if "bend" not in lies},
    "signature stripped": ("signature", {"bend": without("Signature")}),
    "a RelayState added": ("signature", {"bend": with_parts(RelayState="https%3A%2F%2Felsewhere.test")}),
    "no request": ("request", {"in_response_to": None}),
    "an unknown request": ("request", {"in_response_to": "_unknown"}),
    "another issuer": ("issuer", {"issuer": "https://idp.elsewhere.test/saml"}),
    "another destination": ("destination", {"destination": f"{OURS}/x"}),
    "no destination": ("destination", {"destination": None}),
    "made ten minutes ago": ("clock", {"issued": -600}),
    "a DTD": ("logout_message", {"rewrite": dtd}),
    "an assertion in it": ("logout_message", {"inside": '<saml:Assertion ID="_a" Version="2.0"/>'}),
}


@pytest.mark.parametrize(("check", "lies"), ANSWERS.values(), ids=ANSWERS)
def test_an_answer_that_does_not_hold_leads_nowhere(bob, idp, connection, browser, check, lies):
    other = enter(idp)
    url = leave(client_of(arrive(browser, idp))).json()["logout_url"]

    assert refused_logout(bring(logout_response(idp, url, **lies))) == check

    assert alive(other) == [True]
    again = leave(client_of(arrive(browser, idp))).json()["logout_url"]
    assert bring(logout_response(idp, again))["Location"] == FRONT


@pytest.mark.parametrize(
    "lies", [{"key": "stranger"}, {"bend": without("Signature", "SigAlg")}, {"destination": OURS + "/x"}]
)
def test_what_does_not_hold_leaves_the_logout_open(bob, idp, connection, browser, lies):
    """Whoever sees the request in an address must not keep its answer from counting."""
    url = leave(client_of(arrive(browser, idp))).json()["logout_url"]

    refused_logout(bring(logout_response(idp, url, **lies)))

    assert bring(logout_response(idp, url))["Location"] == FRONT


def test_an_answer_works_once(bob, idp, connection, browser):
    query = logout_response(idp, leave(client_of(arrive(browser, idp))).json()["logout_url"])

    assert bring(query).status_code == 302
    assert refused_logout(bring(query)) == "request"


def test_an_answer_that_comes_too_late(bob, idp, connection, browser):
    query = logout_response(idp, leave(client_of(arrive(browser, idp))).json()["logout_url"])
    SamlLogout.objects.update(expires_at="2026-01-01T00:00:00Z")

    assert refused_logout(bring(query)) == "request"


def test_an_answer_at_another_workspace(bob, mallory, idp, connection, browser):
    SamlIdp(key="mallory").configure(mallory.workspace, slo_url=SLO_URL)
    query = logout_response(idp, leave(client_of(arrive(browser, idp))).json()["logout_url"])

    assert refused_logout(bring(query, slug="other")) == "request"


def test_our_own_request_comes_back(bob, idp, connection, browser):
    """Mirrored at our own address it is not the provider's word, though properly signed by us."""
    other = enter(idp)
    url = leave(client_of(arrive(browser, idp))).json()["logout_url"]

    assert refused_logout(bring(urlsplit(url).query)) == "issuer"
    assert alive(other) == [True]
