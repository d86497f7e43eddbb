"""A key between its making and its end: changed, used, expired, revoked; who it is, and who sees it."""

from collections import Counter
from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.models import AuditEvent, CredentialUsage, Membership
from apikeys.models import ApiKey
from tests.support.api_keys import GEOFENCES, KEYS, WORKSPACE_KEYS, with_key, works
from tests.support.cast import Actor
from tests.support.race import at_once, call

real = pytest.mark.django_db(transaction=True)


def test_update_changes_what_is_named_and_nothing_else(alice: Actor):
    key, raw = alice.make_key(["geofences:read"], description="old")

    response = alice.client.put(
        f"{KEYS}/{key.id}",
        {
            "name": "new",
            "permissions": ["geofences:write"],
            "rate_limit_per_hour": 500,
            "read_only": True,
            "description": None,
        },
        format="json",
    )

    body = response.json()
    assert response.status_code == 200
    changed = ("name", "permissions", "rate_limit_per_hour", "read_only", "description", "is_active", "key_prefix")
    assert [body[name] for name in changed] == ["new", ["geofences:write"], 500, True, None, True, raw[:11]]
    assert body == alice.client.get(f"{KEYS}/{key.id}").json()
    unchanged = alice.client.put(f"{KEYS}/{key.id}", {}, format="json").json()
    assert unchanged == body


def test_a_limit_can_be_lowered_and_given_back_to_the_plan(alice):
    key, raw = alice.make_key()
    alice.client.put(f"{KEYS}/{key.id}", {"rate_limit_per_hour": 5}, format="json")
    assert with_key(raw).get(GEOFENCES)["RateLimit-Limit"] == "5"

    alice.client.put(f"{KEYS}/{key.id}", {"rate_limit_per_hour": None}, format="json")

    assert with_key(raw).get(GEOFENCES)["RateLimit-Limit"] == "10000"


def test_disabling_stops_a_key_and_enabling_starts_it_again(alice):
    key, raw = alice.make_key()

    alice.client.put(f"{KEYS}/{key.id}", {"is_active": False}, format="json")
    assert not works(raw)
    assert alice.client.get(f"{KEYS}/{key.id}").json()["state"] == "disabled"
    alice.client.put(f"{KEYS}/{key.id}", {"is_active": True}, format="json")
    assert works(raw)


@pytest.mark.parametrize(
    "body",
    [
        {"rate_limit_per_hour": 0},
        {"rate_limit_per_hour": 10**9},
        {"rate_limit_per_hour": "many"},
        {"permissions": ["account:write"]},
        {"name": ""},
        {"is_active": "perhaps"},
    ],
)
def test_a_bad_update_is_refused_and_changes_nothing(alice, body):
    key, _ = alice.make_key()
    before = alice.client.get(f"{KEYS}/{key.id}").json()

    assert alice.client.put(f"{KEYS}/{key.id}", body, format="json").status_code == 422

    assert alice.client.get(f"{KEYS}/{key.id}").json() == before


def test_nobody_gives_a_key_more_than_their_role_holds(carol):
    assert carol.client.post(KEYS, {"permissions": ["geofences:read"]}, format="json").status_code == 201
    response = carol.client.post(KEYS, {"permissions": ["geofences:write"]}, format="json")
    key_id = carol.client.get(KEYS).json()[0]["id"]
    widened = carol.client.put(f"{KEYS}/{key_id}", {"permissions": ["geofences:write"]}, format="json")

    for refused in (response, widened):
        assert refused.status_code == 422
        assert "Your role (member) does not hold geofences:write" in refused.json()["detail"]


@real
def test_use_is_told_over_several_hours_the_latest_first(alice):
    key, raw = alice.make_key()
    for hours, client in ((2, "old/1"), (1, "new/2")):
        started = timezone.now() - timedelta(hours=hours)
        CredentialUsage.objects.create(
            credential_id=key.id,
            workspace_id=alice.workspace.id,
            started_at=started,
            requests=5,
            refusals=0,
            last_used_at=started,
            last_ip=f"203.0.113.{hours}",
            last_user_agent=client,
        )

    shown = alice.client.get(f"{KEYS}/{key.id}").json()

    assert (shown["usage_count"], shown["last_used_client"], shown["last_used_ip"]) == (10, "new/2", "203.0.113.1")


@real
def test_a_key_is_revoked_once_and_its_trail_says_so(server, alice):
    key, _ = alice.make_key()
    headers = {"Authorization": f"Bearer {alice.pair.access_token}"}

    answers = at_once(6, lambda _: call(server, "DELETE", f"{KEYS}/{key.id}", headers=headers))

    assert Counter(answer.status for answer in answers) == {204: 1, 404: 5}
    assert AuditEvent.objects.filter(action="api_key.revoked", resource_id=str(key.id)).count() == 1


def test_every_act_on_a_key_leaves_a_trace(alice):
    made = alice.client.post(KEYS, {}, format="json").json()["api_key"]["id"]
    alice.client.put(f"{KEYS}/{made}", {"name": "renamed"}, format="json")
    alice.client.post(f"{KEYS}/{made}/regenerate")
    alice.client.patch(f"{KEYS}/{made}/expiration?expires_at=2031-05-01T00:00:00Z")
    alice.client.post(f"{KEYS}/{made}/rotate")
    alice.client.delete(f"{KEYS}/{made}")

    trail = AuditEvent.objects.filter(resource_id=made).order_by("sequence").values_list("action", "actor_email")

    acts = ["created", "updated", "regenerated", "expiration_set", "rotated", "revoked"]
    assert list(trail) == [(f"api_key.{act}", "alice@acme.test") for act in acts]


