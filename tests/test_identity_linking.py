"""Whose account an identity opens: by subject, by an address that both sides have verified, and never otherwise."""

from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient
from social_django.models import UserSocialAuth

from accounts.models import AuditEvent, MailedToken, SignIn, User
from accounts.outbox import deliver_pending
from sso.models import AppleRefreshToken, SpentToken
from tests.support.cast import PASSWORD, Actor, bearer
from tests.support.mails import delivered, secret_in
from tests.support.oidc_issuer import ABSENT, APPLE, GOOGLE, Issuer, apple_body, nonce_for

pytest_plugins = ["tests.support.oidc_fixtures"]
pytestmark = pytest.mark.django_db

LINKED = "/api/v1/auth/oauth/user/linked-accounts"
LOGIN = "/api/v1/auth/login"


def google(client: APIClient, provider: Issuer, **changes: Any) -> Any:
    return client.post(GOOGLE, {"id_token": provider.google_token(**changes)}, format="json")


def apple(client: APIClient, provider: Issuer, **changes: Any) -> Any:
    return client.post(APPLE, apple_body(provider, nonce_for(client), **changes), format="json")


def bindings() -> list[tuple[str, str, str]]:
    return list(UserSocialAuth.objects.order_by("id").values_list("provider", "uid", "user__email"))


# --- Binding


def test_an_address_verified_on_both_sides_binds(anyone: APIClient, provider: Issuer, alice: Actor):
    response = google(anyone, provider, email="Alice@ACME.test")

    assert (response.status_code, response.json()["created"]) == (200, False)
    assert response.json()["user"]["id"] == str(alice.user.id)
    assert bindings() == [("google", "109", "alice@acme.test")]
    event = AuditEvent.objects.get(action="account.identity_linked")
    assert (event.actor_email, event.changes, event.workspace_id) == (
        "alice@acme.test",
        {"provider": "google"},
        alice.workspace.id,
    )
    [mail] = [sent for sent in delivered() if sent.subject == "Google now signs in to your account"]
    for remedy in ("secure it first", "“Forgot password”", "two-factor authentication", "disconnecting alone does not"):
        assert remedy in str(mail.body).replace("\n", " ")


def test_binding_keeps_the_password_the_name_and_the_sign_ins(anyone: APIClient, provider: Issuer, alice: Actor):
    google(anyone, provider, email="alice@acme.test")

    login = anyone.post(LOGIN, {"email": "alice@acme.test", "password": PASSWORD}, format="json")
    assert (login.status_code, login.json()["user"]["name"]) == (200, "Alice")
    assert alice.client.get("/api/v1/auth/me").status_code == 200


def test_the_second_time_binds_and_mails_nothing_more(anyone: APIClient, provider: Issuer, alice: Actor):
    google(anyone, provider, email="alice@acme.test")
    delivered()

    google(anyone, provider, email="alice@acme.test")

    assert AuditEvent.objects.filter(action="account.identity_linked").count() == 1
    assert [sent.subject for sent in delivered() if "Google" in sent.subject] == []


def test_one_person_may_have_both_providers(anyone: APIClient, provider: Issuer, alice: Actor):
    google(anyone, provider, email="alice@acme.test")
    apple(anyone, provider, token_email="alice@acme.test")

    assert bindings() == [("google", "109", "alice@acme.test"), ("apple", "001.ada.0001", "alice@acme.test")]


def test_a_changed_address_at_the_provider_changes_nothing_here(anyone: APIClient, provider: Issuer, alice: Actor):
    google(anyone, provider)

    response = google(anyone, provider, email="alice@acme.test", name="Somebody")

    assert response.json()["user"]["email"] == "grace@example.com"
    assert response.json()["user"]["name"] == "Grace Hopper"
    assert bindings() == [("google", "109", "grace@example.com")]


def test_an_address_that_is_not_verified_any_more_does_not_matter_to_a_known_subject(
    anyone: APIClient, provider: Issuer
):
    google(anyone, provider)

    assert google(anyone, provider, email="x@y.test", email_verified=False).status_code == 200


