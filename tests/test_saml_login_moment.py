"""How old the proof of who is there is: a login at the provider that was asked for must be new, and one that was not
counts from when it was.
"""

import time
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import SignIn
from dashboard.session import FRESH_FOR
from sso.models import IdentityProvider, SamlAttempt, SamlRequest, SamlSession
from tests.support.cast import Actor
from tests.support.entrance import is_signed_in, visitor
from tests.support.oauth import exchange, told
from tests.support.pages import age_session
from tests.support.saml_idp import NS, SamlIdp, instant, parse_request
from tests.support.saml_setup import SLO_URL
from tests.support.saml_steps import bring_answer, get_code, refused_by

pytest_plugins = ["tests.support.saml_fixtures"]
pytestmark = pytest.mark.django_db

OURS = "http://localhost:8000"
BY_WORKSPACE = "/confirm/elsewhere?way=workspace&next=/settings/profile/delete"


def logged_in(seconds: int) -> Any:
    """Return an edit: the person's login at the provider was so many seconds from now."""

    def edit(root: Any) -> None:
        root.find("saml:Assertion/saml:AuthnStatement", NS).set("AuthnInstant", instant(seconds))

    return edit


def enter(idp: SamlIdp, **said: Any) -> Client:
    """Return a browser that Bob is signed in to the dashboard with."""
    browser = visitor()
    answer = bring_answer(browser, idp.respond(browser.get("/sign-in/by/acme")["Location"], **said))
    browser.get(answer["Location"].removeprefix(OURS))
    assert is_signed_in(browser)
    return browser


def confirm(browser: Client) -> str:
    """Go to prove anew who is there; return the provider's address."""
    begun = browser.get(browser.get(BY_WORKSPACE)["Location"], HTTP_SEC_FETCH_SITE="same-origin")
    url: str = begun["Location"]
    assert parse_request(url).tree.get("ForceAuthn") == "true"
    return url


def is_fresh(browser: Client) -> bool:
    return time.time() - browser.session["proven_at"] < FRESH_FOR


@pytest.mark.parametrize(("login", "counts"), [(0, True), (-50, True), (-70, False), (-3600, False), (100, True)])
def test_a_login_that_was_asked_for_is_new(bob: Actor, idp, connection, login, counts):
    browser = enter(idp)
    age_session(browser, FRESH_FOR + 1)
    url = confirm(browser)

    answer = bring_answer(browser, idp.respond(url, edit=logged_in(login)))
    browser.get(answer["Location"].removeprefix(OURS))

    assert is_fresh(browser) == counts and is_signed_in(browser)
    if not counts:
        assert refused_by(answer) == "authn_statement"
        check = next(one for one in SamlAttempt.objects.get().checks if not one["passed"])
        assert "of the login that was asked for" in check["expected"] and check["received"].startswith(f"{login // 10}")


def test_it_counts_from_the_request_and_not_from_the_answer(bob, idp, connection):
    """Whoever needs eight minutes to log in logs in anew all the same."""
    browser = enter(idp)
    url = confirm(browser)
    SamlRequest.objects.update(expires_at=timezone.now() + timedelta(minutes=2))

    answer = bring_answer(browser, idp.respond(url, edit=logged_in(-400)))

    assert "code" in told(answer)


@pytest.mark.parametrize("login", [-3600, -8 * 3600])
def test_one_that_was_not_asked_for_may_be_old_and_is_no_fresh_proof(bob, idp, connection, login):
    browser = enter(idp, edit=logged_in(login))

    assert not is_fresh(browser)
    assert browser.get("/settings/profile/delete")["Location"].startswith("/confirm")
    assert is_fresh(enter(idp)) and enter(idp).get("/settings/profile/delete").status_code == 200


def test_a_clock_ahead_of_ours_makes_no_proof_of_the_future(bob, idp, connection):
    browser = enter(idp, edit=logged_in(110))

    assert browser.session["proven_at"] <= time.time()
    assert SamlSession.objects.get().logged_in_at <= timezone.now()


# The end of the session at the provider


@pytest.mark.parametrize("ends", [-60, -100])
def test_a_session_that_ended_a_moment_ago_by_our_clock_still_begins_a_short_sign_in(
    bob, idp, connection, browser, ends
):
    pair = exchange(browser, get_code(browser, idp, session_not_on_or_after=ends))

    assert pair.status_code == 200
    assert timedelta() < SignIn.objects.get(method="saml").expires_at - timezone.now() <= timedelta(seconds=120 + ends)


def test_one_that_never_ends_is_no_obstacle(bob, idp, connection, browser):
    code = get_code(browser, idp, session_not_on_or_after="9999-12-31T23:59:59Z")

    assert exchange(browser, code).status_code == 200


def test_a_time_before_all_others_is_read(bob, idp, connection, browser):
    code = get_code(browser, idp, confirmation_not_before="0001-01-01T00:00:00Z", not_before=None)

    assert exchange(browser, code).status_code == 200


# The end of the connection


@pytest.mark.parametrize("way", ["disabled", "deleted"])
def test_what_it_has_signed_in_ends_with_the_connection(alice: Actor, bob, idp, connection, browser, way):
    his, by_password = enter(idp), bob.client
    code = get_code(browser, idp)
    if way == "disabled":
        assert (
            alice.client.patch("/api/v1/workspaces/saml-config", {"is_enabled": False}, format="json").status_code
            == 200
        )
    else:
        assert alice.client.delete("/api/v1/workspaces/saml-config").status_code == 204

    assert not is_signed_in(his) and exchange(browser, code).status_code == 401
    assert SignIn.objects.get(method="saml").revoked_reason == "connection_ended"
    assert by_password.get("/api/v1/auth/me").status_code == 200


def test_a_connection_that_serves_no_more_ends_nothing_until_it_is_let_go_of(alice, bob, idp, connection):
    his = enter(idp)
    IdentityProvider.objects.update(state="former")
    second = SamlIdp(entity_id="https://second.test/saml", key="second", sso_url="https://second.test/sso")
    second.configure(bob.workspace)
    third = SamlIdp(entity_id="https://third.test/saml", key="third", sso_url="https://third.test/sso")
    third.configure(bob.workspace, state="staged")
    assert is_signed_in(his)

    assert alice.client.post("/api/v1/workspaces/saml-config/staged/promote").status_code == 200
    assert not is_signed_in(his)


# Signing out in the dashboard


def test_signing_out_in_the_dashboard_signs_out_at_the_provider(bob, idp, connection):
    IdentityProvider.objects.update(slo_url=SLO_URL)
    browser = enter(idp, session_index="_his")

    answer = browser.post("/sign-out")

    url = answer["Refresh"].removeprefix("0; url=")
    asked = parse_request(url).tree
    assert url.startswith(f"{SLO_URL}?SAMLRequest=") and asked.findtext("samlp:SessionIndex", None, NS) == "_his"
    assert answer.status_code == 200 and not is_signed_in(browser)
    assert not SignIn.objects.live().filter(method="saml").exists()
    assert b"bob@acme.test" not in answer.content


@pytest.mark.parametrize("by_saml", [False, True])
def test_where_there_is_no_single_logout_it_ends_here(bob, idp, connection, by_saml):
    browser = enter(idp) if by_saml else visitor()

    answer = browser.post("/sign-out")

    assert (answer.status_code, answer["Location"]) == (302, "/sign-in") and not is_signed_in(browser)
    assert not SignIn.objects.live().filter(method="saml").exists()
