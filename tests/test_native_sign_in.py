"""Signing in with Google and Apple in an app: what is answered, made and kept; invitations; limits; what is missing."""

import time
from statistics import median
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient
from social_django.models import UserSocialAuth

from accounts.invitations import invite
from accounts.models import AuditEvent, Invitation, Membership, SignIn, User, Workspace
from spatialflow.encryption import decrypt
from sso.models import AppleRefreshToken, ProviderNonce, SpentToken
from tests.support.cast import Actor, bearer
from tests.support.oidc_issuer import (
    ABSENT,
    APPLE,
    APPLE_CLIENTS,
    GOOGLE,
    NONCE,
    Issuer,
    apple_body,
    elsewhere,
    endlessly,
    nonce_for,
    slowly,
    with_a_list,
    with_a_page,
    with_an_error,
    with_nesting,
)

pytest_plugins = ["tests.support.oidc_fixtures"]
pytestmark = pytest.mark.django_db


def google(client: APIClient, provider: Issuer, **changes: Any) -> Any:
    body = {name: changes.pop(name) for name in ("invite_id", "invite_token") if name in changes}
    return client.post(GOOGLE, {"id_token": provider.google_token(**changes), **body}, format="json")


def apple(client: APIClient, provider: Issuer, **changes: Any) -> Any:
    return client.post(APPLE, apple_body(provider, nonce_for(client), **changes), format="json")


def trail() -> list[tuple[str, Any]]:
    return list(AuditEvent.objects.order_by("sequence").values_list("action", "changes"))


def an_invitation(alice: Actor, email: str, role: str = "field_worker") -> dict[str, str]:
    issued = invite(alice.request(), email, role)
    return {"invite_id": str(issued.invitation.id), "invite_token": issued.link.rpartition("token=")[2]}


# --- The first sign-in


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


# --- Invitations


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
    Invitation.objects.update(expires_at=timezone.now())

    response = google(anyone, provider, **link)

    assert (response.status_code, response.json()["error_code"]) == (400, "invitation_expired")
    assert not User.objects.filter(email="grace@example.com").exists()


# --- Apple's authorization code


@pytest.mark.parametrize("bad", ["made up", "used", "of another client", "of somebody else", "", "x" * 3000])
def test_a_code_that_apple_refuses_signs_nobody_in(anyone: APIClient, provider: Issuer, bad: str):
    used = provider.apple_code()
    codes = {
        "used": lambda: provider.codes.pop(used) and used,
        "of another client": lambda: provider.apple_code(client_id=APPLE_CLIENTS[0]),
        "of somebody else": lambda: provider.apple_code("001.mallory"),
    }
    body = {**apple_body(provider, nonce_for(anyone)), "authorization_code": codes.get(bad, lambda: bad)()}

    response = anyone.post(APPLE, body, format="json")

    expected = (401, "invalid_authorization_code") if len(bad) > 1 and len(bad) < 100 else (422, "validation_error")
    assert (response.status_code, response.json()["error_code"]) == expected
    assert (User.objects.count(), AppleRefreshToken.objects.count()) == (0, 0)


@pytest.mark.parametrize(
    "misbehaviour", [slowly, with_a_page, with_an_error, endlessly, elsewhere, with_a_list, with_nesting]
)
def test_apple_down_is_a_502_in_time_and_nothing_half_made(anyone: APIClient, provider: Issuer, misbehaviour: Any):
    provider.behave("/token", misbehaviour)
    began = time.monotonic()

    response = apple(anyone, provider)

    assert (response.status_code, response.json()["error_code"]) == (502, "provider_unavailable")
    assert time.monotonic() - began < 6
    assert (User.objects.count(), SignIn.objects.count()) == (0, 0)

    provider.behave("/token", None)
    assert apple(anyone, provider).status_code == 200


def test_apple_that_does_not_know_this_service_is_the_operators_to_repair(
    anyone: APIClient, provider: Issuer, settings: Any, caplog: Any
):
    settings.APPLE_KEY_ID = "ANOTHERKEY"

    response = apple(anyone, provider)

    assert (response.status_code, response.json()["error_code"]) == (502, "provider_refused_service")
    assert "127.0.0.1 answered 400 invalid_client" in caplog.text
    assert (User.objects.count(), SignIn.objects.count()) == (0, 0)


# --- What is missing, odd or too much