def test_one_subject_of_another_provider_is_somebody_else(anyone: APIClient, provider: Issuer):
    google(anyone, provider)

    response = apple(anyone, provider, token_sub="109")

    assert (response.status_code, response.json()["user"]["email"]) == (200, "ada@example.com")


def test_subjects_differ_by_case(anyone: APIClient, provider: Issuer):
    google(anyone, provider, sub="abc")

    assert google(anyone, provider, sub="ABC", email="other@example.com").json()["user"]["email"] == "other@example.com"


# --- Takeover


@pytest.mark.parametrize("verified", [False, "false", None, ABSENT, "True", 1, "1", "yes", [True], {"a": 1}])
def test_an_address_the_provider_has_not_verified_opens_nothing(
    anyone: APIClient, provider: Issuer, alice: Actor, verified: Any
):
    for address in ("alice@acme.test", "nobody@example.com"):
        response = google(anyone, provider, email=address, email_verified=verified)
        assert (response.status_code, response.json()) == (
            409,
            {
                "detail": "Your email address is not verified at the provider. Verify it there, then sign in again.",
                "error_code": "email_not_verified_at_provider",
            },
        )
    assert (bindings(), User.objects.count(), SpentToken.objects.count()) == ([], 1, 0)


@pytest.mark.parametrize(
    "email", [ABSENT, None, "", "alice", 5, ["alice@acme.test"], "alice@acme.test\0", "a@\ud800.b"]
)
def test_without_an_address_an_unknown_subject_opens_nothing(
    anyone: APIClient, provider: Issuer, alice: Actor, email: Any
):
    response = apple(anyone, provider, token_email=email)

    assert (response.status_code, response.json()["error_code"]) == (401, "email_missing")
    assert (bindings(), User.objects.count(), provider.asked("/token")) == ([], 1, 0)


def test_a_lookalike_address_is_another(anyone: APIClient, provider: Issuer, alice: Actor):
    response = google(anyone, provider, email="alice@acmé.test")

    assert response.json()["user"]["email"] == "alice@xn--acm-dma.test"


def test_who_signed_up_first_with_a_strangers_address_gains_nothing(anyone: APIClient, provider: Issuer):
    """Mallory signs up with Grace's address and a password, and waits for Grace to come by Google."""
    mallory = {"email": "grace@example.com", "password": PASSWORD}
    anyone.post("/api/v1/public/signup", mallory, format="json")
    mallorys = anyone.post(LOGIN, mallory, format="json").json()["access_token"]

    refused = google(anyone, provider)

    sentence = (
        "There is an account with your email address that nobody has proven to own. Set a new password for it with "
        "POST /api/v1/auth/forgot-password, whoever chose the present one; then sign in again."
    )
    assert (refused.status_code, refused.json()) == (
        409,
        {"detail": sentence, "error_code": "email_not_verified_here"},
    )
    assert (bindings(), SpentToken.objects.count()) == ([], 0)
    event = AuditEvent.objects.get(action="auth.sign_in_failed")
    assert (event.target_email, event.changes) == (
        "grace@example.com",
        {"provider": "google", "reason": "email_not_verified_here"},
    )

    # Grace does what the sentence says: from then on the account is hers, and Mallory's password and sign-in are dead.
    anyone.post("/api/v1/auth/forgot-password", {"email": "grace@example.com"}, format="json")
    mail = next(sent for sent in delivered() if "password" in sent.subject.lower())
    body = {"token": secret_in(str(mail.body)), "password": "another horse, another staple"}
    assert anyone.post("/api/v1/auth/password-reset/confirm", body, format="json").status_code == 200

    assert google(anyone, provider).status_code == 200
    assert anyone.post(LOGIN, mallory, format="json").status_code == 401
    assert bearer(mallorys).get("/api/v1/auth/me").status_code == 401


def test_an_unproven_account_without_a_password_is_proven_by_its_mail(anyone: APIClient, provider: Issuer):
    """An invitation's link opened it, which does not prove the address; no reset goes to such an account."""
    grace = User.objects.create_user("grace@example.com")

    refused = google(anyone, provider)

    sentence = (
        "There is an account with your email address that nobody has proven to own. Answer its verification mail, "
        "which POST /api/v1/auth/resend-verification sends once more; then sign in again."
    )
    assert (refused.status_code, refused.json()["detail"]) == (409, sentence)

    anyone.post("/api/v1/auth/resend-verification", {"email": grace.email}, format="json")
    token = secret_in(str(delivered()[-1].body))
    assert anyone.post("/api/v1/auth/verify-email", {"token": token}, format="json").status_code == 200
    assert google(anyone, provider).json()["user"]["id"] == str(grace.id)


