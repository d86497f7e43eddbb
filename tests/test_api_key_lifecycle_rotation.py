"""A key gets another secret: regenerated at once, or rotated with a grace for the old one."""

from collections import Counter
from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.models import User
from apikeys import lifecycle
from apikeys.models import ApiKey
from tests.support.api_keys import GEOFENCES, KEYS, with_key, works
from tests.support.race import at_once, call

real = pytest.mark.django_db(transaction=True)


def test_regenerate_replaces_the_secret_at_once(alice):
    key, old = alice.make_key(["geofences:write"])

    response = alice.client.post(f"{KEYS}/{key.id}/regenerate")

    new = response.json()["api_key"]["api_key"]
    assert (response.status_code, response["Cache-Control"]) == (200, "no-store")
    assert response.json()["api_key"]["id"] == str(key.id)
    assert works(new) and not works(old)
    assert alice.client.get(f"{KEYS}/{key.id}").json()["key_prefix"] == new[:11]


def test_an_empty_prefix_is_not_taken_for_none(alice):
    key, old = alice.make_key()

    response = alice.client.post(f"{KEYS}/{key.id}/regenerate?key_prefix=")

    assert (response.status_code, list(response.json()["details"])) == (422, ["key_prefix"])
    assert works(old)


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
