"""Whole sign-ins in a real browser: at a certified OpenID provider in Google's place, and at an Apple that posts forms
across sites.

The page, the service and the provider are three origins. The provider is at 127.0.0.1 and so another site than the
page and the service at localhost: cookies cross, or do not, as they would on the internet.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from playwright.sync_api import Page
from social_django.models import UserSocialAuth

from accounts.models import SignIn, User
from sso.models import LoginCode, OAuthState
from tests.support.app_page import app_page
from tests.support.apple_provider import DANA, StandIn, serve
from tests.support.browser import browse
from tests.support.launch import Server, free_port, launch
from tests.support.oauth import CHALLENGED, CLIENT_STATE, VERIFIER
from tests.support.oidc_provider import CLIENT_ID, CLIENT_SECRET, oidc_provider
from tests.support.race import call

pytestmark = pytest.mark.django_db(transaction=True)

ASK = """async (url) => {
    const answer = await fetch(url, {credentials: "include"});
    return (await answer.json()).authorization_url;
}"""
TRADE = """async ([api, body]) => {
    const headers = {"Content-Type": "application/json"};
    const asked = {method: "POST", headers, body: JSON.stringify(body)};
    const traded = await fetch(`${api}/api/v1/auth/sso/exchange`, asked);
    const pair = await traded.json();
    const me = await fetch(`${api}/api/v1/auth/me`, {headers: {Authorization: `Bearer ${pair.access_token}`}});
    return {status: traded.status, pair, me: await me.json()};
}"""


@pytest.fixture(scope="module")
def app() -> Iterator[str]:
    with app_page() as page:
        yield page


@pytest.fixture(scope="module")
def run_service(database_url: str, app: str) -> Callable[[dict[str, str]], Any]:
    """Call it with a provider's settings to run the service at localhost."""

    @contextmanager
    def run(environment: dict[str, str]) -> Iterator[str]:
        with launch(database_url, workers=1, extra_env={"CORS_ALLOWED_ORIGINS": app, **environment}) as server:
            yield local(server)

    return run


def local(server: Server) -> str:
    return server.replace("127.0.0.1", "localhost")


@pytest.fixture(scope="module")
def google(run_service: Any) -> Iterator[str]:
    """The service, set up for a certified provider in Google's place."""
    issuer = f"http://127.0.0.1:{free_port()}"
    environment = {
        "GOOGLE_CLIENT_IDS": CLIENT_ID,
        "GOOGLE_CLIENT_SECRET": CLIENT_SECRET,
        "GOOGLE_ISSUER": issuer,
        "GOOGLE_JWKS_URL": f"{issuer}/jwks",
        "GOOGLE_AUTHORIZATION_URL": f"{issuer}/auth",
        "GOOGLE_TOKEN_URL": f"{issuer}/token",
    }
    with run_service(environment) as api, oidc_provider(issuer, f"{api}/api/v1/auth/oauth/google/callback"):
        yield api


@pytest.fixture
def apple_and_api(run_service: Any) -> Iterator[tuple[StandIn, str]]:
    with serve(StandIn()) as provider, run_service(provider.environment()) as api:
        yield provider, api


def leave(page: Page, app: str, api: str, provider: str) -> None:
    """Begin at the app's page, and be sent to the provider."""
    page.goto(app)
    asked = urlencode({**CHALLENGED, "next": f"{app}/signed-in"})
    page.goto(page.evaluate(ASK, f"{api}/api/v1/auth/oauth/{provider}/authorize?{asked}"))


def log_in_at_provider(page: Page, login: str) -> None:
    """Log in and consent on the provider's own pages."""
    page.fill("input[name=login]", login)
    page.fill("input[name=password]", "any")
    page.click("button[type=submit]")
    page.wait_for_selector("text=Authorize")
    page.click("button[type=submit]")


def arrive(page: Page, app: str) -> dict[str, str]:
    """Return what the app's page is told when the browser is back."""
    page.wait_for_url(f"{app}/signed-in?*")
    return {name: values[0] for name, values in parse_qs(urlsplit(page.url).query).items()}


def trade(page: Page, api: str, code: str) -> Any:
    return page.evaluate(TRADE, [api, {"code": code, "code_verifier": VERIFIER, "state": CLIENT_STATE}])


