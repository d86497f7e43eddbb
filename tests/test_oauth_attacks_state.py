"""Attacks on the state of a browser's sign-in by Google or Apple: each leaves no account, code or state behind."""

from urllib.parse import urlencode

import pytest
from rest_framework.test import APIClient

from accounts.models import User
from sso.binding import BINDING_COOKIE
from sso.models import LoginCode, OAuthState
from tests.support.apple_provider import StandIn, lying_google, serve
from tests.support.launch import launch
from tests.support.oauth import CHALLENGED, begin, come_back, told
from tests.support.oauth_attacks import assert_nothing_was_made, assert_refused
from tests.support.race import at_once, call

pytest_plugins = ["tests.support.oauth_fixtures"]
pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("state", [None, "", "unknown", "x" * 10_000, "é", "\udcff"])
def test_a_state_that_is_missing_or_unknown(browser: APIClient, google: StandIn, state):
    answer = google.consent(begin(browser))
    wrong = {"code": answer["code"]} | ({} if state is None else {"state": state})

    query = urlencode(wrong, errors="surrogatepass")
    response = browser.get(f"/api/v1/auth/oauth/google/callback?{query}")

    assert response.status_code == 400 and response.json()["error_code"] in ("invalid_state", "malformed_form")
    assert google.redeemed == []
    assert told(come_back(browser, answer)).keys() == {"code", "state"}


def test_a_state_works_once(browser: APIClient, google: StandIn):
    answer = google.consent(begin(browser))
    assert told(come_back(browser, answer))["code"]

    assert_refused(come_back(browser, answer))
    assert len(google.redeemed) == 1


def test_a_state_of_another_browser(browser: APIClient, google: StandIn):
    """Login CSRF: Mallory lets a victim's browser finish what she began, to have it signed in as her."""
    answer = google.consent(begin(browser))
    victim = APIClient()
    begin(victim)

    assert_refused(come_back(victim, answer))
    assert_refused(come_back(browser, answer))  # it is spent
    assert google.redeemed == []
    assert OAuthState.objects.count() == 1  # the victim's own


@pytest.mark.parametrize("cookie", [None, "", "x", "x" * 43, "x" * 10_000])
def test_a_browser_without_its_cookie(browser: APIClient, google: StandIn, cookie):
    answer = google.consent(begin(browser))
    browser.cookies.clear()
    if cookie is not None:
        browser.cookies[BINDING_COOKIE] = cookie

    assert_refused(come_back(browser, answer))
    assert google.redeemed == []
    assert_nothing_was_made()


def test_a_state_of_the_other_provider(browser: APIClient, google: StandIn, apple: StandIn):
    """Mix-up: what began at one provider must not be answered by the other."""
    for began, ended in (("google", "apple"), ("apple", "google")):
        answer = {"google": google, "apple": apple}[began].consent(begin(browser, began))
        assert_refused(come_back(browser, answer, ended))
        assert_refused(come_back(browser, answer, began))
    assert google.redeemed == apple.redeemed == []
    assert_nothing_was_made()


def test_an_expired_state(browser: APIClient, google: StandIn):
    answer = google.consent(begin(browser))
    OAuthState.objects.update(expires_at="2026-01-01T00:00:00Z")

    assert_refused(come_back(browser, answer))
    assert_nothing_was_made()


@pytest.mark.django_db(transaction=True)
def test_of_sixteen_callbacks_at_once_one_goes_on(database_url):
    with serve(lying_google()) as google, launch(database_url, extra_env=google.environment()) as server:
        begun = call(server, "GET", "/api/v1/auth/oauth/google/authorize?" + urlencode(CHALLENGED))
        answer = google.consent(begun.body["authorization_url"])
        cookie = {"Cookie": begun.headers["set-cookie"].partition(";")[0]}
        path = "/api/v1/auth/oauth/google/callback?" + urlencode(answer)

        answers = at_once(16, lambda _: call(server, "GET", path, headers=cookie).status)

    assert sorted(answers) == [302] + [400] * 15
    assert (len(google.redeemed), User.objects.count(), LoginCode.objects.count()) == (1, 1, 1)
