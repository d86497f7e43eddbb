"""The workspace itself: seen, changed, made, deleted; what it holds; ending everybody's sign-ins."""

from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.utils import timezone

from accounts.models import AuditEvent, CredentialUsage, Membership, SignIn, User, Workspace
from accounts.outbox import deliver_pending
from accounts.tokens import AccessToken, TokenPair
from accounts.workspaces import MAX_OWNED_WORKSPACES
from apikeys.models import ApiKey
from geofences.models import Geofence
from tests.support.cast import PASSWORD, Actor, bearer, enter, make_workspace
from tests.support.fences import store_row

URL = "/api/v1/workspaces"
BRAND_NEW = {
    "logo_url": None,
    "website": None,
    "billing_email": None,
    "description": None,
    "timezone": "UTC",
    "support_email": None,
    "slack_connect_url": None,
    "unit_system": "imperial",
    "lane": None,
    "map_home": None,
    "access_token_lifetime_seconds": None,
    "requires_second_factor": False,
}
CHANGES = {
    "name": "Acme Ltd",
    "logo_url": "https://acme.test/logo.png",
    "website": "http://acme.test",
    "billing_email": "billing@acme.test",
    "description": "Roads\nand depots",
    "timezone": "Europe/Berlin",
    "support_email": "help@acme.test",
    "slack_connect_url": "https://acme.slack.test/x",
    "unit_system": "metric",
    "map_home": {"center": [8.5, 47.3], "zoom": 11},
}


@pytest.fixture
def manager(acme: Workspace) -> Actor:
    return enter("bob", "manager", acme)


def patch(actor: Actor, **changes: Any) -> Any:
    return actor.client.patch(URL, changes, format="json")


def last_event() -> AuditEvent:
    return AuditEvent.objects.latest("sequence")


def test_a_member_sees_the_workspace(carol, acme):
    response = carol.client.get(URL + "/")

    body = response.json()
    assert response.status_code == 200
    assert (body.pop("created_at"), body.pop("updated_at")) != (None, None)
    assert body == {"id": str(acme.id), "name": "Acme", "slug": "acme", "plan": "business", **BRAND_NEW}


@pytest.mark.parametrize("method", ["put", "patch"])
def test_every_field_is_changed_and_answered(manager, method):
    response = getattr(manager.client, method)(URL, CHANGES, format="json")

    assert response.status_code == 200
    assert {name: response.json()[name] for name in CHANGES} == CHANGES
    assert manager.client.get(URL).json() == response.json()


def test_an_event_tells_what_was_changed_without_personal_data(alice):
    patch(alice, billing_email="somebody@acme.test", access_token_lifetime_seconds=600)

    event = last_event()
    assert (event.action, event.actor_email) == ("workspace.updated", "alice@acme.test")
    assert event.changes == {"fields": ["access_token_lifetime", "billing_email"], "access_token_lifetime": 600}


def test_changing_nothing_is_no_event(alice):
    before = alice.client.get(URL).json()
    events = AuditEvent.objects.count()

    response = patch(alice, name="Acme", timezone=None, unit_system=None)

    assert (response.status_code, response.json()) == (200, before)
    assert AuditEvent.objects.count() == events


def test_put_needs_a_name_and_leaves_the_rest(alice):
    patch(alice, **CHANGES)

    assert alice.client.put(URL, {"website": ""}, format="json").json()["details"] == {
        "name": ["This field is required."]
    }
    response = alice.client.put(URL, {"name": "New"}, format="json")
    assert {name: response.json()[name] for name in CHANGES} == {**CHANGES, "name": "New"}


def test_a_null_empties_what_can_be_empty(alice):
    patch(alice, **CHANGES)

    response = patch(alice, website=None, map_home=None, description=None)

    assert response.json()["website"] is response.json()["map_home"] is response.json()["description"] is None
    assert response.json()["logo_url"] == CHANGES["logo_url"]


