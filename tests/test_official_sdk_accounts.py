"""Signing in, and the life of an API key, through the official SDK."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from apikeys.models import ApiKey
from tests.support.cast import PASSWORD, Actor
from tests.support.sdk import Client, Refusal, Sdk, built, from_dict, moment
from tests.support.sdk_operations import exercises

pytest_plugins = ["tests.support.sdk_fixtures"]
pytestmark = pytest.mark.django_db(transaction=True)

INVALID_TOKEN = Refusal("AuthenticationError", 401, "Invalid or expired token", "invalid_token")


def log_in(sdk: Sdk, actor: Actor) -> Any:
    login = from_dict("LoginSchema", email=actor.user.email, password=PASSWORD)
    return sdk.client().call("auth.login", login_schema=login)


def refresh_body(token: str) -> dict[str, Any]:
    return from_dict("RefreshTokenSchema", refresh_token=token)


def listed(client: Client) -> list[str]:
    return [key["name"] for key in client.call("account.list_api_keys")]


@exercises("auth.login", "auth.me")
def test_login_gives_a_pair_that_signs_in_and_the_user(sdk: Sdk, alice: Actor):
    pair = log_in(sdk, alice)

    signed_in = sdk.client(access_token=pair["access_token"])
    assert signed_in.call("auth.me") == pair["user"]
    assert (pair["token_type"], pair["expires_in"]) == ("Bearer", 4 * 3600)
    assert {name: pair["user"][name] for name in ("id", "email", "role", "workspace_slug", "email_verified")} == {
        "id": str(alice.user.id),
        "email": "alice@acme.test",
        "role": "owner",
        "workspace_slug": "acme",
        "email_verified": True,
    }


@exercises("auth.refresh")
def test_refresh_gives_the_next_pair_and_the_user(sdk: Sdk, alice: Actor):
    first = log_in(sdk, alice)

    second = sdk.client().call("auth.refresh", refresh_token_schema=refresh_body(first["refresh_token"]))

    assert second["refresh_token"] != first["refresh_token"]
    assert second["user"] == first["user"]
    assert sdk.client(access_token=second["access_token"]).call("auth.me") == second["user"]


def test_a_refresh_token_of_two_rotations_ago_ends_the_whole_sign_in(sdk: Sdk, alice: Actor):
    anyone, pair = sdk.client(), log_in(sdk, alice)
    stolen = refresh_body(pair["refresh_token"])
    for _ in range(2):
        pair = anyone.call("auth.refresh", refresh_token_schema=refresh_body(pair["refresh_token"]))

    assert anyone.refused("auth.refresh", refresh_token_schema=stolen) == INVALID_TOKEN
    assert (
        anyone.refused("auth.refresh", refresh_token_schema=refresh_body(pair["refresh_token"])).kind
        == "AuthenticationError"
    )
    assert sdk.client(access_token=pair["access_token"]).refused("auth.me").kind == "AuthenticationError"


@pytest.mark.parametrize("body", [None, from_dict("RefreshTokenSchema", refresh_token=None)])
def test_refresh_without_a_token_is_an_authentication_error(anyone_sdk: Client, body):
    refusal = anyone_sdk.refused("auth.refresh", **({} if body is None else {"refresh_token_schema": body}))

    detail = "Send the refresh token in the body as refresh_token."
    assert refusal == Refusal("AuthenticationError", 401, detail, "invalid_token")


@exercises("auth.logout")
def test_logout_ends_every_sign_in_at_once(sdk: Sdk, alice: Actor, alice_sdk: Client):
    elsewhere = log_in(sdk, alice)

    assert "message" in alice_sdk.call("auth.logout")

    assert alice_sdk.refused("auth.me") == INVALID_TOKEN
    assert sdk.client(access_token=elsewhere["access_token"]).refused("auth.me") == INVALID_TOKEN
    refusal = sdk.client().refused("auth.refresh", refresh_token_schema=refresh_body(elsewhere["refresh_token"]))
    assert refusal == INVALID_TOKEN


@exercises("auth.health", "system.health", "system.ready")
def test_health_needs_no_credential(anyone_sdk: Client):
    assert anyone_sdk.call("auth.health") == {"status": "healthy", "service": "auth"}
    assert anyone_sdk.call("system.health") == {"status": "healthy", "service": "spatialflow-api"}
    checks = dict.fromkeys(("database", "migrations", "counter_store"), "ok")
    assert anyone_sdk.call("system.ready") == {"status": "ready", "checks": checks}


@exercises("account.create_api_key", "account.list_api_keys", "account.get_api_key")
def test_a_new_key_is_shown_once_and_works(sdk: Sdk, alice: Actor, alice_sdk: Client):
    wish = {"name": "CI", "permissions": ["geofences:write"], "read_only": True, "description": "nightly"}

    made = alice_sdk.call("account.create_api_key", request=from_dict("ApiKeyCreateRequest", **wish))["api_key"]

    raw = made.pop("api_key")
    (seen,) = alice_sdk.call("account.list_api_keys")
    assert made == {"id": made["id"], "created_at": made["created_at"], **wish}
    assert seen == {
        **made,
        "key_prefix": raw[:11],
        "is_active": True,
        "usage_count": 0,
        "rate_limit_per_hour": 10_000,
        "last_used_at": None,
        "workspace_id": str(alice.workspace.id),
        "expires_at": None,
    }
    assert alice_sdk.call("account.get_api_key", key_id=made["id"]) == seen
    assert sdk.client(api_key=raw).call("geofences.list")["count"] == 0
    assert alice_sdk.call("account.get_api_key", key_id=made["id"])["usage_count"] == 1


def test_a_key_made_without_wishes_reads_geofences(alice_sdk: Client):
    made = alice_sdk.call("account.create_api_key", request=built("ApiKeyCreateRequest"))["api_key"]

    assert (made["name"], made["permissions"], made["read_only"]) == ("Default", ["geofences:read"], False)


@exercises("account.update_api_key")
def test_an_update_changes_what_it_names(sdk: Sdk, alice: Actor, alice_sdk: Client):
    key, raw = alice.make_key(name="CI", description="nightly", hourly_limit=50)
    changes = {"name": "CD", "permissions": ["geofences:read"], "rate_limit_per_hour": 9, "read_only": True}

    alice_sdk.call("account.update_api_key", key_id=str(key.id), request=built("ApiKeyUpdateRequest", **changes))

    after = alice_sdk.call("account.get_api_key", key_id=str(key.id))
    assert {name: after[name] for name in changes} == changes
    assert (after["description"], after["is_active"]) == ("nightly", True)
    assert sdk.client(api_key=raw).call("geofences.list")["count"] == 0


@pytest.mark.parametrize("make", [built, from_dict])
def test_a_rename_leaves_the_rest_as_it_was(alice: Actor, alice_sdk: Client, make):
    """`from_dict` sends a null for every member that it was not given."""
    key, _ = alice.make_key(["geofences:write"], name="CI", description="nightly", hourly_limit=50)
    before = alice_sdk.call("account.get_api_key", key_id=str(key.id))

    alice_sdk.call("account.update_api_key", key_id=str(key.id), request=make("ApiKeyUpdateRequest", name="CD"))

    assert alice_sdk.call("account.get_api_key", key_id=str(key.id)) == {**before, "name": "CD"}


def test_a_key_that_is_switched_off_stops_and_goes_on_when_it_is_switched_on(sdk: Sdk, alice: Actor, alice_sdk: Client):
    key, raw = alice.make_key()
    client = sdk.client(api_key=raw)
    client.call("geofences.list")

    switch = {"key_id": str(key.id)}
    alice_sdk.call("account.update_api_key", **switch, request=built("ApiKeyUpdateRequest", is_active=False))
    assert client.refused("geofences.list").error_code == "invalid_api_key"
    alice_sdk.call("account.update_api_key", **switch, request=built("ApiKeyUpdateRequest", is_active=True))
    assert client.call("geofences.list")["count"] == 0


@exercises("account.delete_api_key")
def test_a_deleted_key_is_gone(alice: Actor, alice_sdk: Client):
    key, _ = alice.make_key(name="CI")
    assert listed(alice_sdk) == ["CI"]

    assert alice_sdk.call("account.delete_api_key", key_id=str(key.id)) is None

    assert listed(alice_sdk) == []
    assert alice_sdk.refused("account.delete_api_key", key_id=str(key.id)).kind == "NotFoundError"


@exercises("account.regenerate_api_key")
def test_a_regenerated_key_replaces_the_old_one_at_once(sdk: Sdk, alice: Actor, alice_sdk: Client):
    key, old = alice.make_key(["geofences:read"], name="CI")

    made = alice_sdk.call("account.regenerate_api_key", api_key_id=str(key.id))["api_key"]

    assert (made["id"], made["name"], made["permissions"]) == (str(key.id), "CI", ["geofences:read"])
    assert sdk.client(api_key=made["api_key"]).call("geofences.list")["count"] == 0
    assert sdk.client(api_key=old).refused("geofences.list").error_code == "invalid_api_key"


@exercises("account.rotate_api_key")
@pytest.mark.parametrize(("grace", "days"), [({}, 7), ({"grace_period_days": 2}, 2)])
def test_a_rotated_key_works_beside_its_successor_for_the_grace_period(
    sdk: Sdk, alice: Actor, alice_sdk: Client, grace, days
):
    key, old = alice.make_key(["geofences:read"], name="CI")

    made = alice_sdk.call("account.rotate_api_key", key_id=str(key.id), **grace)["api_key"]

    assert made["id"] != str(key.id)
    assert (made["name"], made["permissions"]) == ("CI", ["geofences:read"])
    for raw in (old, made["api_key"]):
        assert sdk.client(api_key=raw).call("geofences.list")["count"] == 0
    ends = datetime.fromisoformat(alice_sdk.call("account.get_api_key", key_id=str(key.id))["expires_at"])
    assert abs(ends - timezone.now() - timedelta(days=days)) < timedelta(minutes=1)
    assert alice_sdk.call("account.get_api_key", key_id=made["id"])["expires_at"] is None


@exercises("account.set_expiration")
def test_an_expiration_is_set_and_taken_away(alice: Actor, alice_sdk: Client):
    """The SDK asks for texts or nulls and then fails on every text: it can read the answer that takes one away."""
    key, _ = alice.make_key()
    ends = timezone.now() + timedelta(days=3)

    answer = alice_sdk.unread("account.set_expiration", api_key_id=str(key.id), expires_at=moment(ends))

    assert answer.status == 200
    assert datetime.fromisoformat(answer.json()["expires_at"]) == ends
    assert ApiKey.objects.get().expires_at == ends
    assert alice_sdk.call("account.set_expiration", api_key_id=str(key.id))["expires_at"] is None
    assert ApiKey.objects.get().expires_at is None


def test_the_answer_to_an_expiration_holds_texts_and_nulls_only(alice: Actor, alice_sdk: Client):
    """As the contract types it: a client in a typed language reads nothing else."""
    key, _ = alice.make_key()
    ends = moment(timezone.now() + timedelta(days=3))

    answer = alice_sdk.unread("account.set_expiration", api_key_id=str(key.id), expires_at=ends)

    assert [name for name, value in answer.json().items() if not isinstance(value, str | None)] == []


def test_an_expiration_in_the_past_is_a_validation_error(alice: Actor, alice_sdk: Client):
    key, _ = alice.make_key()
    gone = moment(timezone.now() - timedelta(days=1))

    refusal = alice_sdk.refused("account.set_expiration", api_key_id=str(key.id), expires_at=gone)

    assert (refusal.kind, refusal.status_code, refusal.error_code) == ("ValidationError", 422, "validation_error")
    assert ApiKey.objects.get().expires_at is None


@exercises("account.list_expiring_api_keys")
def test_expiring_keys_are_listed_the_soonest_first(alice: Actor, alice_sdk: Client):
    for days in (40, 20, 5):
        alice.make_key(name=f"in {days}", expires_at=timezone.now() + timedelta(days=days))
    alice.make_key(name="never")

    def expiring(**days: int) -> list[str]:
        return [key["name"] for key in alice_sdk.call("account.list_expiring_api_keys", **days)]

    assert expiring() == ["in 5", "in 20"]
    assert expiring(days=10) == ["in 5"]
    assert expiring(days=60) == ["in 5", "in 20", "in 40"]


def test_everyone_sees_only_the_own_keys(sdk: Sdk, alice: Actor, bob: Actor, alice_sdk: Client):
    alice.make_key(name="hers")
    his, _ = bob.make_key(["geofences:read"], name="his")

    assert listed(alice_sdk) == ["hers"]
    assert listed(sdk.client(access_token=bob.pair.access_token)) == ["his"]
    assert alice_sdk.refused("account.get_api_key", key_id=str(his.id)).kind == "NotFoundError"
