"""Whom an identity provider signs in who is no member yet: who is invited, and where it is allowed, new ones."""

from datetime import timedelta

import pytest
from django.utils import timezone
from social_django.models import UserSocialAuth

from accounts.models import AuditEvent, Invitation, Membership, User
from sso.models import IdentityProvider, SamlAttempt
from tests.support.oauth import exchange
from tests.support.saml_idp import SamlIdp
from tests.support.saml_members import DAVE, invite, place_of
from tests.support.saml_steps import came_in, get_code, initiate, post, refused_by, sign_in

pytest_plugins = ["tests.support.saml_fixtures"]
pytestmark = pytest.mark.django_db


# Strangers


def test_a_stranger_stays_out(mallory, idp, connection, browser):
    assert refused_by(sign_in(browser, idp, name_id=DAVE)) == "membership"
    assert not User.objects.filter(email=DAVE).exists() and not UserSocialAuth.objects.exists()


def test_an_account_of_elsewhere_stays_out_too(idp, connection, browser):
    User.objects.create_user(DAVE, "correct horse battery staple", email_verified_at=timezone.now())

    assert refused_by(sign_in(browser, idp, name_id=DAVE)) == "membership"
    assert place_of(DAVE) is None and not UserSocialAuth.objects.exists()


def test_a_new_member_is_made_where_that_is_allowed(idp, creating, browser):
    IdentityProvider.objects.update(attribute_mapping={"first_name": "given", "last_name": "sn"})
    attributes = {"given": "Dave", "sn": "Miller"}

    pair = exchange(browser, get_code(browser, idp, name_id=DAVE, attributes=attributes)).json()

    dave = User.objects.get(email=DAVE)
    assert pair["created"] is True and pair["user"]["workspace_slug"] == "acme"
    assert (dave.name, dave.email_verified_at is not None, dave.has_usable_password()) == ("Dave Miller", True, False)
    assert list(dave.memberships.values_list("workspace__slug", "role")) == [("acme", "field_worker")]
    actions = set(AuditEvent.objects.values_list("action", flat=True))
    assert {"member.added", "account.signed_up", "auth.signed_in"} <= actions


def test_a_closed_signup_is_no_obstacle(idp, creating, browser, settings):
    settings.SIGNUP_IS_OPEN = False

    assert came_in(sign_in(browser, idp, name_id=DAVE))


def test_nobody_becomes_an_owner_by_a_switch(idp, creating, browser):
    IdentityProvider.objects.update(default_role="owner")

    assert came_in(sign_in(browser, idp, name_id=DAVE))
    assert place_of(DAVE) == "member"


def test_attributes_grant_nothing(bob, idp, creating, browser):
    wishes = {"role": "owner", "is_staff": "true", "is_superuser": "1", "groups": ["admins", "owner"]}

    sign_in(browser, idp, attributes=wishes)
    sign_in(browser, idp, name_id=DAVE, attributes=wishes)

    assert (place_of("bob@acme.test"), place_of(DAVE)) == ("field_worker", "field_worker")
    assert not User.objects.exclude(is_staff=False, is_superuser=False).exists()


@pytest.mark.parametrize("creates", [False, True])
def test_a_provider_that_claims_a_domain_it_has_not_proven_gets_nobody(bob, mallory, browser, creates):
    foreign = SamlIdp(entity_id="https://idp.other.test/saml", key="other")
    foreign.configure(mallory.workspace, creates_members=creates)
    mallory.workspace.domains.create(domain="acme.test")

    for email in ("bob@acme.test", "new@acme.test"):
        url = initiate(browser, "other")
        assert refused_by(post(browser, foreign.respond(url, name_id=email), "other")) == "domain"
    assert place_of("bob@acme.test", "other") is None and not User.objects.filter(email="new@acme.test").exists()


# Whoever is invited


def test_an_account_of_elsewhere_joins_by_an_invitation_alone(acme, idp, creating, browser):
    """The domain may have been another company's when the account was made."""
    dave = User.objects.create_user(DAVE, "correct horse battery staple", name="D", email_verified_at=timezone.now())

    assert refused_by(sign_in(browser, idp, name_id=DAVE)) == "account"
    assert "invite exactly this address" in SamlAttempt.objects.get().checks[-1]["expected"]
    assert (place_of(DAVE), dave.social_auth.exists()) == (None, False)

    invite(acme)
    assert came_in(sign_in(browser, idp, name_id=DAVE))
    dave.refresh_from_db()
    assert (place_of(DAVE), dave.name, dave.has_usable_password()) == ("manager", "D", True)


@pytest.mark.parametrize("has_account", [False, True])
def test_whoever_is_invited_comes_in_with_the_role_of_the_invitation(acme, idp, creating, browser, has_account):
    if has_account:
        User.objects.create_user(DAVE, "correct horse battery staple", email_verified_at=timezone.now())
    invitation = invite(acme)

    assert came_in(sign_in(browser, idp, name_id=DAVE))

    invitation.refresh_from_db()
    assert (place_of(DAVE), invitation.status) == ("manager", "accepted")
    assert User.objects.get(email=DAVE).email_verified_at is not None


@pytest.mark.parametrize(
    "made",
    [
        lambda acme, other: invite(acme, "dave@elsewhere.test"),
        lambda acme, other: invite(acme, "dave.x@acme.test"),
        lambda acme, other: invite(acme, expires_at=timezone.now() - timedelta(seconds=1)),
        lambda acme, other: invite(acme, revoked_at=timezone.now()),
        lambda acme, other: invite(acme, used_at=timezone.now()),
        lambda acme, other: invite(other),
    ],
    ids=["other domain", "other person", "expired", "revoked", "used", "other workspace"],
)
def test_any_other_invitation_opens_nothing(acme, mallory, idp, connection, browser, made):
    invitation = made(acme, mallory.workspace)

    assert refused_by(sign_in(browser, idp, name_id=DAVE)) == "membership"
    before, invitation = invitation.used_at, Invitation.objects.get()
    assert invitation.used_at == before and not User.objects.filter(email=DAVE).exists()


# Whoever was a member


def test_whoever_was_removed_does_not_come_back_by_the_switch(bob, acme, idp, creating, browser):
    sign_in(browser, idp)
    Membership.objects.filter(user=bob.user).delete()

    assert refused_by(sign_in(browser, idp)) == "membership"
    invite(acme, "bob@acme.test", "member")
    assert came_in(sign_in(browser, idp))
    assert place_of("bob@acme.test") == "member"


def test_whoever_was_removed_stays_out_whatever_becomes_of_the_connection(alice, bob, acme, idp, creating, browser):
    """They had never signed in by it, or it was made anew since."""
    assert alice.client.delete(f"/api/v1/workspaces/members/{bob.user.id}").status_code == 204

    assert refused_by(sign_in(browser, idp)) == "membership"
    assert "was removed, or left" in SamlAttempt.objects.get().checks[-1]["expected"]
    IdentityProvider.objects.all().delete()
    again = SamlIdp()
    again.configure(acme, creates_members=True)
    assert refused_by(sign_in(browser, again)) == "membership"

    invite(acme, "bob@acme.test", "member")
    assert came_in(sign_in(browser, again))
    assert place_of("bob@acme.test") == "member"
    assert came_in(sign_in(browser, again))  # the removal is forgotten


def test_who_left_by_themselves_too(bob, idp, creating, browser):
    assert bob.client.post("/api/v1/workspaces/leave").status_code == 204

    assert refused_by(sign_in(browser, idp)) == "membership"
