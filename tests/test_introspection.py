"""Other services of the platform ask what an access token or an API key is good for (RFC 7662)."""

from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import jwt
import pytest
from django.conf import settings
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.models import AuditEvent, Membership, SignIn, User, Workspace
from accounts.scopes import KEY_SCOPES
from accounts.tokens import AccessToken
from apikeys.models import ApiKey
from tests.support.cast import Actor

INTROSPECT = "/api/v1/auth/introspect"
KEYS = "/api/v1/account/api-keys"
FORM = "application/x-www-form-urlencoded"
SCOPE = "tokens:introspect"
RESOURCES = [scope for scope in KEY_SCOPES if scope != SCOPE]


@pytest.fixture
def service(alice: Actor) -> APIClient:
    """Another service, with a key that may ask and nothing else."""
    return alice.key_client([SCOPE])


def post(client: APIClient, **fields: str) -> Any:
    return client.post(INTROSPECT, urlencode(fields), content_type=FORM)


def ask(service: APIClient, token: str, **more: str) -> dict[str, Any]:
    response = post(service, token=token, **more)
    assert response.status_code == 200, response.content
    return dict(response.json())


def test_an_access_token(service, bob):
    token = AccessToken.read(bob.pair.access_token)

    response = post(service, token=bob.pair.access_token)

    assert response.json() == {
        "active": True,
        "token_type": "Bearer",
        "scope": " ".join(scope for scope in RESOURCES if scope.endswith(":read") or scope == "geofences:write"),
        "sub": str(bob.user.id),
        "workspace_id": str(bob.workspace.id),
        "jti": str(token.jti),
        "iat": token.payload["iat"],
        "exp": token.payload["exp"],
        "iss": settings.JWT_ISSUER,
        "aud": settings.JWT_AUDIENCE,
    }
    assert response["Cache-Control"] == "no-store"


def test_an_api_key(service, bob):
    key, raw = bob.make_key(["devices:write", "geofences:write"])

    told = ask(service, raw)

    # A field worker's key writes no devices, whatever stands in it.
    assert told == {
        "active": True,
        "token_type": "api_key",
        "scope": "geofences:read geofences:write devices:read",
        "sub": str(bob.user.id),
        "workspace_id": str(bob.workspace.id),
        "jti": str(key.id),
        "iat": int(key.created_at.timestamp()),
        "iss": settings.JWT_ISSUER,
        "aud": settings.JWT_AUDIENCE,
    }
    ends = timezone.now() + timedelta(days=3)
    ApiKey.objects.filter(id=key.id).update(expires_at=ends, is_read_only=True)
    told = ask(service, raw)
    assert (told["exp"], told["scope"]) == (int(ends.timestamp()), "geofences:read devices:read")


def test_what_a_role_holds_now_counts(service, bob):
    raw = bob.make_key(["geofences:write"])[1]
    Membership.objects.filter(user=bob.user).update(role="member")

    assert ask(service, raw)["scope"] == "geofences:read"
    assert "geofences:write" not in ask(service, bob.pair.access_token)["scope"].split()


def test_what_a_demanded_second_factor_holds_back_is_not_said(service, bob):
    Workspace.objects.update(requires_second_factor=True)

    told = ask(service, bob.pair.access_token)

    assert (told["active"], told["scope"]) == (True, "")


INACTIVE: dict[str, Any] = {
    "nothing of ours": lambda bob, mallory: "x" * 40,
    "not even ASCII": lambda bob, mallory: "ключ \ud7ff 🔑",
    "a JWT of somebody else": lambda bob, mallory: jwt.encode({"sub": "x"}, "k" * 32, "HS256"),
    "a key that never was": lambda bob, mallory: "sf_" + "A" * 46,
    "a refresh token": lambda bob, mallory: bob.pair.refresh_token,
    "an access token of another workspace": lambda bob, mallory: mallory.pair.access_token,
    "a key of another workspace": lambda bob, mallory: mallory.make_key()[1],
    "a revoked key": lambda bob, mallory: bob.make_key(revoked_at=timezone.now())[1],
    "an expired key": lambda bob, mallory: bob.make_key(expires_at=timezone.now() - timedelta(seconds=1))[1],
    "a disabled key": lambda bob, mallory: bob.make_key(is_active=False)[1],
    "a signed-out token": lambda bob, mallory: signed_out(bob),
    "a suspended person's token": lambda bob, mallory: suspended(bob).pair.access_token,
    "a suspended person's key": lambda bob, mallory: suspended(bob).make_key()[1],
}


