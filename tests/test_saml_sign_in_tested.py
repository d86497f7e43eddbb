"""An owner's tests of a connection, which sign nobody in and say where they fail."""

from typing import Any

import pytest

from accounts.models import AuditEvent, User
from sso.models import IdentityProvider, SamlAttempt, SamlTest
from tests.support.oauth import told
from tests.support.saml_idp import SamlIdp
from tests.support.saml_steps import FORMER, STAGED, initiate, sign_in, signed_in_by_saml

pytest_plugins = ["tests.support.saml_fixtures"]
pytestmark = pytest.mark.django_db


def make_ticket(provider: IdentityProvider, page: str = "/settings") -> str:
    ticket: str = SamlTest.objects.issue(provider=provider, next=page)
    return ticket


def result_of(response: Any) -> SamlAttempt:
    assert response["Location"].startswith("http://localhost:8000/settings?attempt=")
    assert "spatialflow_refresh" not in response.cookies
    return SamlAttempt.objects.get(id=told(response)["attempt"])


@pytest.mark.parametrize("change", [{"state": STAGED}, {"is_enabled": False}, {}])
def test_a_test_that_passes_is_noted_and_signs_nobody_in(bob, idp, connection, browser, change):
    IdentityProvider.objects.update(tested_at=None, **change)

    response = sign_in(browser, idp, {"test": make_ticket(connection)}, attributes={"department": "North"})

    attempt = result_of(response)
    assert (attempt.is_test, attempt.succeeded, attempt.failed_check) == (True, True, "")
    assert attempt.attributes["department"] == ["North"]
    assert {"connection", "replay", "email", "domain", "account", "membership"} <= {
        check["check"] for check in attempt.checks if check["passed"]
    }
    assert IdentityProvider.objects.get().tested_at is not None
    assert not signed_in_by_saml() and not bob.user.social_auth.exists()
    assert AuditEvent.objects.latest("sequence").action == "sso.tested"


@pytest.mark.parametrize(
    ("said", "check"),
    [({"name_id": "bob@elsewhere.test"}, "domain"), ({"name_id": "nobody@acme.test"}, "membership")],
)
def test_a_test_that_fails_says_where(bob, idp, connection, browser, said, check):
    IdentityProvider.objects.update(tested_at=None)

    attempt = result_of(sign_in(browser, idp, {"test": make_ticket(connection)}, **said))

    assert (attempt.is_test, attempt.succeeded, attempt.failed_check) == (True, False, check)
    assert IdentityProvider.objects.get().tested_at is None
    assert not User.objects.filter(email=said["name_id"]).exists()


def test_a_ticket_begins_one_test_of_its_own_connection(bob, idp, connection, browser, mallory):
    ticket = make_ticket(connection)
    SamlIdp(key="other").configure(mallory.workspace)
    assert browser.get("/api/v1/auth/saml/other/initiate", {"test": ticket}).json()["error_code"] == "invalid_test"

    ticket = make_ticket(connection)
    initiate(browser, test=ticket)

    for again in (ticket, "x", "\N{SNAKE}"):
        answer = browser.get("/api/v1/auth/saml/acme/initiate", {"test": again})
        assert (answer.status_code, answer.json()["error_code"]) == (400, "invalid_test")


def test_a_connection_that_was_replaced_is_not_result_of(idp, connection, browser):
    ticket = make_ticket(connection)
    IdentityProvider.objects.update(state=FORMER)

    assert browser.get("/api/v1/auth/saml/acme/initiate", {"test": ticket}).status_code == 400