def test_who_signs_up_afterwards_with_a_strangers_address_gains_nothing(anyone: APIClient, provider: Issuer):
    """Grace came by Google; Mallory signs up with her address, resets nothing, and tries to come in by a password."""
    google(anyone, provider)
    mallory = {"email": "grace@example.com", "password": PASSWORD}

    assert anyone.post("/api/v1/public/signup", mallory, format="json").status_code == 201
    assert anyone.post(LOGIN, mallory, format="json").status_code == 401
    assert anyone.post(LOGIN, {**mallory, "password": ""}, format="json").status_code == 422
    assert (User.objects.count(), MailedToken.objects.count()) == (1, 0)


def test_a_provider_account_with_a_strangers_unverified_address_gains_nothing_later(
    anyone: APIClient, provider: Issuer
):
    """Mallory makes an account at Google with Grace's address before Grace comes here; Grace then signs up."""
    assert google(anyone, provider, sub="666", email_verified=False).status_code == 409

    assert google(anyone, provider, sub="109").status_code == 200
    assert google(anyone, provider, sub="666", email_verified=False).status_code == 409
    assert bindings() == [("google", "109", "grace@example.com")]


def test_an_address_that_was_given_to_somebody_else_opens_nothing(anyone: APIClient, provider: Issuer):
    google(anyone, provider, sub="109")

    response = google(anyone, provider, sub="110")

    assert (response.status_code, response.json()["error_code"]) == (409, "another_identity_linked")
    assert bindings() == [("google", "109", "grace@example.com")]
    assert google(anyone, provider, sub="109").status_code == 200


@pytest.mark.parametrize("known", [True, False])
def test_a_deactivated_account_stays_closed(anyone: APIClient, provider: Issuer, alice: Actor, known: bool):
    if known:
        assert google(anyone, provider, email="alice@acme.test").status_code == 200
    User.objects.update(is_active=False)

    response = google(anyone, provider, email="alice@acme.test")

    assert (response.status_code, response.json()["error_code"]) == (401, "account_inactive")
    assert len(bindings()) == known
    assert AuditEvent.objects.filter(action="auth.sign_in_failed").count() == 1


def test_an_account_by_google_has_no_password_and_can_get_one(anyone: APIClient, provider: Issuer):
    google(anyone, provider)

    anyone.post("/api/v1/auth/forgot-password", {"email": "grace@example.com"}, format="json")

    [mail] = delivered()
    body = {"token": secret_in(str(mail.body)), "password": PASSWORD}
    assert anyone.post("/api/v1/auth/password-reset/confirm", body, format="json").status_code == 200
    assert anyone.post(LOGIN, {"email": "grace@example.com", "password": PASSWORD}, format="json").status_code == 200


# --- What is linked, and unlinking


def test_linked_accounts_are_listed(anyone: APIClient, provider: Issuer, alice: Actor, bob: Actor):
    google(anyone, provider, email="alice@acme.test")
    google(anyone, provider, sub="110", email="bob@acme.test")
    linked = UserSocialAuth.objects.get(user=alice.user)

    response = alice.client.get(LINKED)

    assert (response.status_code, response.json()) == (
        200,
        {
            "linked_accounts": [
                {
                    "provider": "google",
                    "display_name": "Google",
                    "linked_at": linked.created.isoformat().replace("+00:00", "Z"),
                    "avatar_url": None,
                    "profile_url": None,
                }
            ],
            "has_password": True,
        },
    )


def test_without_any_the_list_is_empty(alice: Actor):
    assert alice.client.get(LINKED).json() == {"linked_accounts": [], "has_password": True}


