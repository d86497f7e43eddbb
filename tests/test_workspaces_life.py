"""A workspace is made, counted and deleted."""

from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.utils import timezone

from accounts.models import CredentialUsage, Membership, SignIn, User, Workspace
from accounts.outbox import deliver_pending
from accounts.workspaces import MAX_OWNED_WORKSPACES
from apikeys.models import ApiKey
from geofences.models import Geofence
from tests.support.cast import Actor, make_workspace
from tests.support.fences import store_row
from tests.support.trail import last_event
from tests.support.workspaces import BRAND_NEW, URL

pytest_plugins = ["tests.support.manager_fixtures"]


def test_a_person_makes_a_further_workspace(alice):
    response = alice.client.post(URL, {"name": "Depots & Co", "slug": "depots"}, format="json")

    body = response.json()
    made = Workspace.objects.get(slug="depots")
    assert response.status_code == 201
    assert (body.pop("created_at"), body.pop("updated_at")) != (None, None)
    assert body == {"id": str(made.id), "name": "Depots & Co", "slug": "depots", "plan": "free", **BRAND_NEW}
    assert list(made.memberships.values_list("user_id", "role")) == [(alice.user.id, "owner")]
    event = last_event()
    assert (event.action, event.workspace_id, event.actor_id) == ("workspace.created", made.id, alice.user.id)


def test_a_slug_is_made_of_the_name_where_none_is_given(alice):
    slugs = [
        alice.client.post(URL, {"name": name}, format="json").json()["slug"] for name in ("Acme", "Depots", "東京")
    ]

    assert slugs[0].startswith("acme-") and slugs[1:] == ["depots", "workspace"]


@pytest.mark.parametrize("slug", ["ab", "Upper", "two--hyphens", "-edge", "edge-", "a b", "ümlaut", "x" * 51, "a/b", 7])
def test_a_slug_is_lower_case_words(alice, slug):
    response = alice.client.post(URL, {"name": "Depots", "slug": slug}, format="json")

    assert (response.status_code, list(response.json()["details"])) == (422, ["slug"])


def test_a_taken_slug_is_refused(alice, mallory):
    response = alice.client.post(URL, {"name": "Mine", "slug": "other"}, format="json")

    assert (response.status_code, response.json()["error_code"]) == (409, "slug_taken")
    assert Workspace.objects.count() == 2


def test_a_person_owns_only_so_many(alice):
    for number in range(MAX_OWNED_WORKSPACES - 2):
        Membership.objects.create(user=alice.user, workspace=make_workspace(f"w{number}"), role="owner")

    last = alice.client.post(URL, {"name": "Last"}, format="json")
    beyond = alice.client.post(URL, {"name": "Beyond"}, format="json")

    assert (last.status_code, beyond.status_code, beyond.json()["error_code"]) == (201, 409, "too_many_workspaces")


def test_an_unverified_person_makes_none(alice):
    User.objects.update(email_verified_at=None)

    response = alice.client.post(URL, {"name": "Mine"}, format="json")

    assert (response.status_code, response.json()["error_code"]) == (403, "email_not_verified")


def test_a_deleted_workspace_is_gone_with_all_that_is_in_it(alice, bob, mallory, acme):
    alice.make_key()
    store_row(alice, "Depot")
    mallory.make_key()
    User.objects.filter(id=bob.user.id).update(last_workspace=acme)
    count(acme, bob, timezone.now(), requests=1, refusals=0)

    response = alice.client.delete(URL + "?slug=acme")

    assert (response.status_code, response.content) == (204, b"")
    assert [w.slug for w in Workspace.objects.all()] == ["other"]
    assert ApiKey.objects.get().workspace_id == mallory.workspace.id
    assert not Geofence.objects.exists() and not CredentialUsage.objects.filter(workspace_id=acme.id).exists()
    assert list(SignIn.objects.values_list("user_id", flat=True)) == [mallory.user.id]
    assert User.objects.get(id=bob.user.id).last_workspace is None
    assert alice.client.get(URL).status_code == bob.client.get("/api/v1/auth/me").status_code == 401
    event = last_event()
    assert (event.action, event.workspace_id, event.actor_id) == ("workspace.deleted", acme.id, alice.user.id)


def test_the_other_members_of_a_deleted_workspace_are_told(alice, bob, carol, mallory):
    alice.client.delete(URL + "?slug=acme")
    deliver_pending()

    told = {message.to[0]: message for message in mail.outbox}
    assert set(told) == {"bob@acme.test", "carol@acme.test"}
    assert told["bob@acme.test"].subject == "The workspace Acme was deleted"


@pytest.mark.parametrize("query", ["", "?slug=", "?slug=other", "?slug=ACME", "?slug=acme%20x", "?slug=" + "x" * 300])
def test_deleting_is_confirmed_by_the_slug(alice, query):
    response = alice.client.delete(URL + query)

    assert (response.status_code, list(response.json()["details"])) == (422, ["slug"])
    assert Workspace.objects.count() == 1


def test_only_owners_delete(alice, manager, carol):
    for actor in (manager, carol):
        assert actor.client.delete(URL + "?slug=acme").status_code == 403
    assert Workspace.objects.count() == 1


def test_usage_is_what_was_counted(alice, bob, mallory, acme):
    alice.make_key()
    alice.make_key(revoked_at=timezone.now())
    mallory.make_key()
    store_row(alice, "Depot")
    store_row(alice, "Gone", is_active=False)
    store_row(mallory, "Hers")
    midnight = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)
    count(acme, bob, midnight, requests=40, refusals=2)
    count(acme, bob, midnight - timedelta(minutes=1), requests=1000, refusals=1000)
    count(mallory.workspace, mallory, midnight, requests=500, refusals=500)

    response = alice.client.get(URL + "/usage")

    # It has counted itself; just after midnight in an hour that began the day before.
    own = CredentialUsage.objects.filter(credential_id=alice.sign_in_id, started_at__gte=midnight).count()
    assert response.status_code == 200
    assert response.json() == {
        "location_events": 0,
        "action_deliveries": 0,
        "event_units": 40.0 + own,
        "tier": "business",
        "tier_limit": None,
        "period_start": midnight.isoformat().replace("+00:00", "Z"),
        "period_end": (midnight + timedelta(hours=23, minutes=59, seconds=59)).isoformat().replace("+00:00", "Z"),
        "api_requests": 40 + own,
        "api_refusals": 2,
        "hourly_request_limit": 10_000,
        "members": 2,
        "api_keys": 1,
        "geofences": 1,
    }


def count(workspace: Workspace, actor: Actor, started_at: Any, requests: int, refusals: int) -> None:
    CredentialUsage.objects.create(
        credential_id=actor.user.id,
        started_at=started_at,
        workspace_id=workspace.id,
        requests=requests,
        refusals=refusals,
        last_used_at=started_at,
        last_ip="192.0.2.1",
        last_user_agent="",
    )
