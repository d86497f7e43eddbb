"""What Apple's server tells is verified and acted on once; and what Apple is told when an account ends."""

import json
import time
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient
from social_django.models import UserSocialAuth

from accounts.models import AuditEvent, OutgoingMail, User
from accounts.outbox import deliver_pending, enqueue, is_behind
from sso.models import AppleRefreshToken
from tests.support.cast import Actor, bearer
from tests.support.launch import launch
from tests.support.mails import delivered, mail_of
from tests.support.oidc_issuer import (
    ABSENT,
    APPLE,
    APPLE_CLIENTS,
    Issuer,
    apple_body,
    issuer,
    nonce_for,
    rsa_key,
    slowly,
    with_an_error,
)
from tests.support.race import call

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


@pytest.mark.parametrize("moment", ["event_time", "iat"])
def test_what_happened_before_the_identity_was_bound_changes_nothing(
    anyone: APIClient, provider: Issuer, ada: APIClient, moment: str
):
    """Apple repeats for days what it could not deliver, and Ada has consented again since."""
    event: dict[str, Any] = {"type": "consent-revoked", "sub": "001.ada.0001"}
    an_hour_ago = int(time.time()) - 3600
    if moment == "event_time":
        late = provider.notification("", events=json.dumps(event | {"event_time": an_hour_ago * 1000}))
    else:
        late = provider.notification("", events=json.dumps(event), iat=an_hour_ago)

    assert tell(anyone, late).status_code == 200
    assert (ada.get(ME).status_code, UserSocialAuth.objects.count()) == (200, 1)

    UserSocialAuth.objects.update(created=timezone.now() - timedelta(hours=2))
    again = provider.notification("", events=json.dumps(event), iat=an_hour_ago)
    assert (tell(anyone, again).status_code, ada.get(ME).status_code) == (200, 401)


RELAY = "x7k2@privaterelay.appleid.com"


def about_mail(provider: Issuer, kind: str, email: str | None = RELAY, **more: Any) -> str:
    event = {"type": kind, "sub": "001.ada.0001", "email": email, "is_private_email": "true", **more}
    return provider.notification("", events=json.dumps(event))


def test_to_a_private_address_that_apple_does_not_forward_to_no_mail_is_sent(anyone: APIClient, provider: Issuer):
    anyone.post(APPLE, apple_body(provider, nonce_for(anyone), token_email=RELAY), format="json")
    user = User.objects.get()
    enqueue("password_changed", email=RELAY)
    assert [sent.to for sent in delivered()] == [[RELAY]]

    assert tell(anyone, about_mail(provider, "email-disabled", RELAY.upper())).status_code == 200
    enqueue("password_changed", email=RELAY)

    assert (delivered(), OutgoingMail.objects.count()) == ([], 0)

    assert tell(anyone, about_mail(provider, "email-enabled")).status_code == 200
    enqueue("password_changed", email=RELAY)

    assert [sent.to for sent in delivered()] == [[RELAY]]
    events = AuditEvent.objects.filter(action__startswith="account.mail_").order_by("sequence")
    assert [(event.action, event.target_id, event.changes) for event in events] == [
        ("account.mail_stopped", user.id, {"provider": "apple"}),
        ("account.mail_allowed", user.id, {"provider": "apple"}),
    ]


def test_what_apple_delivers_late_does_not_undo_what_happened_since(anyone: APIClient, provider: Issuer):
    signed_in = anyone.post(APPLE, apple_body(provider, nonce_for(anyone), token_email=RELAY), format="json").json()
    ada = bearer(signed_in["access_token"])

    def is_stopped_by(kind: str, event_time: Any) -> bool:
        assert tell(anyone, about_mail(provider, kind, event_time=event_time)).status_code == 200
        stopped: bool = ada.get("/api/v1/account/me").json()["mail_stopped"]
        return stopped

    now = int(time.time()) * 1000 + 1
    assert is_stopped_by("email-enabled", now) is False
    assert is_stopped_by("email-disabled", now - 1) is False
    assert is_stopped_by("email-disabled", now + 1) is True
    assert is_stopped_by("email-enabled", now) is True
    assert AuditEvent.objects.filter(action__startswith="account.mail_").count() == 2


@pytest.mark.parametrize("event_time", [2**49, 2**50, 2**63, -1, True, "now", None])
def test_a_moment_that_cannot_be_counts_as_when_it_was_signed(anyone: APIClient, provider: Issuer, event_time: Any):
    """None of them keeps what Apple says later from counting."""
    anyone.post(APPLE, apple_body(provider, nonce_for(anyone), token_email=RELAY), format="json")

    told = tell(anyone, about_mail(provider, "email-disabled", event_time=event_time))

    assert (told.status_code, User.objects.get().is_mail_stopped) == (200, True)
    assert tell(anyone, about_mail(provider, "email-enabled")).status_code == 200
    assert not User.objects.get().is_mail_stopped


def test_mail_to_an_address_that_is_not_apples_goes_on(anyone: APIClient, provider: Issuer, ada: APIClient):
    for email in ("ada@example.com", RELAY, None):
        tell(anyone, about_mail(provider, "email-disabled", email))
    delivered()
    enqueue("password_changed", email="ada@example.com")

    assert [sent.to for sent in delivered()] == [["ada@example.com"]]


def test_whoever_moves_to_another_address_gets_mail_there(anyone: APIClient, provider: Issuer):
    anyone.post(APPLE, apple_body(provider, nonce_for(anyone), token_email=RELAY), format="json")
    tell(anyone, about_mail(provider, "email-disabled"))
    User.objects.update(email="ada@example.com")
    delivered()
    enqueue("password_changed", email="ada@example.com")

    assert [sent.to for sent in delivered()] == [["ada@example.com"]]


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

    assert (response.status_code, response.json()) == (
        401,
        {
            "detail": "This is no notification that Apple has signed for a client id in APPLE_CLIENT_IDS within the "
            "last seven days. The log says what is wrong with it.",
            "error_code": "invalid_notification",
        },
    )
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
    assert not is_behind()  # that is Apple's doing, and all mail went out


@pytest.mark.django_db(transaction=True)
def test_while_apple_does_not_answer_mail_goes_out(database_url: str):
    with issuer() as apple, launch(database_url, workers=1, extra_env=apple.environment()) as server:
        apple.behave("/revoke", slowly)
        for _ in range(5):
            form = {"client_id": APPLE_CLIENTS[1], "refresh_token": "r.1"}
            enqueue("apple_revocation", **form)
        signup = {"email": "dora@new.test", "password": "a long new password"}
        call(server, "POST", "/api/v1/public/signup", signup)
        began = time.monotonic()

        assert mail_of("dora@new.test", "Verify your email address")

        assert time.monotonic() - began < 4  # one revocation alone takes Apple five seconds
        assert OutgoingMail.objects.filter(kind="apple_revocation").count() >= 4
