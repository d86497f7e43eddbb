"""Settings / Single sign-on: testing a connection by a real sign-in, and what came of sign-ins that were refused."""

from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from accounts.principal import Principal
from accounts.scopes import SSO_MANAGE
from dashboard.pages import Form, Page, validated
from dashboard.sso_wording import page_for, words_of
from dashboard.views.sso import PLACE
from dashboard.views.sso_connection import ConnectionPage
from sso import domains, saml_config, saml_tests
from sso.models import IdentityProvider, SamlAttempt
from sso.serializers.saml_config import AttemptsQuerySerializer

ATTEMPTS = f"{PLACE}/attempts"
END = f"{PLACE}/tested"


class TestReadyPage(Page):
    """What leads on to the provider: a page, for browsers do not let a form lead to another site (CSP, form-action). It
    has no address.
    """

    template = "dashboard/sso/test_ready.html"
    title = "To your identity provider"

    def context(self, request: HttpRequest, **kwargs: Any) -> dict[str, Any]:
        return kwargs


class TestPage(ConnectionPage):
    """Begin a test: a real sign-in that signs nobody in and comes back to its checks."""

    needs_fresh = False
    template = "dashboard/sso/test.html"
    title = "Test the connection"

    def context(self, request: HttpRequest, **kwargs: Any) -> dict[str, Any]:
        claims = domains.list_domains(request.auth)
        return {**kwargs, "proven": [claim.domain for claim in claims if claim.is_proven]}

    def carry_out(self, request: HttpRequest, meant: str) -> HttpResponse:
        url = saml_tests.begin_test(request, staged=self.is_staged, destination=END, meant=meant)
        return TestReadyPage().show(request, url=url)


class TestedPage(Page):
    """Where a test comes back: go on to its result."""

    scopes = {"GET": SSO_MANAGE}

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        attempt = saml_tests.get_attempt(request.auth, request.GET.get("attempt", ""))
        return redirect(f"{ATTEMPTS}/{attempt.id}")


class AttemptsPage(Page):
    """Sign-ins that were refused, or with ?is_test=true the tests, newest first."""

    scopes = {"GET": SSO_MANAGE}
    template = "dashboard/sso/attempts.html"
    title = "Refused sign-ins"

    def context(self, request: HttpRequest, **kwargs: Any) -> dict[str, Any]:
        query = validated(AttemptsQuerySerializer, request.GET)
        query["is_test"] = bool(query["is_test"])
        page, following = saml_tests.list_attempts(request.auth, **query)
        return {
            "attempts": [(attempt, words_of(attempt.failed_check)) for attempt in page],
            "shows_tests": query["is_test"],
            "is_first": not query["cursor"],
            "older": urlencode({"is_test": query["is_test"], "cursor": following}) if following else "",
        }


class AttemptPage(Page):
    """One of them: every check, expected against received, and what the provider said of the person."""

    scopes = {"GET": SSO_MANAGE}
    template = "dashboard/sso/attempt.html"

    def show(self, request: HttpRequest, form: Form | None = None, status: int = 200, **kwargs: Any) -> HttpResponse:
        attempt = saml_tests.get_attempt(request.auth, kwargs["attempt_id"])
        return super().show(request, form, status, attempt=attempt)

    def context(self, request: HttpRequest, **kwargs: Any) -> dict[str, Any]:
        attempt: SamlAttempt = kwargs["attempt"]
        return {
            "title": _title(attempt),
            "attempt": attempt,
            "failed": words_of(attempt.failed_check),
            "mended_at": page_for(attempt.failed_check, _state_of(request.auth, attempt)),
            "checks": [{**check, "name": words_of(check["check"]).name} for check in attempt.checks],
        }


def _state_of(principal: Principal, attempt: SamlAttempt) -> str:
    """Return which connection an attempt is about: what nobody has signed names none, and came to the serving one."""
    if attempt.provider is not None:
        return attempt.provider.state
    serving = IdentityProvider.State.SERVING
    return str(serving) if serving in saml_config.find_all(principal) else ""


def _title(attempt: SamlAttempt) -> str:
    if attempt.is_test:
        return "The test passed" if attempt.succeeded else "The test failed"
    return f"Refused sign-in {attempt.reference}"