def test_disconnecting_unlinks_and_ends_what_came_by_it(anyone: APIClient, provider: Issuer, alice: Actor):
    by_google = bearer(google(anyone, provider, email="alice@acme.test").json()["access_token"])

    response = alice.client.delete("/api/v1/auth/oauth/google/disconnect")

    assert (response.status_code, response.json()) == (
        200,
        {"message": "The account was disconnected.", "success": True},
    )
    assert bindings() == []
    assert (by_google.get("/api/v1/auth/me").status_code, alice.client.get(LINKED).status_code) == (401, 200)
    event = AuditEvent.objects.get(action="account.identity_unlinked")
    assert (event.actor_email, event.changes) == ("alice@acme.test", {"provider": "google", "sign_ins_ended": 1})


def test_disconnecting_keeps_the_sign_in_that_asks_for_it(anyone: APIClient, provider: Issuer, alice: Actor):
    by_google = bearer(google(anyone, provider, email="alice@acme.test").json()["access_token"])

    assert by_google.delete("/api/v1/auth/oauth/google/disconnect").status_code == 200
    assert by_google.get("/api/v1/auth/me").status_code == 200


def test_disconnecting_apple_lets_apple_know(anyone: APIClient, provider: Issuer, alice: Actor):
    apple(anyone, provider, token_email="alice@acme.test")

    alice.client.delete("/api/v1/auth/oauth/apple/disconnect")
    deliver_pending()

    [form] = [form for path, form in provider.seen if path == "/revoke"]
    assert (form["token"], form["token_type_hint"]) == ("r.001.ada.0001", "refresh_token")
    assert AppleRefreshToken.objects.count() == 0


def test_the_last_way_in_stays(anyone: APIClient, provider: Issuer):
    grace = bearer(google(anyone, provider).json()["access_token"])

    refused = grace.delete("/api/v1/auth/oauth/google/disconnect")

    assert (refused.status_code, refused.json()["error_code"]) == (400, "last_way_in")
    assert bindings() == [("google", "109", "grace@example.com")]

    apple(anyone, provider, token_email="grace@example.com")  # another way in
    assert grace.delete("/api/v1/auth/oauth/google/disconnect").status_code == 200
    assert grace.delete("/api/v1/auth/oauth/apple/disconnect").status_code == 400


@pytest.mark.parametrize(
    ("name", "status", "code"),
    [
        ("google", 400, "not_linked"),
        ("apple", 400, "not_linked"),
        ("GOOGLE", 404, "not_found"),
        ("x", 404, "not_found"),
    ],
)
def test_what_is_not_linked_cannot_be_disconnected(alice: Actor, bob: Actor, name: str, status: int, code: str):
    UserSocialAuth.objects.create(user=bob.user, provider="google", uid="1")

    response = alice.client.delete(f"/api/v1/auth/oauth/{name}/disconnect")

    assert (response.status_code, response.json()["error_code"]) == (status, code)
    assert UserSocialAuth.objects.count() == 1


@pytest.mark.parametrize("name", ["google", "apple", "anything"])
def test_linking_from_here_is_withdrawn(alice: Actor, name: str):
    response = alice.client.post(f"/api/v1/auth/oauth/{name}/link")

    sentence = (
        "Accounts are not linked here. Sign in with the provider instead: where both sides have verified your email "
        "address, that links them."
    )
    assert (response.status_code, response.json()) == (400, {"detail": sentence, "error_code": "sign_in_instead"})


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("get", LINKED),
        ("delete", "/api/v1/auth/oauth/google/disconnect"),
        ("post", "/api/v1/auth/oauth/google/link"),
    ],
)
def test_only_signed_in_people_may(anyone: APIClient, alice: Actor, method: str, path: str):
    assert getattr(anyone, method)(path).status_code == 401
    assert getattr(alice.key_client(), method)(path).status_code == 403


def test_a_workspace_of_ones_own_when_there_is_none_left(anyone: APIClient, provider: Issuer, alice: Actor):
    google(anyone, provider, email="alice@acme.test")
    alice.workspace.suspended_at = timezone.now()
    alice.workspace.save()

    response = google(anyone, provider, email="alice@acme.test")

    assert (response.status_code, response.json()["error_code"]) == (403, "no_workspace")
    assert SignIn.objects.filter(method="google").count() == 1
