"""A person's own profile: every member round-trips, what is not given stays."""

import pytest
from rest_framework.test import APIClient

from accounts.models import Membership, User
from tests.support.cast import PASSWORD, Actor, make_workspace
from tests.support.race import at_once, call

ME = "/api/v1/account/me"

DEFAULTS = {
    "date_format": "YYYY-MM-DD",
    "time_format": "24h",
    "email_notifications": True,
    "webhook_failure_notifications": True,
    "workflow_failure_notifications": True,
    "usage_alert_notifications": True,
    "marketing_emails": False,
    "default_map_style": "streets",
    "default_geofence_color": "#3B82F6",
    "show_tutorial_tooltips": True,
    "has_completed_tour": False,
    "has_completed_workflow_tour": False,
    "default_api_version": "v1",
}
EVERYTHING = {
    "name": "Alice A.",
    "bio": "Draws <fences>.",
    "avatar_url": "https://cdn.acme.test/alice.png",
    "phone_number": "+41791234567",
    "timezone": "Europe/Zurich",
    "date_format": "DD.MM.YYYY",
    "time_format": "12h",
    "email_notifications": False,
    "webhook_failure_notifications": False,
    "workflow_failure_notifications": False,
    "usage_alert_notifications": False,
    "marketing_emails": True,
    "default_map_style": "satellite",
    "default_geofence_color": "#00ff7F",
    "show_tutorial_tooltips": False,
    "has_completed_tour": True,
    "has_completed_workflow_tour": True,
    "default_api_version": "v2",
}


def put(client: APIClient, **body: object):
    return client.put(ME, body, format="json")


def test_a_new_profile(alice: Actor):
    response = alice.client.get(ME)

    alice.user.refresh_from_db()
    assert response.status_code == 200
    assert response.json() == {
        "id": str(alice.user.id),
        "email": "alice@acme.test",
        "name": "Alice",
        "role": "owner",
        "is_staff": False,
        "is_superuser": False,
        "email_verified": True,
        "created_at": alice.user.created_at.isoformat().replace("+00:00", "Z"),
        "updated_at": alice.user.updated_at.isoformat().replace("+00:00", "Z"),
        "bio": None,
        "avatar_url": None,
        "phone_number": None,
        "timezone": "UTC",
        **DEFAULTS,
        "workspace_role": "owner",
        "workspace_id": str(alice.workspace.id),
        "selected_plan": "free",
        "company": None,
        "second_factor_enabled": False,
        "mail_stopped": False,
    }


def test_every_member_round_trips(alice):
    before = alice.client.get(ME).json()

    response = put(alice.client, **EVERYTHING)

    after = response.json()
    assert response.status_code == 200
    assert after == {**before, **EVERYTHING, "updated_at": after["updated_at"]}
    assert after["updated_at"] > before["updated_at"]
    assert alice.client.get(ME).json() == after


def test_what_is_not_given_stays(alice):
    after_all = put(alice.client, **EVERYTHING).json()

    after_one = put(alice.client, marketing_emails=False).json()

    assert after_one == {**after_all, "marketing_emails": False, "updated_at": after_one["updated_at"]}


def test_only_what_differs_from_the_defaults_is_stored(alice):
    put(alice.client, **EVERYTHING)

    put(alice.client, **{**DEFAULTS, "default_map_style": "dark"})

    alice.user.refresh_from_db()
    assert alice.user.preferences == {"default_map_style": "dark"}


def test_a_body_with_a_null_for_everything_not_given_changes_what_it_gives(alice):
    """The SDK's from_dict() sends such bodies."""
    before = put(alice.client, **EVERYTHING).json()

    after = put(alice.client, **{**dict.fromkeys(EVERYTHING), "bio": "Changed."}).json()

    assert after == {**before, "bio": "Changed.", "updated_at": after["updated_at"]}


@pytest.mark.parametrize("nothing", [None, ""])
def test_what_may_be_empty_is_emptied(alice, nothing):
    put(alice.client, **EVERYTHING)

    after = put(alice.client, bio=nothing, avatar_url=nothing, phone_number=nothing).json()

    assert (after["bio"], after["avatar_url"], after["phone_number"]) == (None, None, None)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("phone_number", "0791234567"),
        ("phone_number", "+123456789"),
        ("phone_number", "+1234567890123456"),
        ("phone_number", "+٠١٢٣٤٥٦٧٨٩"),
        ("default_geofence_color", "red"),
        ("default_geofence_color", "#12345"),
        ("default_geofence_color", "#1234567"),
        ("timezone", "Mars/Olympus"),
        ("timezone", "../../etc/passwd"),
        ("timezone", ""),
        ("avatar_url", "javascript:alert(1)"),
        ("avatar_url", "ftp://acme.test/a.png"),
        ("avatar_url", "https://" + "a" * 500 + ".test"),
        ("name", "n" * 256),
        ("bio", "b" * 1001),
        ("date_format", "d" * 21),
        ("marketing_emails", "perhaps"),
        ("marketing_emails", [True]),
        ("name", {"first": "Alice"}),
    ],
)
def test_a_bad_value_is_named_and_changes_nothing(alice, field, value):
    before = alice.client.get(ME).json()

    response = put(alice.client, **{"has_completed_tour": True, field: value})

    assert response.status_code == 422
    assert response.json()["error_code"] == "validation_error"
    assert list(response.json()["details"]) == [field]
    assert alice.client.get(ME).json() == before


def test_nothing_else_can_be_assigned(alice):
    before = alice.client.get(ME).json()
    wish = {"id": "1", "email": "root@acme.test", "is_staff": True, "is_superuser": True, "role": "owner"}
    wish |= {"email_verified": False, "selected_plan": "enterprise", "company": "Other", "preferences": {"a": 1}}

    after = put(alice.client, **wish, totp_secret="x", is_active=False).json()

    assert after == {**before, "updated_at": after["updated_at"]}
    assert User.objects.get(id=alice.user.id).preferences == {}


@pytest.mark.parametrize("body", ["[]", '"text"', "1", "null", "[{}]"])
def test_a_body_of_another_type_is_refused(alice, body):
    response = alice.client.put(ME, body, content_type="application/json")

    assert response.status_code == 422
    assert response.json()["error_code"] == "validation_error"


def test_role_and_workspace_are_those_of_the_sign_in(alice, anyone):
    second = make_workspace("second")
    Membership.objects.create(user=alice.user, workspace=second, role="member")
    User.objects.filter(id=alice.user.id).update(last_workspace=second)
    pair = anyone.post("/api/v1/auth/login", {"email": alice.user.email, "password": PASSWORD}, format="json").json()

    there = anyone.get(ME, headers={"Authorization": f"Bearer {pair['access_token']}"}).json()

    assert (there["role"], there["workspace_id"]) == ("member", str(second.id))
    assert alice.client.get(ME).json()["role"] == "owner"


def test_a_key_has_no_profile(acme_key):
    key = acme_key()

    for answer in (key.get(ME), key.put(ME, {"name": "x"}, format="json"), key.delete(ME)):
        assert answer.status_code == 403
        assert answer.json()["error_code"] == "insufficient_permissions"


@pytest.mark.django_db(transaction=True)
def test_changes_of_different_members_at_once_all_hold(server, alice):
    flags = [name for name, value in DEFAULTS.items() if value is True]
    bearer = {"Authorization": f"Bearer {alice.pair.access_token}"}

    answers = at_once(len(flags), lambda index: call(server, "PUT", ME, {flags[index]: False}, bearer))

    assert {answer.status for answer in answers} == {200}
    assert User.objects.get(id=alice.user.id).preferences == dict.fromkeys(flags, False)
