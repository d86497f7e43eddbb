"""The workspace itself: who sees and changes it, and what each of its fields may hold."""

from typing import Any

import pytest
from django.utils import timezone

from accounts.models import AuditEvent, User, Workspace
from tests.support.cast import PASSWORD, Actor
from tests.support.trail import last_event
from tests.support.workspaces import BRAND_NEW, URL

pytest_plugins = ["tests.support.manager_fixtures"]

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


def patch(actor: Actor, **changes: Any) -> Any:
    return actor.client.patch(URL, changes, format="json")


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
        ("map_home", ["Berlin", [1, 2], 7, {"x": "y" * 4096}, {"zoom": 1e20}, {"center": [{"lat": -1e300}]}]),
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
