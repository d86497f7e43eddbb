"""The official SDK and the browser's sign-in by Google: it begins, comes back and trades as our pages do."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest

from accounts.models import User
from tests.support import sdk as official
from tests.support.app_page import AppPage, app_page
from tests.support.apple_provider import DANA, StandIn, lying_google, serve
from tests.support.launch import Server, launch
from tests.support.oauth import CHALLENGED, CLIENT_STATE, VERIFIER
from tests.support.race import call
from tests.support.sdk import Client, Driver, Refusal, from_dict
from tests.support.sdk_operations import exercises

pytest_plugins = ["tests.support.sdk_fixtures"]
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(scope="module")
def app() -> Iterator[AppPage]:
    with app_page() as page:
        yield page


@pytest.fixture(scope="module")
def google() -> Iterator[StandIn]:
    with serve(lying_google()) as provider:
        yield provider


@pytest.fixture(scope="module")
def service(database_url: str, google: StandIn, app: AppPage) -> Iterator[Server]:
    """The service, set up for Google alone."""
    with launch(database_url, workers=1, extra_env={"CORS_ALLOWED_ORIGINS": app, **google.environment()}) as server:
        yield server


@pytest.fixture
def client(sdk_driver: Driver, service: Server) -> Client:
    return official.Sdk(sdk_driver, service).client()


def come_back(client: Client, google: StandIn, app: AppPage, begun: Any) -> dict[str, str]:
    """Let the SDK bring the provider's answer with the browser's cookie; return what the page is told.

    The SDK withholds Secure cookies over http, so the cookie is handed to it. It follows the redirect.
    """
    answer = google.consent(begun.body["authorization_url"])
    cookie = {"Cookie": begun.headers["set-cookie"].partition(";")[0]}
    assert client.call("auth.oauth_callback", provider="google", **answer, _headers=cookie) is None
    return dict(parse_qsl(urlsplit(app.visits[-1]).query))


@exercises("auth.get_oauth_providers")
def test_the_providers_that_are_set_up(client: Client):
    google = {"name": "google", "display_name": "Google", "authorize_path": "/api/v1/auth/oauth/google/authorize"}
    assert client.call("auth.get_oauth_providers") == {"providers": [google]}


@exercises("auth.oauth_authorize")
def test_the_address_to_send_a_browser_to(client: Client, google: StandIn, app: AppPage):
    answer = client.call("auth.oauth_authorize", provider="google", next=f"{app}/signed-in")

    assert answer.keys() == {"authorization_url"}
    assert answer["authorization_url"].startswith(f"{google.issuer}/authorize?client_id=")


def test_refusals_to_begin(client: Client):
    def refusal(**arguments: str) -> Refusal:
        return client.refused("auth.oauth_authorize", **arguments)

    unknown, elsewhere = refusal(provider="github"), refusal(provider="google", next="https://evil.test")
    unconfigured = refusal(provider="apple")
    assert (unknown.kind, unknown.status_code, unknown.error_code) == ("NotFoundError", 404, "not_found")
    assert (elsewhere.kind, elsewhere.status_code, elsewhere.error_code) == ("ValidationError", 400, "invalid_next")
    assert (unconfigured.kind, unconfigured.status_code) == ("ServerError", 503)


@exercises("auth.oauth_callback", "auth.sso_exchange")
def test_a_code_comes_back_and_is_traded_once(client: Client, google: StandIn, app: AppPage, service: Server):
    query = urlencode({**CHALLENGED, "next": f"{app}/signed-in"})
    begun = call(service, "GET", f"/api/v1/auth/oauth/google/authorize?{query}")

    back = come_back(client, google, app, begun)

    assert (back.keys(), back["state"]) == ({"code", "state"}, CLIENT_STATE)
    request = from_dict("SsoExchangeRequest", code=back["code"], code_verifier=VERIFIER, state=CLIENT_STATE)
    pair = client.call("auth.sso_exchange", sso_exchange_request=request)
    assert pair.keys() == {"access_token", "refresh_token", "token_type", "expires_in", "user", "created"}
    assert (pair["created"], pair["user"]["email"], pair["user"]["id"]) == (
        True,
        DANA["email"],
        str(User.objects.get().id),
    )
    again = client.refused("auth.sso_exchange", sso_exchange_request=request)
    assert (again.kind, again.status_code, again.error_code) == ("AuthenticationError", 401, "invalid_login_code")


def test_what_the_sdk_begins_ends_in_the_refresh_cookie(client: Client, google: StandIn, app: AppPage, service: Server):
    """The SDK's own `authorize` has no challenge. A browser that it sends out comes back signed in."""
    begun = client.unread("auth.oauth_authorize", provider="google", next=f"{app}/signed-in")
    [binding] = [value for name, value in begun.headers.items() if name.lower() == "set-cookie"]
    answer = google.consent(begun.json()["authorization_url"])

    path = "/api/v1/auth/oauth/google/callback?" + urlencode(answer)
    back = call(service, "GET", path, headers={"Cookie": binding.partition(";")[0]})

    cookie = back.headers["set-cookie"].partition(";")[0]
    assert (back.status, back.headers["location"], cookie.partition("=")[0]) == (
        302,
        f"{app}/signed-in",
        "spatialflow_refresh",
    )
    pair = call(service, "POST", "/api/v1/auth/refresh", {}, headers={"Cookie": cookie})
    assert (pair.status, pair.body["user"]["email"]) == (200, DANA["email"])
    signed_in = official.Sdk(client.sdk.driver, service).client(access_token=pair.body["access_token"])
    assert signed_in.call("auth.me")["email"] == DANA["email"]


def test_a_wrong_verifier_is_a_validation_error(client: Client, google: StandIn, app: AppPage, service: Server):
    query = urlencode({**CHALLENGED, "next": f"{app}/signed-in"})
    begun = call(service, "GET", f"/api/v1/auth/oauth/google/authorize?{query}")
    back = come_back(client, google, app, begun)
    request = from_dict("SsoExchangeRequest", code=back["code"], code_verifier="x" * 43, state=CLIENT_STATE)

    refusal = client.refused("auth.sso_exchange", sso_exchange_request=request)

    assert (refusal.kind, refusal.status_code, refusal.error_code) == ("ValidationError", 400, "pkce_failed")


def test_a_callback_that_nobody_began_is_a_validation_error(client: Client):
    refusal = client.refused("auth.oauth_callback", provider="google", code="x", state="x")

    assert (refusal.kind, refusal.status_code, refusal.error_code) == ("ValidationError", 400, "invalid_state")
