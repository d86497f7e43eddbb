"""Signing in by a workspace's identity provider in an app: where it may end, and never with tokens in an address."""

import pytest
from django.utils import timezone

from accounts.models import SignIn, Workspace
from sso.models import SamlRequest
from tests.support.oauth import CHALLENGED, CLIENT_STATE, exchange, told
from tests.support.saml_steps import post, refused_by

pytest_plugins = ["tests.support.saml_fixtures"]
pytestmark = pytest.mark.django_db

START = "/api/v1/auth/sso/start"
APP = "spatialflow://auth/callback"


def start(browser, place=APP, **query):
    return browser.get(START, {"return": place, "workspace_slug": "acme", **CHALLENGED, **query})


def test_an_app_gets_a_code_and_trades_it(bob, idp, connection, browser, anyone):
    sent_away = start(browser)
    assert sent_away.status_code == 302 and sent_away["Location"].startswith(idp.sso_url)

    response = post(browser, idp.respond(sent_away["Location"]))

    said = told(response)
    assert response["Location"].startswith(f"{APP}?") and set(said) == {"code", "state"}
    assert said["state"] == CLIENT_STATE and not response.cookies
    pair = exchange(anyone, said["code"])  # the app is not the browser
    assert pair.status_code == 200 and pair.json()["user"]["workspace_slug"] == "acme"
    assert SignIn.objects.get(method="saml").user_id == bob.user.id
    assert exchange(anyone, said["code"]).json()["error_code"] == "invalid_login_code"


@pytest.mark.parametrize("wrong", [{"code_verifier": "x" * 43}, {"state": "another"}])
def test_a_code_is_worth_nothing_to_who_did_not_begin(bob, idp, connection, browser, anyone, wrong):
    code = told(post(browser, idp.respond(start(browser)["Location"])))["code"]

    assert exchange(anyone, code, **wrong).status_code == 400
    assert exchange(anyone, code).status_code == 401  # and it is gone
    assert not SignIn.objects.filter(method="saml").exists()


@pytest.mark.parametrize(
    "place",
    [
        APP,
        "spatialflow://x",
        "spatialflow:///callback",
        "spatialflow://auth/callback?tab=1",
        "spatialflow://a/b/c-d_e~f",
    ],
)
def test_addresses_of_the_app(bob, idp, connection, browser, place):
    response = post(browser, idp.respond(start(browser, place)["Location"]))

    assert response["Location"].startswith(place) and told(response)["code"]


@pytest.mark.parametrize(
    "place",
    [
        "",
        "spatialflow:",
        "spatialflow:/x",
        "SpatialFlow://auth",
        "spatialflow://auth#fragment",
        "spatialflow://auth\n",
        "spatialflow://auth/<script>",
        "spatialflow://user:password@host",
        "spatialflow://auth\\x",
        "spatialflow://é",
        "spatialflowx://auth",
        "xspatialflow://auth",
        "spatialflowdev://auth/callback",
        "https://evil.test/?spatialflow://auth",
        "https://evil.test/",
        "http://localhost:8000/welcome",
        "/welcome",
        "javascript://spatialflow://",
        "intent://auth#Intent;scheme=spatialflow;end",
        "spatialflow://" + "x" * 500,
    ],
)
def test_no_other_address_is_one(connection, browser, place):
    response = start(browser, place)

    assert (response.status_code, response.json()["error_code"]) == (400, "invalid_return")
    assert not SamlRequest.objects.exists() and not response.cookies


def test_the_scheme_of_development_counts_by_a_setting(bob, idp, connection, browser, settings):
    settings.SSO_ALLOW_DEV_SCHEME = True

    response = post(browser, idp.respond(start(browser, "spatialflowdev://auth/callback")["Location"]))

    assert response["Location"].startswith("spatialflowdev://auth/callback?code=")


@pytest.mark.parametrize(
    ("missing", "code"),
    [
        (("code_challenge", "code_challenge_method", "state"), "code_challenge_required"),
        (("code_challenge",), "code_challenge_required"),
        (("state",), "code_challenge_required"),
    ],
)
def test_without_a_challenge_there_is_nothing_to_end_in(connection, browser, missing, code):
    response = start(browser, **dict.fromkeys(missing, ""))

    assert (response.status_code, response.json()["error_code"]) == (400, code)
    assert "never tokens" in response.json()["detail"]


@pytest.mark.parametrize(
    "wrong", [{"code_challenge": "x"}, {"code_challenge_method": "plain"}, {"state": "a b"}, {"state": "x" * 501}]
)
def test_a_challenge_is_s256(connection, browser, wrong):
    response = start(browser, **wrong)

    assert (response.status_code, response.json()["error_code"]) == (400, "invalid_code_challenge")


@pytest.mark.parametrize("slug", ["", "nowhere", "acme/../other", "a" * 300])
def test_an_unknown_workspace_is_not_found(connection, browser, slug):
    assert start(browser, workspace_slug=slug).status_code == 404


def test_a_plan_without_it_is_said_so(connection, browser):
    Workspace.objects.update(plan="pro")

    assert start(browser).json()["error_code"] == "plan_required"


def test_a_refusal_goes_back_to_the_app(bob, idp, connection, browser):
    url = start(browser)["Location"]

    response = post(browser, idp.respond(url, name_id="nobody@acme.test"))

    assert response["Location"].startswith(f"{APP}?error=sso_failed&reference=")
    assert told(response)["state"] == CLIENT_STATE
    assert refused_by(response) == "membership"


def test_and_so_does_what_was_switched_off_in_flight(bob, idp, connection, browser):
    url = start(browser)["Location"]
    Workspace.objects.update(suspended_at=timezone.now())

    assert refused_by(post(browser, idp.respond(url))) == "connection"


def test_a_parameter_that_stands_twice_is_refused(connection, browser):
    response = browser.get(f"{START}?return={APP}&return=https://evil.test&workspace_slug=acme")

    assert (response.status_code, response.json()["error_code"]) == (400, "malformed_form")
