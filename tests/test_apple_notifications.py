"""What Apple's server tells is verified and acted on once; and what Apple is told when an account ends."""

import json
from typing import Any

import pytest
from rest_framework.test import APIClient
from social_django.models import UserSocialAuth

from accounts.models import AuditEvent, OutgoingMail, User
from accounts.outbox import deliver_pending
from sso.models import AppleRefreshToken
from tests.support.cast import Actor, bearer
from tests.support.mails import delivered
from tests.support.oidc_issuer import (
    ABSENT,
    APPLE,
    APPLE_CLIENTS,
    Issuer,
    apple_body,
    nonce_for,
    rsa_key,
    with_an_error,
)

pytest_plugins = ["tests.support.oidc_fixtures"]
pytestmark = pytest.mark.django_db

NOTIFICATIONS = "/api/v1/auth/apple/notifications"
ME = "/api/v1/auth/me"


@pytest.fixture
def ada(anyone: APIClient, provider: Issuer) -> APIClient:
    """Signed in by Apple."""
    body = anyone.post(APPLE, apple_body(provider, nonce_for(anyone)), format="json").json()
    return bearer(body["access_token"])


def tell(client: APIClient, payload: Any) -> Any:
    return client.post(NOTIFICATIONS, {"payload": payload}, format="json")


@pytest.mark.parametrize("kind", ["consent-revoked", "account-delete", "account-deleted"])
def test_an_identity_that_ended_at_apple_ends_here(anyone: APIClient, provider: Issuer, ada: APIClient, kind: str):
    assert ada.get(ME).status_code == 200

    response = tell(anyone, provider.notification(kind))

    assert (response.status_code, response.json()) == (200, {"message": "Understood.", "success": True})
    assert ada.get(ME).status_code == 401
    assert (UserSocialAuth.objects.count(), AppleRefreshToken.objects.count(), User.objects.count()) == (0, 0, 1)
    event = AuditEvent.objects.get(action="account.identity_unlinked")
    assert (event.target_email, event.changes) == (
        "ada@example.com",
        {"provider": "apple", "event": kind, "sign_ins_ended": 1},
    )
    assert "Apple does not sign in to your account any more" in [sent.subject for sent in delivered()]


def test_the_same_notification_acts_once(anyone: APIClient, provider: Issuer, ada: APIClient):
    notification = provider.notification("consent-revoked")
    tell(anyone, notification)
    anyone.post(APPLE, apple_body(provider, nonce_for(anyone)), format="json")  # Ada consents again

    assert tell(anyone, notification).status_code == 200
    assert UserSocialAuth.objects.count() == 1


@pytest.mark.parametrize("kind", ["email-disabled", "email-enabled", "something-new"])
def test_the_rest_changes_nothing(anyone: APIClient, provider: Issuer, ada: APIClient, kind: str):
    assert tell(anyone, provider.notification(kind)).status_code == 200
    assert (ada.get(ME).status_code, UserSocialAuth.objects.count()) == (200, 1)


def test_a_subject_that_nobody_has_is_nothing_to_act_on(anyone: APIClient, provider: Issuer, ada: APIClient):
    assert tell(anyone, provider.notification("consent-revoked", "001.nobody")).status_code == 200
    assert ada.get(ME).status_code == 200


def test_other_sign_ins_go_on(anyone: APIClient, provider: Issuer, alice: Actor):
    anyone.post(APPLE, apple_body(provider, nonce_for(anyone), token_email="alice@acme.test"), format="json")

    tell(anyone, provider.notification("consent-revoked"))

    assert (UserSocialAuth.objects.count(), alice.client.get(ME).status_code) == (0, 200)


@pytest.mark.parametrize(
    "change",
    [
        {"iss": "https://accounts.google.com"},
        {"aud": "another.app"},
        {"jti": ABSENT},
        {"events": ABSENT},
        {"iat": ABSENT},
        {"iat": 1},
        *({"events": events} for events in ("", "[]", "{", "null", 5, [], {}, "[" * 3000)),
        *({"events": json.dumps({"type": "consent-revoked", "sub": sub})} for sub in (None, 5, [], "\0", "\ud800")),
        {"events": json.dumps({"type": ["consent-revoked"], "sub": "001.ada.0001"})},
    ],
)
def test_what_apple_did_not_say_is_refused(anyone: APIClient, provider: Issuer, ada: APIClient, change: dict[str, Any]):
    response = tell(anyone, provider.notification("consent-revoked", **change))

    assert (response.status_code, response.json()["error_code"]) == (401, "invalid_identity_token")
    assert ada.get(ME).status_code == 200


def test_an_unsigned_or_forged_notification_is_refused(anyone: APIClient, provider: Issuer, ada: APIClient):
    good = provider.notification("consent-revoked")
    provider.keys = {"first": rsa_key("forger")}
    forged = provider.notification("consent-revoked")
    provider.keys = {"first": rsa_key("first")}

    for payload in (forged, good.rpartition(".")[0] + ".", "a.b.c", good.replace(".", "..")):
        assert tell(anyone, payload).status_code == 401
    assert ada.get(ME).status_code == 200
    assert tell(anyone, good).status_code == 200


def test_an_identity_token_is_no_notification_nor_the_reverse(anyone: APIClient, provider: Issuer, ada: APIClient):
    nonce = nonce_for(anyone)
    body = apple_body(provider, nonce)

    assert tell(anyone, body["identity_token"]).status_code == 401
    swapped = {**body, "identity_token": provider.notification("consent-revoked", nonce=nonce)}
    assert anyone.post(APPLE, swapped, format="json").status_code == 401
    assert anyone.post(APPLE, body, format="json").status_code == 200


# --- Apple is told


def test_deleting_an_account_revokes_its_tokens_at_apple(provider: Issuer, ada: APIClient):
    response = ada.delete("/api/v1/account/me")
    assert response.status_code in (200, 204), response.content
    assert (User.objects.count(), provider.asked("/revoke")) == (0, 0)  # the answer has not waited for Apple

    deliver_pending()

    [form] = [form for path, form in provider.seen if path == "/revoke"]
    assert (form["client_id"], form["token"]) == (APPLE_CLIENTS[1], "r.001.ada.0001")
    assert (AppleRefreshToken.objects.count(), OutgoingMail.objects.count()) == (0, 0)


def test_while_apple_is_down_the_account_is_deleted_all_the_same(provider: Issuer, ada: APIClient):
    provider.behave("/revoke", with_an_error)

    assert ada.delete("/api/v1/account/me").status_code in (200, 204)
    deliver_pending()

    assert (User.objects.count(), provider.asked("/revoke")) == (0, 1)
    [waiting] = OutgoingMail.objects.filter(kind="apple_revocation")
    assert (waiting.attempts, "001.ada" in waiting.parameters) == (1, False)
