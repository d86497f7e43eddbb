"""The statement that finds a credential counts it in the same trip: where it does, where it does not, and that it
leaves nothing behind.
"""

import time
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from accounts.models import CredentialUsage, Workspace
from accounts.scopes import SCOPE_BITS
from accounts.usage import hour_start
from tests.support.cast import Actor

GEOFENCES = "/api/v1/geofences"
Caller = tuple[APIClient, UUID]


@pytest.fixture(params=["key", "token"])
def caller(request: pytest.FixtureRequest, alice: Actor) -> Caller:
    """Return a client of Alice's and the id of its credential."""
    if request.param == "token":
        return alice.client, alice.sign_in_id
    key, raw = alice.make_key()
    return APIClient(headers={"X-API-KEY": raw}), key.id


def test_finding_and_counting_are_one_trip(caller: Caller) -> None:
    client, credential_id = caller
    with (
        CaptureQueriesContext(connections["default"]) as asked,
        CaptureQueriesContext(connections["counters"]) as beside,
    ):
        answer = client.get(GEOFENCES, headers={"User-Agent": "cron/1"})

    assert (answer.status_code, answer["RateLimit-Remaining"]) == (200, "9999")
    assert (len(asked), len(beside)) == (2, 0)  # the other one is the page
    hour = CredentialUsage.objects.get()
    assert (hour.credential_id, hour.requests, hour.refusals) == (credential_id, 1, 0)
    assert (hour.last_ip, hour.last_user_agent, hour.last_refused_at) == ("127.0.0.1", "cron/1", None)
    assert hour.scopes_used == SCOPE_BITS["geofences:read"]


def test_what_is_beyond_the_limit_is_counted_apart(alice: Actor) -> None:
    client = alice.key_client(hourly_limit=2)

    answers = [client.get(GEOFENCES) for _ in range(5)]

    assert [(answer.status_code, answer["RateLimit-Remaining"]) for answer in answers] == [
        *[(200, "1"), (200, "0")],
        *[(429, "0")] * 3,
    ]
    hour = CredentialUsage.objects.get()
    assert (hour.requests, hour.refusals, hour.last_refused_at) == (2, 3, hour.last_used_at)


def test_views_with_limits_of_their_own_find_without_counting(caller: Caller) -> None:
    answer = caller[0].post(f"{GEOFENCES}/bulk", {"geofences": []}, format="json")

    assert answer.status_code == 422
    assert not CredentialUsage.objects.exists()


def test_who_is_not_let_in_is_not_counted(alice: Actor, anyone: APIClient) -> None:
    """They are charged by their address, as everybody without a credential is."""
    key, raw = alice.make_key()
    Workspace.objects.update(requires_sso=True, refuses_keys_under_sso=True)
    shut_out = anyone.get(GEOFENCES, headers={"X-API-KEY": raw})
    assert (shut_out.status_code, shut_out["RateLimit-Remaining"]) == (403, "99")

    Workspace.objects.update(requires_sso=False)
    key.revoked_at = key.created_at
    key.save(update_fields=["revoked_at"])
    unknown = anyone.get(GEOFENCES, headers={"X-API-KEY": raw})

    assert (unknown.status_code, unknown["RateLimit-Remaining"]) == (401, "98")
    assert not CredentialUsage.objects.exists()


def test_an_hour_begins_where_it_is_looked_for(alice: Actor) -> None:
    """Postgres and Python each work it out from the credential's id."""
    for _ in range(12):
        answer = alice.key_client().get(GEOFENCES)

        hour = CredentialUsage.objects.latest("last_used_at")
        used_at = hour.last_used_at.timestamp()
        assert hour.started_at.timestamp() == hour_start(hour.credential_id, int(used_at))
        assert used_at + int(answer["RateLimit-Reset"]) == pytest.approx(hour.started_at.timestamp() + 3600, abs=5)

    assert CredentialUsage.objects.values("started_at").distinct().count() > 6


def test_an_hour_goes_by_the_databases_clock(alice: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host whose clock is wrong begins nobody's hour anew."""
    client = alice.key_client()
    before = client.get(GEOFENCES)
    two_hours_ahead = time.time() + 7200
    monkeypatch.setattr(time, "time", lambda: two_hours_ahead)

    after = client.get(GEOFENCES)

    assert [answer["RateLimit-Remaining"] for answer in (before, after)] == ["9999", "9998"]
    assert abs(int(after["RateLimit-Reset"]) - int(before["RateLimit-Reset"])) <= 5
    assert CredentialUsage.objects.get().requests == 2


@pytest.mark.django_db(transaction=True)
def test_what_follows_waits_for_the_disk_again(alice: Actor, durable: Callable[[], str]) -> None:
    assert alice.client.get(GEOFENCES).status_code == 200

    assert CredentialUsage.objects.get().requests == 1
    assert durable() == "on"


@pytest.fixture
def durable(transactional_db: None) -> Any:
    """Let this connection wait for the disk, as it does in production; return how to ask whether it still does."""

    def ask() -> str:
        with connection.cursor() as cursor:
            cursor.execute("SHOW synchronous_commit")
            return str(cursor.fetchone()[0])

    with connection.cursor() as cursor:
        cursor.execute("SET synchronous_commit = 'on'")
    yield ask
    with connection.cursor() as cursor:
        cursor.execute("RESET synchronous_commit")