def test_the_nulls_of_a_body_with_all_members_are_left_out(alice):
    """The SDK's from_dict sends them."""
    patch(alice, **CHANGES)

    response = patch(alice, **{**dict.fromkeys(CHANGES), "name": "New"})

    assert {name: response.json()[name] for name in CHANGES} == {**CHANGES, "name": "New"}


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("name", ["", "  ", "x" * 256, "two\nlines", ["Acme"], {"a": 1}]),
        ("logo_url", ["javascript:alert(1)", "ftp://acme.test/x", "acme", "https://acme.test/" + "x" * 500, 7, []]),
        ("website", ["data:text/html,x", "https://"]),
        ("slack_connect_url", ["//acme.test"]),
        ("billing_email", ["acme", "a@b", "x" * 250 + "@acme.test", "a@acme.test\nBcc: b@acme.test", 7]),
        ("description", ["x" * 2001, []]),
        ("timezone", ["Mars/Olympus", "../../etc/passwd", "europe/berlin", "", "x" * 100_000, 7]),
        ("unit_system", ["furlongs", "", 1, []]),
        ("map_home", ["Berlin", [1, 2], 7, {"x": "y" * 4096}]),
        ("access_token_lifetime_seconds", [299, 86_401, 10**15, 10**30, -1, "soon", 1.5, [], {}]),
        ("requires_second_factor", ["perhaps", [], 7]),
    ],
)
def test_what_is_no_such_thing_is_refused_by_its_name(alice, acme, field, values):
    for value in values:
        response = patch(alice, **{field: value})
        assert (response.status_code, list(response.json()["details"])) == (422, [field]), value
    assert list(Workspace.objects.values()) == list(Workspace.objects.filter(updated_at=acme.updated_at).values())


def test_plan_slug_and_other_columns_are_not_for_clients(alice, acme):
    response = patch(alice, plan="enterprise", slug="other", id=str(alice.user.id), suspended_at="2020-01-01")

    acme.refresh_from_db()
    assert (response.status_code, acme.plan, acme.slug, acme.suspended_at) == (200, "business", "acme", None)


def test_field_workers_and_members_change_nothing(bob, carol):
    for actor in (bob, carol):
        response = patch(actor, name="Mine")
        assert (response.status_code, response.json()["error_code"]) == (403, "insufficient_permissions")
    assert Workspace.objects.get().name == "Acme"


@pytest.mark.parametrize("change", [{"access_token_lifetime_seconds": 600}, {"requires_second_factor": True}])
def test_only_an_owner_decides_about_sign_ins(alice, manager, change):
    User.objects.update(totp_confirmed_at=timezone.now())
    refused = patch(manager, name="New", **change)
    unchanged = Workspace.objects.get().name

    assert (refused.status_code, unchanged) == (403, "Acme")
    assert refused.json()["detail"].startswith("Only an owner changes the ")
    assert patch(alice, **change).status_code == 200
    assert patch(manager, name="New", **change).status_code == 200  # the same value is no change


def test_the_lifetime_of_access_tokens_is_what_login_and_refresh_say(anyone, alice):
    patch(alice, access_token_lifetime_seconds=300)

    login = anyone.post("/api/v1/auth/login", {"email": "alice@acme.test", "password": PASSWORD}, format="json").json()
    refresh = anyone.post("/api/v1/auth/refresh", {"refresh_token": login["refresh_token"]}, format="json").json()
    patch(alice, access_token_lifetime_seconds=None)
    again = anyone.post("/api/v1/auth/refresh", {"refresh_token": refresh["refresh_token"]}, format="json").json()

    assert (login["expires_in"], refresh["expires_in"], again["expires_in"]) == (300, 300, 14_400)


def test_an_owner_without_a_second_factor_cannot_require_one(alice):
    refused = patch(alice, requires_second_factor=True)
    User.objects.filter(id=alice.user.id).update(totp_confirmed_at=timezone.now())
    allowed = patch(alice, requires_second_factor=True)

    assert (refused.status_code, refused.json()["error_code"]) == (409, "own_second_factor_missing")
    assert (allowed.status_code, allowed.json()["requires_second_factor"]) == (200, True)


def test_a_required_second_factor_leaves_the_others_only_their_account(alice, carol):
    User.objects.filter(id=alice.user.id).update(totp_confirmed_at=timezone.now())
    patch(alice, requires_second_factor=True)

    refused = carol.client.get(URL)

    assert (refused.status_code, refused.json()["error_code"]) == (403, "second_factor_required")
    assert carol.client.get(URL + "/available").status_code == 200
    assert alice.client.get(URL).status_code == 200


# Another workspace


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