def signed_out(actor: Actor) -> str:
    SignIn.objects.filter(id=actor.sign_in_id).revoke("test")
    return actor.pair.access_token


def suspended(actor: Actor) -> Actor:
    User.objects.filter(id=actor.user.id).update(is_active=False)
    return actor


@pytest.mark.parametrize("name", INACTIVE)
def test_whatever_is_not_live_here_is_told_alike(service, bob, mallory, name):
    assert ask(service, bob.pair.access_token)["active"]

    response = post(service, token=INACTIVE[name](bob, mallory), token_type_hint="refresh_token")

    assert (response.status_code, response.content) == (200, b'{"active":false}')


def test_keys_that_single_sign_on_shuts_out_are_not_active(service, bob):
    raw = bob.make_key()[1]
    assert ask(service, raw)["active"]
    Workspace.objects.update(requires_sso=True, refuses_keys_under_sso=True)

    refused = post(service, token=raw)

    assert (refused.status_code, refused.json()["error_code"]) == (403, "api_keys_refused")  # the service's own, too


def test_asking_costs_one_query_for_each_of_the_two(service, bob, django_assert_num_queries):
    raw = bob.make_key()[1]
    for token in (raw, bob.pair.access_token):
        with django_assert_num_queries(2):
            assert ask(service, token)["active"]


def test_only_a_key_with_the_scope_may_ask(alice, anyone):
    person, other_key = alice.client, alice.key_client(RESOURCES)

    answers = [post(client, token=alice.pair.access_token) for client in (person, other_key, anyone)]

    assert [answer.status_code for answer in answers] == [403, 403, 401]
    assert "is for API keys, which owners give it to" in answers[0].json()["detail"]
    assert 'scope="tokens:introspect"' in answers[1]["WWW-Authenticate"]


def test_a_key_that_only_asks_reaches_nothing_else(service):
    assert service.get("/api/v1/geofences").status_code == 403


def test_owners_alone_give_the_scope_and_the_trail_tells(alice, bob):
    Membership.objects.filter(user=bob.user).update(role="manager")
    body = {"name": "devices", "permissions": [SCOPE]}

    refused = bob.client.post(KEYS, body, format="json")
    made = alice.client.post(KEYS, body, format="json")

    assert (refused.status_code, list(refused.json()["details"])) == (422, ["permissions"])
    assert made.status_code == 201
    event = AuditEvent.objects.get(action="api_key.created")
    assert (event.changes["permissions"], event.actor_email) == ([SCOPE], "alice@acme.test")


def test_a_scope_given_later_is_in_the_trail_and_ends_with_the_role(alice, bob):
    Membership.objects.filter(user=bob.user).update(role="owner")
    key, raw = bob.make_key()
    asking = APIClient(headers={"X-API-KEY": raw})

    changed = bob.client.put(f"{KEYS}/{key.id}", {"permissions": [SCOPE]}, format="json")
    assert (changed.status_code, ask(asking, raw)["active"]) == (200, True)
    assert AuditEvent.objects.get(action="api_key.updated").changes == {"scopes": [SCOPE]}

    demoted = alice.client.patch(f"/api/v1/workspaces/members/{bob.user.id}", {"role": "manager"}, format="json")
    assert (demoted.status_code, post(asking, token=raw).status_code) == (200, 401)


@pytest.mark.parametrize(
    ("body", "status"),
    [("", 422), ("token=", 422), ("token=a&token=b", 400), ("token=%ff", 400), ("token=%00", 400)],
)
def test_a_form_that_asks_nothing_is_refused(service, body, status):
    assert service.post(INTROSPECT, body, content_type=FORM).status_code == status


def test_a_form_it_must_be(service):
    assert service.post(INTROSPECT, {"token": "x"}, format="json").status_code == 415


@pytest.mark.django_db(transaction=True)
def test_asking_counts_as_the_keys_use(alice):
    key, raw = alice.make_key([SCOPE], hourly_limit=2)
    asking = APIClient(headers={"X-API-KEY": raw})

    statuses = [post(asking, token="x").status_code for _ in range(3)]

    assert statuses == [200, 200, 429]
    used = alice.client.get(f"{KEYS}/{key.id}/usage").json()["scopes_used"]
    assert [use["permission"] for use in used] == [SCOPE]
