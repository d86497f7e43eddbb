"""What happens to a key between its making and its end: change, regenerate, rotate, expire, retire; and who it is."""

from collections import Counter
from datetime import timedelta

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.models import AuditEvent, CredentialUsage, Membership, User
from apikeys import lifecycle
from apikeys.models import ApiKey
from tests.support.cast import Actor
from tests.support.race import at_once, call

KEYS = "/api/v1/account/api-keys"
WORKSPACE_KEYS = "/api/v1/workspaces/api-keys"
GEOFENCES = "/api/v1/geofences"
real = pytest.mark.django_db(transaction=True)


def with_key(raw: str, **headers: str) -> APIClient:
    return APIClient(headers={"X-API-KEY": raw, **headers})


def works(raw: str) -> bool:
    return with_key(raw).get(GEOFENCES).status_code == 200


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


def test_regenerate_replaces_the_secret_at_once(alice):
    key, old = alice.make_key(["geofences:write"])

    response = alice.client.post(f"{KEYS}/{key.id}/regenerate")

    new = response.json()["api_key"]["api_key"]
    assert (response.status_code, response["Cache-Control"]) == (200, "no-store")
    assert response.json()["api_key"]["id"] == str(key.id)
    assert works(new) and not works(old)
    assert alice.client.get(f"{KEYS}/{key.id}").json()["key_prefix"] == new[:11]


def test_rotation_lets_the_old_key_work_for_its_grace(alice):
    key, old = alice.make_key(["geofences:write"], name="CI", description="d", is_read_only=True, hourly_limit=50)

    response = alice.client.post(f"{KEYS}/{key.id}/rotate?grace_period_days=3")

    made = response.json()["api_key"]
    assert response.status_code == 201
    assert (made["name"], made["permissions"], made["read_only"], made["description"]) == (
        "CI",
        ["geofences:write"],
        True,
        "d",
    )
    assert works(made["api_key"]) and works(old)
    retired = alice.client.get(f"{KEYS}/{key.id}").json()
    assert (retired["state"], retired["replaced_by_id"]) == ("rotated", made["id"])
    expires_at = ApiKey.objects.get(id=key.id).expires_at
    assert abs(expires_at - timezone.now() - timedelta(days=3)) < timedelta(minutes=1)
    ApiKey.objects.filter(id=key.id).update(expires_at=timezone.now() - timedelta(minutes=1))
    assert not works(old) and works(made["api_key"])


@real
def test_a_rotated_key_shows_who_still_uses_it(alice):
    key, old = alice.make_key()
    for _ in range(2):
        assert works(old)
    alice.client.post(f"{KEYS}/{key.id}/rotate")

    with_key(old, **{"User-Agent": "legacy/1"}).get(GEOFENCES, REMOTE_ADDR="203.0.113.9")

    shown = alice.client.get(f"{KEYS}/{key.id}").json()
    assert (shown["usage_count"], shown["usage_count_since_rotation"]) == (3, 1)
    assert (shown["last_used_ip"], shown["last_used_client"]) == ("203.0.113.9", "legacy/1")
    assert shown["last_used_at"] > shown["rotated_at"]


def test_a_rotated_key_can_be_retired_early_but_not_be_given_more_time(alice):
    key, old = alice.make_key()
    alice.client.post(f"{KEYS}/{key.id}/rotate")
    sooner = (timezone.now() + timedelta(hours=1)).isoformat()
    later = (timezone.now() + timedelta(days=30)).isoformat()

    answers = [
        alice.client.patch(
            f"{KEYS}/{key.id}/expiration", QUERY_STRING=f"expires_at={moment.replace('+', '%2B')}"
        ).status_code
        for moment in (later, "", sooner)
    ]

    assert answers == [409, 409, 200]
    assert alice.client.post(f"{KEYS}/{key.id}/rotate").json()["error_code"] == "api_key_rotated"
    assert alice.client.delete(f"{KEYS}/{key.id}").status_code == 204
    assert not works(old)


def test_rotation_keeps_an_earlier_end_and_gives_the_successor_the_same_lifetime(alice):
    end = timezone.now() + timedelta(days=2)
    key, _ = alice.make_key(expires_at=end)

    alice.client.post(f"{KEYS}/{key.id}/rotate?grace_period_days=7")

    successor = ApiKey.objects.exclude(id=key.id).get()
    assert ApiKey.objects.get(id=key.id).expires_at == end
    assert abs(successor.expires_at - end) < timedelta(minutes=1)


