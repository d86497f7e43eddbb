"""A browser's steps through Google or Apple, for tests that speak HTTP without one."""

from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from rest_framework.test import APIClient

from sso.login_codes import challenge_of
from tests.support.apple_provider import StandIn

VERIFIER = "a-verifier-of-the-page-that-only-it-knows-0123456789"
CLIENT_STATE = "what-the-page-remembers"
CHALLENGED = {"code_challenge": challenge_of(VERIFIER), "code_challenge_method": "S256", "state": CLIENT_STATE}
FORM = "application/x-www-form-urlencoded"


def begin(browser: APIClient, provider: str = "google", **query: str) -> str:
    """Begin a round trip as a page does; return the provider's address."""
    response = browser.get(f"/api/v1/auth/oauth/{provider}/authorize", CHALLENGED | query)
    assert response.status_code == 200, response.content
    url: str = response.json()["authorization_url"]
    return url


def come_back(browser: APIClient, answer: dict[str, str], provider: str = "google") -> Any:
    """Bring the provider's answer, as that provider lets a browser do."""
    path = f"/api/v1/auth/oauth/{provider}/callback"
    if provider == "apple":
        return browser.post(path, urlencode(answer), content_type=FORM)
    return browser.get(path, answer)


def told(response: Any) -> dict[str, str]:
    """Return what the page that the browser is sent to gets to know."""
    assert response.status_code == 302, response.content
    return dict(parse_qsl(urlsplit(response["Location"]).query, keep_blank_values=True))


def get_code(browser: APIClient, provider: StandIn, name: str = "google", **query: str) -> str:
    """Go all the way to a login code."""
    return told(come_back(browser, provider.consent(begin(browser, name, **query)), name))["code"]


def exchange(client: APIClient, code: str, **changed: Any) -> Any:
    body = {"code": code, "code_verifier": VERIFIER, "state": CLIENT_STATE} | changed
    return client.post("/api/v1/auth/sso/exchange", body, format="json")
