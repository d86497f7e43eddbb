"""Signing in with Google and Apple in an app: the account that the first sign-in makes, and whom it refuses."""

from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient
from social_django.models import UserSocialAuth

from accounts.models import AuditEvent, SignIn, User, Workspace
from spatialflow.encryption import decrypt
from sso.models import AppleRefreshToken, ProviderNonce, SpentToken
from tests.support.cast import Actor, bearer
from tests.support.native_sign_in import an_invitation, apple, google, trail
from tests.support.oidc_issuer import ABSENT, APPLE, APPLE_CLIENTS, GOOGLE, Issuer, apple_body, nonce_for

pytest_plugins = ["tests.support.oidc_fixtures"]
pytestmark = pytest.mark.django_db


def test_a_first_sign_in_with_google_makes_an_account(anyone: APIClient, provider: Issuer):
    response = google(anyone, provider)

    user = User.objects.get()
    workspace = Workspace.objects.get()
    body = response.json()
    assert response.status_code == 200
    assert {name: body[name] for name in body if name not in ("access_token", "refresh_token", "user")} == {
        "token_type": "Bearer",
        "expires_in": 14400,
        "created": True,
        "role": "owner",
        "consumed_invite_id": None,
        "already_member": None,
    }
    assert body["user"] == bearer(body["access_token"]).get("/api/v1/auth/me").json()
    assert (user.email, user.name, user.has_usable_password()) == ("grace@example.com", "Grace Hopper", False)
    assert user.email_verified_at is not None
    assert (workspace.name, user.last_workspace_id) == ("Grace Hopper's workspace", workspace.id)
    identity = UserSocialAuth.objects.get()
    assert (identity.provider, identity.uid, identity.user_id, identity.extra_data) == ("google", "109", user.id, {})
    assert SignIn.objects.get().method == "google"
    assert response.cookies["spatialflow_refresh"]["httponly"]


def test_the_trail_tells_of_it(anyone: APIClient, provider: Issuer):
    google(anyone, provider)

    assert trail() == [
        ("workspace.created", None),
        ("account.signed_up", {"provider": "google"}),
        ("auth.signed_in", None),
    ]
    assert {event.actor_email for event in AuditEvent.objects.all()} == {"grace@example.com"}


def test_a_first_sign_in_with_apple_makes_an_account(anyone: APIClient, provider: Issuer):
    response = apple(anyone, provider)

    user = User.objects.get()
    kept = AppleRefreshToken.objects.get()
    assert (response.status_code, response.json()["created"]) == (200, True)
    assert (user.email, user.name) == ("ada@example.com", "Ada Lovelace")
    assert SignIn.objects.get().method == "apple"
    assert (kept.user_id, kept.client_id, decrypt(kept.token)) == (user.id, APPLE_CLIENTS[1], "r.001.ada.0001")
    assert UserSocialAuth.objects.get().extra_data == {}
    assert ProviderNonce.objects.count() == 0


def test_apple_names_a_person_the_first_time_only(anyone: APIClient, provider: Issuer):
    apple(anyone, provider)

    response = apple(
        anyone, provider, full_name=None, confirm_new_account=None, token_email=ABSENT, token_email_verified=ABSENT
    )

    assert (response.status_code, response.json()["created"]) == (200, False)
    assert [(user.email, user.name) for user in User.objects.all()] == [("ada@example.com", "Ada Lovelace")]
    assert AppleRefreshToken.objects.count() == 1


@pytest.mark.parametrize(
    ("full_name", "kept"),
    [
        ({"given_name": "Ada\u202e", "family_name": "\tLove\u200blace\n"}, "Ada Love lace"),
        ({"given_name": None, "family_name": "Lovelace"}, "Lovelace"),
        ({}, ""),
        (None, ""),
        ({"given_name": "<script>", "family_name": ""}, "<script>"),
    ],
)
def test_a_name_is_whatever_somebody_typed(anyone: APIClient, provider: Issuer, full_name: Any, kept: str):
    assert apple(anyone, provider, full_name=full_name).status_code == 200
    assert User.objects.get().name == kept


@pytest.mark.parametrize("name", ["\0Grace", "Grace\ud800", "G" * 4000, 5, ["Grace"], {"a": 1}, None, "", "\x1b[31mG"])
def test_an_odd_name_is_no_obstacle(anyone: APIClient, provider: Issuer, name: Any):
    response = google(anyone, provider, name=name)

    assert response.status_code == 200
    assert len(User.objects.get().name) <= 255


def test_a_private_address_is_an_ordinary_one(anyone: APIClient, provider: Issuer, alice: Actor):
    response = apple(anyone, provider, token_email="x7k2@privaterelay.appleid.com", token_is_private_email="true")

    assert (response.status_code, response.json()["user"]["email"]) == (200, "x7k2@privaterelay.appleid.com")


def test_a_new_account_with_apple_is_confirmed_first(anyone: APIClient, provider: Issuer):
    body = apple_body(provider, nonce_for(anyone), confirm_new_account=None)

    refused = anyone.post(APPLE, body, format="json")

    detail = "There is no account for you here yet. Send this again with confirm_new_account true to make one."
    assert (refused.status_code, refused.json()) == (409, {"detail": detail, "error_code": "confirm_new_account"})
    assert (User.objects.count(), SpentToken.objects.count(), provider.asked("/token")) == (0, 0, 0)

    # The very same, confirmed.
    assert anyone.post(APPLE, {**body, "confirm_new_account": True}, format="json").json()["created"] is True


def test_where_signup_is_closed_only_the_invited_get_in(
    anyone: APIClient, provider: Issuer, alice: Actor, settings: Any
):
    settings.SIGNUP_IS_OPEN = False
    link = an_invitation(alice, "grace@example.com")

    stranger, invited = google(anyone, provider), google(anyone, provider, **link)

    assert (stranger.status_code, stranger.json()["error_code"]) == (403, "signup_closed")
    assert (invited.status_code, invited.json()["created"]) == (200, True)


def test_closed_signup_is_said_before_anybody_is_asked_to_confirm(anyone: APIClient, provider: Issuer, settings: Any):
    settings.SIGNUP_IS_OPEN = False

    response = apple(anyone, provider, confirm_new_account=None)

    assert (response.status_code, response.json()["error_code"]) == (403, "signup_closed")


@pytest.mark.parametrize("path", [GOOGLE, APPLE])
def test_who_is_only_in_suspended_workspaces_spends_nothing(anyone: APIClient, provider: Issuer, bob: Actor, path: str):
    email = {"email": bob.user.email}
    body = {"id_token": provider.google_token(**email)}
    if path == APPLE:
        body = apple_body(provider, nonce_for(anyone), token_email=bob.user.email)
    Workspace.objects.update(suspended_at=timezone.now())

    response = anyone.post(path, body, format="json")

    assert (response.status_code, response.json()["error_code"]) == (403, "no_workspace")
    assert (SpentToken.objects.count(), UserSocialAuth.objects.count(), provider.asked("/token")) == (0, 0, 0)

    Workspace.objects.update(suspended_at=None)
    assert anyone.post(path, body, format="json").status_code == 200  # the very same
