"""Requests of single logout at once: of copies one counts, and no sign-in of the session survives."""

from collections import Counter
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest

from accounts.models import AuditEvent, SignIn
from sso.models import SamlAttempt
from tests.support.oauth import CLIENT_STATE, VERIFIER
from tests.support.race import at_once, call
from tests.support.saml_logout import logout_request
from tests.support.saml_logout_fixtures import offering_logout  # noqa: F401
from tests.support.saml_steps import get_code
from tests.test_saml_logout import alive, enter

pytest_plugins = ["tests.support.saml_fixtures"]
pytestmark = pytest.mark.django_db


def fetch(server: str, query: str) -> int:
    parts = urlsplit(server)
    connection = HTTPConnection(parts.hostname or "", parts.port, timeout=30)
    try:
        connection.request("GET", f"/api/v1/auth/saml/acme/slo?{query}")
        response = connection.getresponse()
        response.read()
        return response.status
    finally:
        connection.close()


@pytest.mark.django_db(transaction=True)
def test_of_copies_of_one_request_one_counts(server, bob, idp, connection):
    his, query = enter(idp), logout_request(idp)

    results = at_once(12, lambda _: fetch(server, query))

    assert Counter(results) == {302: 1, 400: 11}
    assert alive(his) == [False]
    assert AuditEvent.objects.filter(action="sso.logged_out").count() == 1
    assert SamlAttempt.objects.count() == 11


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("attempt", range(5))
def test_of_a_logout_and_a_code_of_its_session_no_sign_in_survives(server, bob, idp, connection, browser, attempt):
    """Whichever comes first: a traded code is ended, and a code that was not traded is none any more."""
    code = get_code(browser, idp, session_index="_his")
    query = logout_request(idp, session_indexes=["_his"])
    body = {"code": code, "code_verifier": VERIFIER, "state": CLIENT_STATE}
    steps = [
        lambda: call(server, "POST", "/api/v1/auth/sso/exchange", body).status,
        lambda: fetch(server, query),
    ]

    traded, logged_out = at_once(2, lambda index: steps[index]())

    assert (traded in (200, 401), logged_out) == (True, 302)
    assert not SignIn.objects.live().filter(method="saml").exists()