def test_a_person_signs_in_at_a_certified_provider(app: str, google: str):
    def steps(page: Page) -> tuple[dict[str, str], Any, Any, Any]:
        leave(page, app, google, "google")
        log_in_at_provider(page, "dana")
        back = arrive(page, app)
        return back, trade(page, google, back["code"]), trade(page, google, back["code"]), page.context.cookies()

    back, first, second, cookies = browse(steps)

    user = User.objects.get()
    assert (back.keys(), back["state"]) == ({"code", "state"}, CLIENT_STATE)
    assert (first["status"], first["pair"]["created"], first["pair"]["user"]) == (200, True, first["me"])
    assert (first["me"]["email"], first["me"]["email_verified"]) == ("dana@person.test", True)
    assert first["me"]["name"] == "dana of Person"
    assert (second["status"], second["pair"]["error_code"]) == (401, "invalid_login_code")
    bound = UserSocialAuth.objects.get()
    assert (bound.provider, bound.user, bound.uid, bound.extra_data) == ("google", user, "dana", {})
    assert (SignIn.objects.get().method, OAuthState.objects.count(), LoginCode.objects.count()) == ("google", 0, 0)
    ours = next(cookie for cookie in cookies if cookie["name"] == "__Host-sso")
    assert (ours["sameSite"], ours["secure"], ours["httpOnly"], ours["path"]) == ("None", True, True, "/")


def test_a_person_who_cancels_at_the_provider_is_back_with_an_error(app: str, google: str):
    def steps(page: Page) -> dict[str, str]:
        leave(page, app, google, "google")
        page.click("text=Cancel")
        return arrive(page, app)

    assert browse(steps) == {"error": "access_denied", "state": CLIENT_STATE}
    assert (User.objects.count(), OAuthState.objects.count()) == (0, 0)


def test_an_address_that_the_provider_has_not_verified_is_told(app: str, google: str):
    def steps(page: Page) -> dict[str, str]:
        leave(page, app, google, "google")
        log_in_at_provider(page, "unverified-dana")
        return arrive(page, app)

    back = browse(steps)

    assert back.keys() == {"error", "state"}
    assert (User.objects.count(), LoginCode.objects.count()) == (0, 0)


def test_the_answer_is_worth_nothing_in_another_browser(app: str, apple_and_api: tuple[StandIn, str]):
    """Login CSRF: a page of Mallory's lets a victim's browser post the answer that Apple has given to her."""
    apple, api = apple_and_api
    begun = call(api, "GET", f"/api/v1/auth/oauth/apple/authorize?{urlencode(CHALLENGED)}")
    hers = apple.consent(begun.body["authorization_url"])
    fields = "".join(f"<input name={name} value='{hers[name]}'>" for name in ("code", "state"))
    form = f"<form method=post action='{api}/api/v1/auth/oauth/apple/callback'>{fields}<button>Win a prize</button>"

    def steps(page: Page) -> tuple[int, str, list[str]]:
        leave(page, app, api, "apple")  # the victim's browser has a cookie of its own
        cookies = [cookie["name"] for cookie in page.context.cookies()]
        page.set_content(form)
        with page.expect_response("**/apple/callback") as answer:
            page.click("button")
        return answer.value.status, page.locator("main").inner_text(), cookies

    status, told, cookies = browse(steps)

    assert (status, cookies) == (400, ["__Host-sso"]) and "begun" in told
    assert (User.objects.count(), apple.redeemed) == (0, [])


def test_apple_posts_its_answer_across_sites(app: str, apple_and_api: tuple[StandIn, str]):
    apple, api = apple_and_api

    def steps(page: Page) -> list[Any]:
        seen = []
        for _ in range(2):
            leave(page, app, api, "apple")
            page.click("text=Continue")
            seen.append(trade(page, api, arrive(page, app)["code"]))
        return seen

    first, second = browse(steps)

    assert [(s["status"], s["pair"]["created"], s["me"]["name"], s["me"]["email"]) for s in (first, second)] == [
        (200, True, "Dana Doe", DANA["email"]),
        (200, False, "Dana Doe", DANA["email"]),
    ]
    assert len(apple.redeemed) == 2
    assert list(UserSocialAuth.objects.values_list("provider", "uid")) == [("apple", DANA["sub"])]


def test_a_person_who_cancels_at_apple_is_back_with_an_error(app: str, apple_and_api: tuple[StandIn, str]):
    def steps(page: Page) -> dict[str, str]:
        leave(page, app, apple_and_api[1], "apple")
        page.click("text=Cancel")
        return arrive(page, app)

    assert browse(steps) == {"error": "access_denied", "state": CLIENT_STATE}