@pytest.mark.parametrize(
    ("path", "absent", "named"),
    [
        (GOOGLE, ["GOOGLE_CLIENT_IDS"], "GOOGLE_CLIENT_IDS"),
        (APPLE, ["APPLE_CLIENT_IDS", "APPLE_KEY_ID"], "APPLE_CLIENT_IDS and APPLE_KEY_ID"),
        (NONCE, ["APPLE_PRIVATE_KEY"], "APPLE_PRIVATE_KEY"),
        ("/api/v1/auth/apple/notifications", ["APPLE_TEAM_ID"], "APPLE_TEAM_ID"),
    ],
)
def test_an_unconfigured_provider_names_what_is_missing(
    anyone: APIClient, provider: Issuer, settings: Any, path: str, absent: list[str], named: str
):
    body = {"id_token": "x", "identity_token": "x", "authorization_code": "x", "nonce": "x", "payload": "x"}
    assert anyone.post(path, body, format="json").status_code in (200, 401)
    for name in absent:
        setattr(settings, name, "")

    response = anyone.post(path, body, format="json")

    name = "Google" if path == GOOGLE else "Apple"
    sentence = f"Sign-in with {name} is not set up here: the operator of this service has to set {named}."
    assert (response.status_code, response.json()) == (
        503,
        {"detail": sentence, "error_code": "provider_not_configured"},
    )


@pytest.mark.parametrize(
    "odd",
    [
        *({"id_token": value} for value in (None, "", [], {}, "x" * 30_000)),
        *({"invite_id": value, "invite_token": "x"} for value in ([], {}, "x" * 200)),
        *({"full_name": value} for value in ("Ada", [], 5, {"given_name": []}, {"family_name": "x" * 400})),
        *({"nonce": value} for value in (None, "", [], "x" * 600)),
        {"confirm_new_account": "perhaps"},
    ],
)
def test_odd_bodies_are_unprocessable(anyone: APIClient, provider: Issuer, odd: dict[str, Any]):
    path = GOOGLE if odd.keys() & {"id_token", "invite_id"} else APPLE
    good = {"id_token": provider.google_token()} if path == GOOGLE else apple_body(provider, nonce_for(anyone))

    response = anyone.post(path, {**good, **odd}, format="json")

    assert (response.status_code, response.json()["error_code"]) == (422, "validation_error")
    assert anyone.post(path, good, format="json").status_code == 200


@pytest.mark.parametrize("name", ["id_token", "invite_id", "invite_token"])
def test_a_nul_is_no_json(anyone: APIClient, provider: Issuer, name: str):
    response = anyone.post(GOOGLE, {"id_token": "x", name: "\0"}, format="json")

    assert (response.status_code, response.json()["error_code"]) == (400, "malformed_json")


def test_sixty_tokens_a_minute_from_one_address(anyone: APIClient, provider: Issuer):
    answers = [anyone.post(GOOGLE, {"id_token": "x"}, format="json").status_code for _ in range(61)]

    assert answers == [401] * 60 + [429]
    assert apple(anyone, provider).status_code == 429


def test_ten_nonces_a_minute_to_one_address(anyone: APIClient, provider: Issuer):
    answers = [anyone.post(NONCE) for _ in range(11)]

    assert [answer.status_code for answer in answers] == [200] * 10 + [429]
    assert len({answer.json()["nonce"] for answer in answers[:10]}) == 10
    assert int(answers[10]["Retry-After"]) <= 60


def test_expired_rows_are_swept_out(anyone: APIClient, provider: Issuer):
    nonce_for(anyone)
    google(anyone, provider)
    for model in (ProviderNonce, SpentToken):
        model.objects.update(expires_at=timezone.now())

    nonce_for(anyone)
    google(anyone, provider)

    assert (ProviderNonce.objects.count(), SpentToken.objects.count()) == (1, 1)


def test_an_exchange_with_known_keys_needs_no_network_and_little_time(anyone: APIClient, provider: Issuer):
    google(anyone, provider)
    tokens = [provider.google_token(jti=str(number)) for number in range(30)]
    asked, times = len(provider.seen), []

    for token in tokens:
        began = time.perf_counter()
        assert anyone.post(GOOGLE, {"id_token": token}, format="json").status_code == 200
        times.append(time.perf_counter() - began)

    print(f"A token exchange without network: {1000 * median(times):.1f} ms (median of {len(times)}).")
    assert len(provider.seen) == asked
    assert median(times) < 0.5