def test_expiration_is_set_and_cleared_by_query(alice):
    key, _ = alice.make_key()

    set_to = alice.client.patch(f"{KEYS}/{key.id}/expiration?expires_at=2031-05-01T00:00:00Z")
    assert (set_to.status_code, set_to.json()["expires_at"]) == (200, "2031-05-01T00:00:00Z")
    for never in ("?expires_at=null", "", "?expires_at="):
        cleared = alice.client.patch(f"{KEYS}/{key.id}/expiration{never}")
        assert (cleared.status_code, cleared.json()["expires_at"]) == (200, None)


@pytest.mark.parametrize(
    "moment", ["2020-01-01T00:00:00Z", "tomorrow", "2031-13-01", "9" * 400, "9999-12-31T23:59:59Z"]
)
def test_a_bad_expiration_is_refused(alice, moment):
    key, _ = alice.make_key()

    assert alice.client.patch(f"{KEYS}/{key.id}/expiration?expires_at={moment}").status_code == 422
    assert ApiKey.objects.get().expires_at is None


def test_expiring_lists_what_ends_soon_soonest_first(alice):
    for name, days in (("later", 20), ("soon", 5), ("far", 60), ("over", -1)):
        alice.make_key(name=name, expires_at=timezone.now() + timedelta(days=days, hours=1))
    alice.make_key(name="never")

    default = alice.client.get(f"{KEYS}/expiring").json()

    assert [(key["name"], key["days_until_expiration"]) for key in default] == [("soon", 5), ("later", 20)]
    assert [key["name"] for key in alice.client.get(f"{KEYS}/expiring?days=6").json()] == ["soon"]
    assert alice.client.get(f"{KEYS}/expiring?days=x").status_code == 422


def test_a_key_asks_who_it_is(alice):
    key, raw = alice.make_key(["geofences:write", "devices:read"], name="robot", hourly_limit=100)
    Membership.objects.filter(user=alice.user).update(role="member")
    with_key(raw).get(GEOFENCES)

    body = with_key(raw).get(f"{KEYS}/current").json()

    assert body.pop("rate_limit_reset_at") > timezone.now().isoformat()[:10]
    assert body == {
        "id": str(key.id),
        "name": "robot",
        "key_prefix": raw[:11],
        "permissions": ["geofences:write", "devices:read"],
        "effective_permissions": ["devices:read", "geofences:read"],
        "read_only": False,
        "workspace_id": str(alice.workspace.id),
        "workspace_slug": "acme",
        "expires_at": None,
        "state": "active",
        "rate_limit_per_hour": 100,
        "rate_limit_remaining": 98,
    }


def test_even_a_key_without_permissions_may_ask_who_it_is_and_people_may_not(alice):
    assert alice.key_client([]).get(f"{KEYS}/current").json()["effective_permissions"] == []
    assert alice.client.get(f"{KEYS}/current").status_code == 403


def test_owners_see_and_revoke_every_key_of_the_workspace(alice, bob, mallory):
    key, raw = bob.make_key(["geofences:read"], name="bob's")
    mallory.make_key()

    listed = alice.client.get(WORKSPACE_KEYS).json()

    assert (listed["total"], listed["api_keys"][0]["name"]) == (1, "bob's")
    assert listed["api_keys"][0]["created_by"] == {"id": str(bob.user.id), "email": "bob@acme.test", "name": "Bob"}
    assert mallory.client.delete(f"{WORKSPACE_KEYS}/{key.id}").status_code == 404
    assert alice.client.delete(f"{WORKSPACE_KEYS}/{key.id}").status_code == 204
    assert not works(raw)


def test_only_owners_see_everybodys_keys(alice, bob, carol):
    for stranger in (bob.client, carol.client, alice.key_client()):
        assert stranger.get(WORKSPACE_KEYS).status_code == 403
    key, _ = alice.make_key()
    assert bob.client.delete(f"{WORKSPACE_KEYS}/{key.id}").status_code == 403


@pytest.mark.parametrize(
    ("method", "suffix"),
    [("put", ""), ("post", "/regenerate"), ("post", "/rotate"), ("patch", "/expiration"), ("get", "")],
)
def test_nobody_elses_key_can_be_touched(alice, bob, mallory, method, suffix):
    key, raw = alice.make_key()
    for stranger in (bob, mallory):
        response = getattr(stranger.client, method)(f"{KEYS}/{key.id}{suffix}")

        assert (response.status_code, response.json()["error_code"]) == (404, "not_found")
    assert getattr(alice.key_client(), method)(f"{KEYS}/{key.id}{suffix}").status_code == 403
    assert works(raw)


def test_a_list_of_keys_costs_one_query_however_many(alice, django_assert_num_queries):
    for _ in range(5):
        alice.make_key()
    for path in (KEYS, f"{KEYS}/expiring", WORKSPACE_KEYS):
        with django_assert_num_queries(2):
            assert alice.client.get(path).status_code == 200
