"""What the API tells of a key's use: by hour, and which of its scopes it needed."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.models import CredentialUsage
from accounts.scopes import KEY_SCOPES, SCOPE_BITS, WATCHED_KEY_SCOPES
from apikeys.models import ApiKey
from spatialflow.api import WorkspaceAPIView
from tests.support.cast import Actor
from tests.support.race import call
from tests.support.urls import api_patterns

KEYS = "/api/v1/account/api-keys"
GEOFENCES = "/api/v1/geofences"
POINT = {"name": "Depot", "geometry": {"type": "Point", "coordinates": [8.5, 47.3]}}
real = pytest.mark.django_db(transaction=True)
BOTH = ["geofences:read", "geofences:write"]


def hour(key: ApiKey, ago: timedelta, **fields: Any) -> CredentialUsage:
    """Store an hour of use of the key, so long ago."""
    moment = timezone.now() - ago
    values = {"requests": 3, "refusals": 0, "scopes_used": 0, "last_ip": "203.0.113.9", "last_user_agent": "cron/1"}
    return CredentialUsage.objects.create(
        credential_id=key.id,
        workspace_id=key.workspace_id,
        started_at=moment,
        last_used_at=moment,
        **{**values, **fields},
    )


def old_key(actor: Actor, scopes: list[str] | None = None) -> ApiKey:
    key, _ = actor.make_key(scopes, created_at=timezone.now() - timedelta(days=60))
    return key


def usage(actor: Actor, key: ApiKey, query: str = "?days=30") -> Any:
    return actor.client.get(f"{KEYS}/{key.id}/usage{query}").json()


def names(shown: Any) -> list[str]:
    return [used["permission"] for used in shown["scopes_used"]]


def test_requests_and_refusals_are_told_by_hour_of_use(alice):
    key = old_key(alice)
    hour(key, timedelta(days=3))
    hour(key, timedelta(hours=40), requests=7, refusals=2)
    latest = hour(key, timedelta(hours=1), requests=5)

    shown = usage(alice, key, "")

    assert [(h["requests"], h["refusals"]) for h in shown["hours"]] == [(7, 2), (5, 0)]
    assert datetime.fromisoformat(shown["hours"][1]["started_at"]) == latest.started_at
    since = datetime.fromisoformat(shown["since"])
    assert timedelta(hours=47) <= timezone.now() - since < timedelta(hours=48)
    assert len(usage(alice, key, "?days=4")["hours"]) == 3


@pytest.mark.parametrize("days", ["0", "91", "many"])
def test_days_are_1_to_90(alice, days):
    assert alice.client.get(f"{KEYS}/{alice.make_key()[0].id}/usage?days={days}").status_code == 422


@real
def test_what_a_key_did_is_noted_scope_by_scope(alice):
    key, raw = alice.make_key(BOTH)
    headers = {"X-API-KEY": raw}
    hour_of_use = CredentialUsage.objects.filter(credential_id=key.id)

    assert APIClient(headers=headers).get(f"{KEYS}/current").status_code == 200
    assert hour_of_use.get().scopes_used == 0
    APIClient(headers=headers).get(GEOFENCES)
    assert names(usage(alice, key)) == ["geofences:read"]
    APIClient(headers=headers).post(GEOFENCES, {}, format="json")
    assert names(usage(alice, key)) == BOTH
    assert hour_of_use.get().scopes_used == SCOPE_BITS["geofences:read"] | SCOPE_BITS["geofences:write"]


@real
@pytest.mark.parametrize("fields", [{"scopes": ["geofences:read"]}, {"scopes": BOTH, "is_read_only": True}])
def test_what_a_key_may_not_do_it_did_not_use(alice, fields):
    key, raw = alice.make_key(**fields)

    assert APIClient(headers={"X-API-KEY": raw}).post(GEOFENCES, POINT, format="json").status_code == 403

    assert CredentialUsage.objects.get(credential_id=key.id).scopes_used == 0


@real
def test_a_refused_request_used_nothing(alice):
    key, raw = alice.make_key(BOTH, hourly_limit=1)
    client = APIClient(headers={"X-API-KEY": raw})

    assert [client.get(GEOFENCES).status_code, client.post(GEOFENCES, POINT, format="json").status_code] == [200, 429]

    assert CredentialUsage.objects.get(credential_id=key.id).scopes_used == SCOPE_BITS["geofences:read"]


@real
@pytest.mark.parametrize("store", ["server", "redis_server"])
def test_both_stores_note_the_scopes(request, store, alice):
    server = request.getfixturevalue(store)
    key, raw = alice.make_key(BOTH)

    call(server, "GET", GEOFENCES, headers={"X-API-KEY": raw})
    call(server, "POST", GEOFENCES, {}, headers={"X-API-KEY": raw})

    both = SCOPE_BITS["geofences:read"] | SCOPE_BITS["geofences:write"]
    deadline = time.monotonic() + 8
    while time.monotonic() < deadline and not (
        noted := CredentialUsage.objects.filter(credential_id=key.id, scopes_used=both, requests=2)
    ):
        time.sleep(0.1)
    assert noted


@pytest.mark.parametrize(
    ("granted", "used", "suggested", "unused"),
    [
        (BOTH, ["geofences:read"], ["geofences:read"], ["geofences:write"]),
        (["geofences:write"], ["geofences:read"], ["geofences:read"], ["geofences:write"]),
        (["geofences:write"], BOTH, None, []),
        (BOTH, ["geofences:write"], None, []),
        (["geofences:read"], [], [], ["geofences:read"]),
        ([*BOTH, "devices:read"], BOTH, None, []),
        ([*BOTH, "devices:read"], ["geofences:read"], ["geofences:read", "devices:read"], ["geofences:write"]),
        (["devices:write"], [], None, []),
    ],
)
def test_a_smaller_set_does_what_was_done_and_leaves_what_is_not_seen(alice, granted, used, suggested, unused):
    key = old_key(alice, granted)
    hour(key, timedelta(days=2), scopes_used=sum(SCOPE_BITS[scope] for scope in used))

    shown = usage(alice, key)

    assert (shown["suggested_permissions"], shown["scopes_unused"]) == (suggested, unused)


def test_nothing_is_suggested_on_thin_evidence(alice):
    young, _ = alice.make_key(BOTH)
    idle, unwatched = old_key(alice, BOTH), old_key(alice, BOTH)
    hour(young, timedelta(hours=2), scopes_used=1)
    hour(unwatched, timedelta(days=3), scopes_used=None)
    hour(unwatched, timedelta(days=2), scopes_used=1)

    assert [usage(alice, key)["suggested_permissions"] for key in (young, idle, unwatched)] == [None] * 3
    seen_from = datetime.fromisoformat(usage(alice, unwatched)["permissions_watched_since"])
    assert timedelta(days=2, hours=22) < timezone.now() - seen_from < timedelta(days=3)


def test_use_costs_one_query_beside_key_and_caller(alice):
    key = old_key(alice)
    for number in range(30):
        hour(key, timedelta(hours=number))

    with CaptureQueriesContext(connection) as queries:
        assert len(usage(alice, key)["hours"]) == 30

    assert len(queries) == 3


def test_owners_see_the_use_of_every_key_and_others_of_their_own(alice, bob, mallory):
    key = old_key(bob)
    hour(key, timedelta(hours=1))

    assert len(alice.client.get(f"/api/v1/workspaces/api-keys/{key.id}/usage").json()["hours"]) == 1
    assert alice.client.get(f"{KEYS}/{key.id}/usage").status_code == 404
    assert mallory.client.get(f"/api/v1/workspaces/api-keys/{key.id}/usage").status_code == 404
    assert bob.client.get(f"/api/v1/workspaces/api-keys/{key.id}/usage").status_code == 403


def test_a_key_can_be_made_with_its_end(alice):
    end = (timezone.now() + timedelta(days=30)).replace(microsecond=0)

    made = alice.client.post(KEYS, {"name": "CI", "expires_at": end.isoformat()}, format="json")
    late = alice.client.post(KEYS, {"expires_at": datetime(2020, 1, 1, tzinfo=UTC).isoformat()}, format="json")

    assert ApiKey.objects.get(id=made.json()["api_key"]["id"]).expires_at == end
    assert (late.status_code, list(late.json()["details"])) == (422, ["expires_at"])


def test_the_watched_scopes_are_those_that_our_addresses_ask_for():
    asked = set()
    for _, pattern in api_patterns():
        view = pattern.callback.view_class
        if issubclass(view, WorkspaceAPIView):
            asked |= set(view.scopes.values()) & KEY_SCOPES.keys()

    assert asked == WATCHED_KEY_SCOPES
    assert len(set(SCOPE_BITS.values())) == len(KEY_SCOPES) <= 31