# Deleting


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


# Usage


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

    response = alice.client.get(URL + "/usage")  # itself counted on a connection that this test does not see

    assert response.status_code == 200
    assert response.json() == {
        "location_events": 0,
        "action_deliveries": 0,
        "event_units": 40.0,
        "tier": "business",
        "tier_limit": None,
        "period_start": midnight.isoformat().replace("+00:00", "Z"),
        "period_end": (midnight + timedelta(hours=23, minutes=59, seconds=59)).isoformat().replace("+00:00", "Z"),
        "api_requests": 40,
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


# Ending everybody's sign-ins


def test_all_sign_ins_of_the_workspace_end_the_owners_own_too(alice, bob, mallory, acme):
    bob.sign_in_again()
    key = alice.key_client()

    response = alice.client.post(URL + "/revoke-all-sessions")

    assert (response.status_code, response.json()) == (
        200,
        {
            "message": "Everybody was signed out of this workspace.",
            "members_affected": 2,
            "sessions_revoked": 3,
            "workspace_id": str(acme.id),
        },
    )
    assert alice.client.get(URL).status_code == bob.client.get(URL).status_code == 401
    assert mallory.client.get(URL).status_code == key.get("/api/v1/geofences").status_code == 200
    event = last_event()
    assert (event.action, event.changes) == ("session.all_revoked", {"sign_ins_ended": 3})


def test_a_sign_in_that_was_elsewhere_meanwhile_cannot_come_back(alice, acme):
    elsewhere = make_workspace("elsewhere")
    Membership.objects.create(user=alice.user, workspace=elsewhere, role="member")
    moved = bearer(select(bearer(alice.sign_in_again().access_token), elsewhere).json()["access_token"])
    alice.client.post(URL + "/revoke-all-sessions")

    refused = select(moved, acme)
    fresh = select(bearer(alice.sign_in_again().access_token), acme)

    assert (refused.status_code, refused.json()) == (
        403,
        {
            "detail": "This workspace has ended all sign-ins since yours began. Sign in again to enter it.",
            "error_code": "sign_in_too_old",
        },
    )
    assert (moved.get(URL).json()["slug"], fresh.status_code) == ("elsewhere", 200)
    assert len(moved.get(URL + "/available").json()["eligible_workspaces"]) == 2


def test_a_sign_in_that_was_on_its_way_when_all_were_ended_is_refused(alice, bob, anyone):
    """It stands in the database as if it had come a moment after the others were ended."""
    late, later = bob.sign_in_again(), bob.sign_in_again()
    alice.client.post(URL + "/revoke-all-sessions")
    for pair, since_the_end in ((late, -1), (later, 1)):
        moment = Workspace.objects.get(id=bob.workspace.id).sign_ins_ended_at + timedelta(seconds=since_the_end)
        row = SignIn.objects.filter(id=AccessToken.read(pair.access_token).sid)
        row.update(revoked_at=None, revoked_reason="", created_at=moment)

    def statuses(pair: TokenPair) -> list[int]:
        body = {"refresh_token": pair.refresh_token}
        entered = bearer(pair.access_token).get(URL).status_code
        return [entered] + [anyone.post("/api/v1/auth/refresh", body, format="json").status_code for _ in range(2)]

    assert statuses(late) == [401, 401, 401]
    assert statuses(later) == [200, 200, 200]


def select(client: Any, workspace: Workspace) -> Any:
    return client.post(URL + "/select", {"workspace_id": str(workspace.id)}, format="json")


def test_only_owners_end_everybodys_sign_ins(manager, carol):
    for actor in (manager, carol):
        assert actor.client.post(URL + "/revoke-all-sessions").status_code == 403
    assert SignIn.objects.live().count() == 2


def test_sign_ins_of_a_workspace_are_all_ended_once_a_minute(alice, mallory):
    other_device = bearer(alice.sign_in_again().access_token)
    assert alice.client.post(URL + "/revoke-all-sessions").status_code == 200
    back = bearer(alice.sign_in_again().access_token)

    answers = [client.post(URL + "/revoke-all-sessions") for client in (other_device, back, mallory.client)]

    assert [answer.status_code for answer in answers] == [401, 429, 200]
    assert 0 < int(answers[1]["Retry-After"]) <= 60
