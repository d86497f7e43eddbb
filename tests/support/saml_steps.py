"""A browser's steps through a workspace's identity provider, for tests that speak HTTP without one."""

from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from rest_framework.test import APIClient

from accounts.models import SignIn
from sso.models import IdentityProvider, SamlAttempt
from tests.support.oauth import CHALLENGED, FORM, told
from tests.support.saml_idp import SamlIdp

BEGIN, END = "/sign-in/by/", f"{settings.PUBLIC_URL}/signed-in?"
HOST = {"SERVER_NAME": "localhost"}  # PUBLIC_URL's
STAGED, FORMER = IdentityProvider.State.STAGED, IdentityProvider.State.FORMER


def initiate(browser: APIClient, slug: str = "acme", **query: str) -> str:
    """Begin as a page does, without a challenge by the dashboard; return the provider's address."""
    response = browser.get(f"/api/v1/auth/saml/{slug}/initiate", query)
    assert response.status_code == 302, response.content
    location: str = response["Location"]
    if not location.startswith(BEGIN):
        return location
    begun: Any = browser.get(location, **HOST)
    if begun.status_code == 200:  # somebody is signed in: they are asked first
        return str(browser.post(location, **HOST)["Refresh"].removeprefix("0; url="))
    return str(begun["Location"])


def bring_answer(browser: Any, answer: str, slug: str = "acme", **fields: str) -> Any:
    """Post a provider's answer, as its page lets a browser do."""
    form = urlencode({"SAMLResponse": answer, **fields})
    return browser.post(f"/api/v1/auth/saml/{slug}/acs", form, content_type=FORM)


def post(browser: APIClient, answer: str, slug: str = "acme", **fields: str) -> Any:
    """Post a provider's answer, and go on to the dashboard where it ends there with a code."""
    response = bring_answer(browser, answer, slug, **fields)
    if response.status_code == 302 and response["Location"].startswith(END) and "code" in told(response):
        arrived: Any = browser.get(response["Location"].removeprefix(settings.PUBLIC_URL), **HOST)
        response.arrived_at = arrived.get("Location", "")
    return response


def sign_in(browser: APIClient, idp: SamlIdp, begun: dict[str, str] | None = None, **said: Any) -> Any:
    """Go all the way; `said` is what the provider says and how it lies."""
    return post(browser, idp.respond(initiate(browser, **(begun or {})), **said))


def get_code(browser: APIClient, idp: SamlIdp, **said: Any) -> str:
    return told(sign_in(browser, idp, CHALLENGED | {"next": "/welcome"}, **said))["code"]


def came_in(response: Any) -> bool:
    """Return whether an answer has ended in a sign-in of the browser in the dashboard."""
    return bool(getattr(response, "arrived_at", ""))


def refused_by(response: Any) -> str:
    """Return the check that failed, of an answer that went back to where it began with no more than a reference."""
    said = told(response)
    assert said["error"] == "sso_failed" and "code" not in said and not came_in(response)
    attempt = SamlAttempt.objects.get(reference=said["reference"])
    assert not attempt.succeeded
    return attempt.failed_check


def signed_in_by_saml() -> list[str]:
    """Return the addresses of the sign-ins that a provider began."""
    return list(SignIn.objects.filter(method="saml").order_by("created_at").values_list("user__email", flat=True))
