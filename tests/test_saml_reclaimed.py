"""An account with an employee's address that nobody has proven: whoever made it loses it to the employee."""

from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient
from social_django.models import UserSocialAuth

from accounts import mailed_tokens
from accounts.models import AuditEvent, MailedToken, Membership, OutgoingMail, SignIn, User, Workspace
from apikeys.models import ApiKey
from sso.models import IdentityProvider, LoginCode, SamlAttempt
from tests.support.cast import PASSWORD, Actor, bearer
from tests.support.mails import delivered
from tests.support.oauth import CHALLENGED
from tests.support.saml_idp import SamlIdp
from tests.support.saml_members import DAVE, invite
from tests.support.saml_steps import came_in, post, refused_by, sign_in, signed_in_by_saml

pytest_plugins = ["tests.support.saml_fixtures"]
pytestmark = pytest.mark.django_db


@pytest.fixture
def creating(connection: IdentityProvider) -> IdentityProvider:
    IdentityProvider.objects.update(creates_members=True)
    return connection


def log_in(email: str = DAVE) -> Any:
    return APIClient().post("/api/v1/auth/login", {"email": email, "password": PASSWORD}, format="json")


@pytest.fixture
def outsider(db: None) -> APIClient:
    """Whoever signed up with Dave's address, and is signed in to the account."""
    body = {"email": DAVE, "password": PASSWORD, "name": "Not Dave"}
    assert APIClient().post("/api/v1/public/signup", body, format="json").status_code == 201
    return bearer(log_in().json()["access_token"])


def test_the_employee_gets_it_and_the_outsider_is_out(outsider, idp, creating, browser):
    dave = User.objects.get()
    raw = mailed_tokens.make(dave, MailedToken.Purpose.VERIFY_EMAIL, DAVE)
    LoginCode.objects.issue(user=dave, workspace=dave.last_workspace, provider="google", code_challenge="x")
    UserSocialAuth.objects.create(user=dave, provider="google", uid="of the outsider")
    ApiKey.objects.issue(workspace=dave.last_workspace, created_by=dave, name="k", scopes=["geofences:read"])

    assert came_in(sign_in(browser, idp, name_id=DAVE))

    dave.refresh_from_db()
    assert (dave.has_usable_password(), dave.email_verified_at is not None) == (False, True)
    assert outsider.get("/api/v1/auth/me").status_code == log_in().status_code == 401
    assert APIClient().post("/api/v1/auth/verify-email", {"token": raw}, format="json").status_code == 400
    assert [one.provider for one in UserSocialAuth.objects.all()] == [creating.provider_name]
    assert not LoginCode.objects.exists() and not ApiKey.objects.filter(revoked_at=None).exists()
    assert list(SignIn.objects.live().values_list("method", flat=True)) == ["saml"]
    event = AuditEvent.objects.get(action="account.reclaimed")
    assert (event.actor_id, event.workspace_id, event.changes) == (
        dave.id,
        creating.workspace_id,
        {"sign_ins_ended": 1},
    )


def test_a_second_factor_of_the_outsider_goes_too(outsider, idp, creating, browser):
    User.objects.update(totp_secret="x", totp_confirmed_at=timezone.now())

    assert came_in(sign_in(browser, idp, name_id=DAVE))
    assert not User.objects.get().has_second_factor


def test_the_person_hears_of_it(outsider, idp, creating, browser):
    OutgoingMail.objects.all().delete()

    sign_in(browser, idp, name_id=DAVE)

    [mail] = [mail for mail in delivered() if "is yours now" in mail.subject]
    assert mail.to == [DAVE] and "Acme" in mail.body and "Forgot password" in mail.body


def test_a_member_whose_address_nobody_has_proven_comes_in(outsider, acme, idp, connection, browser):
    """Whoever had the link of an invitation has made the account."""
    Membership.objects.create(user=User.objects.get(), workspace=acme, role="manager")

    assert came_in(sign_in(browser, idp, name_id=DAVE))
    assert Membership.objects.get(workspace=acme).role == "manager" and log_in().status_code == 401


def test_by_an_invitation_too(outsider, acme, idp, connection, browser):
    invite(acme)

    assert came_in(sign_in(browser, idp, name_id=DAVE))
    assert Membership.objects.get(workspace=acme).role == "manager" and log_in().status_code == 401


def test_a_provider_that_lets_them_in_nowhere_takes_nothing(outsider, idp, connection, browser):
    assert refused_by(sign_in(browser, idp, name_id=DAVE)) == "membership"

    assert outsider.get("/api/v1/auth/me").status_code == log_in().status_code == 200
    assert User.objects.get().email_verified_at is None


def test_nor_does_one_that_has_not_proven_the_domain(outsider, mallory: Actor, browser):
    foreign = SamlIdp(entity_id="https://idp.other.test/saml", key="other")
    foreign.configure(mallory.workspace, creates_members=True)

    assert refused_by(sign_in_at(foreign, browser, mallory.workspace)) == "domain"
    assert log_in().status_code == 200


def sign_in_at(idp: SamlIdp, browser: APIClient, workspace: Workspace) -> Any:
    from_there = browser.get(f"/api/v1/auth/saml/{workspace.slug}/initiate", CHALLENGED)["Location"]
    return post(browser, idp.respond(from_there, name_id=DAVE), workspace.slug)


def test_a_proven_account_keeps_all_it_has(bob: Actor, idp, connection, browser):
    assert came_in(sign_in(browser, idp))

    assert bob.client.get("/api/v1/auth/me").status_code == log_in("bob@acme.test").status_code == 200
    assert not AuditEvent.objects.filter(action="account.reclaimed").exists()
    assert signed_in_by_saml() == ["bob@acme.test"] and not SamlAttempt.objects.exists()