def test_an_expired_key_has_no_successor_and_no_new_secret(alice):
    key, _ = alice.make_key(expires_at=timezone.now() - timedelta(minutes=1))

    for act in ("rotate", "regenerate"):
        response = alice.client.post(f"{KEYS}/{key.id}/{act}")
        assert (response.status_code, response.json()["error_code"]) == (409, "api_key_expired")
    assert ApiKey.objects.count() == 1


def test_a_rotated_key_gets_no_new_rights_and_no_new_secret(alice):
    key, _ = alice.make_key(["geofences:read"])
    alice.client.post(f"{KEYS}/{key.id}/rotate")

    wider = alice.client.put(f"{KEYS}/{key.id}", {"permissions": ["geofences:write"]}, format="json")
    renewed = alice.client.post(f"{KEYS}/{key.id}/regenerate")
    renamed = alice.client.put(f"{KEYS}/{key.id}", {"name": "old one", "is_active": False}, format="json")

    assert (wider.status_code, renewed.status_code, renamed.status_code) == (409, 409, 200)


def test_a_disabled_key_has_a_disabled_successor_with_its_limit(alice):
    key, _ = alice.make_key(is_active=False, hourly_limit=7)

    made = alice.client.post(f"{KEYS}/{key.id}/rotate").json()["api_key"]

    successor = alice.client.get(f"{KEYS}/{made['id']}").json()
    assert (successor["is_active"], successor["rate_limit_per_hour"]) == (False, 7)


def test_at_the_cap_a_key_can_still_be_rotated_and_expired_ones_take_no_room(alice, settings):
    settings.MAX_API_KEYS_PER_WORKSPACE = 1
    alice.make_key(expires_at=timezone.now() - timedelta(days=1))
    made = alice.client.post(KEYS, {}, format="json").json()["api_key"]

    assert alice.client.post(KEYS, {}, format="json").status_code == 409
    assert alice.client.post(f"{KEYS}/{made['id']}/rotate").status_code == 201


def test_an_unverified_account_gets_no_secret_in_any_way(alice):
    key, _ = alice.make_key()
    User.objects.update(email_verified_at=None)

    for act in ("rotate", "regenerate"):
        assert alice.client.post(f"{KEYS}/{key.id}/{act}").json()["error_code"] == "email_not_verified"


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
@pytest.mark.parametrize("rounds", range(4))
def test_an_expiration_that_races_with_a_rotation_gives_no_eternal_life(server, alice, rounds):
    key, _ = alice.make_key()
    headers = {"Authorization": f"Bearer {alice.pair.access_token}"}

    def act(index: int) -> int:
        if index == 0:
            return call(server, "POST", f"{KEYS}/{key.id}/rotate?grace_period_days=1", headers=headers).status
        return call(server, "PATCH", f"{KEYS}/{key.id}/expiration", headers=headers).status

    statuses = at_once(5, act)

    key.refresh_from_db()
    assert statuses[0] == 201 and set(statuses[1:]) <= {200, 409}
    assert key.expires_at is not None and key.expires_at < timezone.now() + timedelta(days=1, minutes=1)


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


@pytest.mark.parametrize("days", ["-1", "91", "x", "1e3", "1.5"])
def test_a_bad_grace_is_refused_and_rotates_nothing(alice, days):
    key, _ = alice.make_key()

    assert alice.client.post(f"{KEYS}/{key.id}/rotate?grace_period_days={days}").status_code == 422
    assert ApiKey.objects.count() == 1


@real
def test_rotation_at_once_makes_one_successor(server, alice):
    key, _ = alice.make_key()
    headers = {"Authorization": f"Bearer {alice.pair.access_token}"}

    answers = at_once(12, lambda _: call(server, "POST", f"{KEYS}/{key.id}/rotate", headers=headers))

    assert Counter(answer.status for answer in answers) == {201: 1, 409: 11}
    assert ApiKey.objects.count() == 2


@real
def test_regeneration_at_once_leaves_only_secrets_that_work(server, alice):
    key, _ = alice.make_key()
    headers = {"Authorization": f"Bearer {alice.pair.access_token}"}

    answers = at_once(12, lambda _: call(server, "POST", f"{KEYS}/{key.id}/regenerate", headers=headers))

    # Calls that read the key one after another may all win in turn; of those that raced for the same secret one wins.
    assert {answer.status for answer in answers} <= {200, 409}
    alive = [answer for answer in answers if answer.status == 200 and works(answer.body["api_key"]["api_key"])]
    assert len(alive) == 1


def test_regeneration_of_a_key_that_changed_meanwhile_is_refused(alice):
    key, _ = alice.make_key()
    stale = ApiKey.objects.get(id=key.id)
    lifecycle.regenerate(alice.request(), key)

    with pytest.raises(lifecycle.KeyChanged):
        lifecycle.regenerate(alice.request(), stale)


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
