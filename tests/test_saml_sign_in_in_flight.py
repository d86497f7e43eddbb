"""What changes while a person is at their workspace's identity provider counts when they are back."""

from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.models import Membership, User, Workspace, WorkspaceDomain
from sso.models import IdentityProvider, LoginCode, SamlAttempt
from tests.support.oauth import exchange
from tests.support.saml_steps import FORMER, STAGED, get_code, initiate, post, refused_by, signed_in_by_saml

pytest_plugins = ["tests.support.saml_fixtures"]
pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("change", "received"),
    [
        (lambda c: IdentityProvider.objects.update(is_enabled=False), "switched off"),
        (lambda c: IdentityProvider.objects.update(state=FORMER), "replaced by another connection"),
        (lambda c: IdentityProvider.objects.update(state=STAGED), "staged"),
        (lambda c: Workspace.objects.update(plan="team"), "the plan is team"),
        (lambda c: Workspace.objects.update(suspended_at=timezone.now()), "the workspace is suspended"),
    ],
    ids=["disabled", "former", "staged", "plan", "suspended"],
)
@pytest.mark.parametrize("by_code", [False, True])
def test_what_is_switched_off_in_flight_signs_nobody_in(bob, idp, connection, browser, change, received, by_code):
    if by_code:
        code = get_code(browser, idp)
        change(connection)
        assert exchange(browser, code).status_code == 401
    else:
        url = initiate(browser)
        change(connection)
        assert refused_by(post(browser, idp.respond(url))) == "connection"
        assert SamlAttempt.objects.get().checks == [
            {"check": "connection", "passed": False, "expected": "a connection in service", "received": received}
        ]
    assert not signed_in_by_saml()


def test_a_connection_that_was_deleted_in_flight_signs_nobody_in(bob, idp, connection, browser):
    url, code = initiate(browser), get_code(browser, idp)
    connection.delete()

    assert refused_by(post(browser, idp.respond(url))) == "connection"
    assert exchange(browser, code).status_code == 401


@pytest.mark.parametrize("by_code", [False, True])
def test_a_member_who_is_removed_in_flight_stays_out(bob, idp, connection, browser, by_code):
    url, code = initiate(browser), get_code(browser, idp)
    Membership.objects.filter(user=bob.user).delete()

    if by_code:
        assert exchange(browser, code).status_code == 401
    else:
        assert refused_by(post(browser, idp.respond(url))) == "membership"
    assert not signed_in_by_saml()


def test_an_account_that_is_deactivated_in_flight_stays_shut(bob, idp, connection, browser):
    url, code = initiate(browser), get_code(browser, idp)
    User.objects.filter(id=bob.user.id).update(is_active=False)

    assert exchange(browser, code).status_code == 401
    assert refused_by(post(browser, idp.respond(url))) == "account"
    assert not signed_in_by_saml()


def test_a_domain_whose_proof_is_lost_in_flight_counts_no_more(bob, idp, connection, browser):
    url = initiate(browser)
    WorkspaceDomain.objects.update(lost_at=timezone.now() - timedelta(hours=73))

    assert refused_by(post(browser, idp.respond(url))) == "domain"


def test_a_code_is_worth_nothing_once_the_session_at_the_provider_has_ended(bob, idp, connection, browser):
    code = get_code(browser, idp, session_not_on_or_after=3600)
    LoginCode.objects.update(session_ends_at=timezone.now() - timedelta(seconds=1))

    assert exchange(browser, code).status_code == 401
