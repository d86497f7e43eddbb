"""Signing in with Google and Apple in an app: invitations, and those that let nobody in."""

from datetime import timedelta

import pytest
from django.utils import timezone
from rest_framework.test import APIClient
from social_django.models import UserSocialAuth

from accounts.models import Invitation, Membership, SignIn, User, Workspace
from sso.models import SpentToken
from tests.support.cast import Actor
from tests.support.native_sign_in import an_invitation, apple, google, trail
from tests.support.oidc_issuer import GOOGLE, Issuer

pytest_plugins = ["tests.support.oidc_fixtures"]
pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("known", [False, True])
def test_an_invitation_into_a_workspace_that_is_suspended_makes_and_spends_nothing(
    anyone: APIClient, provider: Issuer, alice: Actor, mallory: Actor, known: bool
):
    body = {"id_token": provider.google_token(email="mallory@other.test" if known else "grace@example.com")}
    body |= an_invitation(alice, "mallory@other.test" if known else "grace@example.com")
    Workspace.objects.filter(slug="acme").update(suspended_at=timezone.now())
    before = [model.objects.count() for model in (User, Membership, SignIn, UserSocialAuth, SpentToken)]

    response = anyone.post(GOOGLE, body, format="json")

    assert (response.status_code, response.json()["error_code"]) == (404, "not_found")
    assert before == [model.objects.count() for model in (User, Membership, SignIn, UserSocialAuth, SpentToken)]
    assert Invitation.objects.get().status == "pending"

    Workspace.objects.update(suspended_at=None)
    assert anyone.post(GOOGLE, body, format="json").json()["role"] == "field_worker"


def test_an_invitation_makes_the_newcomer_a_member(anyone: APIClient, provider: Issuer, alice: Actor):
    link = an_invitation(alice, "grace@example.com", "manager")

    response = google(anyone, provider, **link)

    body = response.json()
    assert (response.status_code, body["created"], body["role"]) == (200, True, "manager")
    assert (body["consumed_invite_id"], body["already_member"]) == (link["invite_id"], False)
    assert body["user"]["workspace_slug"] == "acme"
    grace = User.objects.get(email="grace@example.com")
    assert list(Membership.objects.filter(user=grace).values_list("workspace__slug", "role")) == [("acme", "manager")]
    assert Invitation.objects.get().status == "accepted"
    assert [action for action, _ in trail()][-3:] == [
        "invitation.accepted",
        "account.signed_up",
        "auth.signed_in",
    ]


def test_an_invitation_needs_no_further_confirmation_with_apple(anyone: APIClient, provider: Issuer, alice: Actor):
    link = an_invitation(alice, "ada@example.com")

    response = apple(anyone, provider, confirm_new_account=False, **link)

    assert (response.status_code, response.json()["consumed_invite_id"]) == (200, link["invite_id"])


def test_an_invitation_for_who_is_a_member_already(anyone: APIClient, provider: Issuer, alice: Actor):
    google(anyone, provider)
    link = an_invitation(alice, "grace@example.com")
    grace = User.objects.get(email="grace@example.com")
    Membership.objects.create(user=grace, workspace=alice.workspace, role="manager")

    body = google(anyone, provider, **link).json()

    assert (body["already_member"], body["role"], body["created"]) == (True, "manager", False)


@pytest.mark.parametrize("known", [False, True])
def test_an_invitation_for_another_address_changes_nothing(
    anyone: APIClient, provider: Issuer, alice: Actor, known: bool
):
    link = an_invitation(alice, "somebody.else@example.com")
    if known:
        google(anyone, provider)
    before = [model.objects.count() for model in (User, Membership, SignIn, UserSocialAuth, SpentToken)]

    response = google(anyone, provider, **link)

    assert (response.status_code, response.json()["error_code"]) == (409, "INVITE_EMAIL_MISMATCH")
    assert before == [model.objects.count() for model in (User, Membership, SignIn, UserSocialAuth, SpentToken)]
    assert Invitation.objects.get().status == "pending"


def test_the_invited_address_counts_and_not_what_the_provider_calls_it_by_now(
    anyone: APIClient, provider: Issuer, alice: Actor
):
    google(anyone, provider)
    link = an_invitation(alice, "new@example.com")

    response = google(anyone, provider, email="new@example.com", **link)

    assert (response.status_code, response.json()["error_code"]) == (409, "INVITE_EMAIL_MISMATCH")


def test_half_a_link_is_none(anyone: APIClient, provider: Issuer, alice: Actor):
    link = an_invitation(alice, "grace@example.com")

    body = google(anyone, provider, invite_id=link["invite_id"], invite_token="").json()

    assert (body["consumed_invite_id"], body["role"]) == (None, "owner")


@pytest.mark.parametrize("spoiled", ["the id", "the token", "both", "no id at all"])
def test_an_invitation_that_there_is_not(anyone: APIClient, provider: Issuer, alice: Actor, spoiled: str):
    link = an_invitation(alice, "grace@example.com")
    if spoiled in ("the id", "both"):
        link["invite_id"] = "00000000-0000-4000-8000-000000000000"
    if spoiled in ("the token", "both"):
        link["invite_token"] = "x" * 43
    if spoiled == "no id at all":
        link["invite_id"] = "1 or 1=1"

    response = google(anyone, provider, **link)

    assert (response.status_code, response.json()["error_code"]) == (404, "not_found")
    assert not User.objects.filter(email="grace@example.com").exists()


def test_an_expired_invitation_is_said_to_be(anyone: APIClient, provider: Issuer, alice: Actor):
    link = an_invitation(alice, "grace@example.com")
    Invitation.objects.update(expires_at=timezone.now() - timedelta(seconds=1))

    response = google(anyone, provider, **link)

    assert (response.status_code, response.json()["error_code"]) == (400, "invitation_expired")
    assert not User.objects.filter(email="grace@example.com").exists()
