"""The workspace, its members, and switching, through the official SDK."""

from typing import Any

import pytest
from django.utils import timezone

from accounts.models import Membership, Workspace
from tests.support.cast import Actor, make_workspace
from tests.support.sdk import Client, Refusal, Sdk, built, from_dict
from tests.support.sdk_operations import exercises

pytest_plugins = ["tests.support.sdk_fixtures"]
pytestmark = pytest.mark.django_db(transaction=True)

SETTINGS = {
    "name": "Acme Ltd",
    "logo_url": "https://acme.test/logo.png",
    "website": "https://acme.test",
    "billing_email": "billing@acme.test",
    "description": "Roads and depots",
    "timezone": "Europe/Berlin",
    "support_email": "help@acme.test",
    "slack_connect_url": "https://acme.slack.test/x",
    "unit_system": "metric",
    "map_home": {"zoom": 11},
}


@pytest.fixture
def carol_sdk(sdk: Sdk, carol: Actor) -> Client:
    return sdk.client(access_token=carol.pair.access_token)


@pytest.fixture
def second(alice: Actor) -> Workspace:
    """Another workspace of Alice's."""
    workspace = make_workspace("second")
    Membership.objects.create(user=alice.user, workspace=workspace, role="manager")
    return workspace


def settings_of(answer: dict[str, Any]) -> dict[str, Any]:
    return {name: answer[name] for name in SETTINGS}


@exercises("workspaces.get")
def test_a_workspace_is_read(alice: Actor, carol_sdk: Client):
    workspace = carol_sdk.call("workspaces.get")

    assert (workspace["id"], workspace["name"], workspace["slug"]) == (str(alice.workspace.id), "Acme", "acme")


@exercises("workspaces.update", "workspaces.patch")
@pytest.mark.parametrize("make", [built, from_dict])
def test_a_workspace_is_changed(alice_sdk: Client, make):
    """`from_dict` sends a null for every member that it was not given."""
    put = alice_sdk.call("workspaces.update", request=make("WorkspaceIn", **SETTINGS))
    patched = alice_sdk.call("workspaces.patch", workspace_patch_in=make("WorkspacePatchIn", website="https://a.test"))
    renamed = alice_sdk.call("workspaces.update", request=make("WorkspaceIn", name="New"))

    assert settings_of(put) == SETTINGS
    assert settings_of(patched) == {**SETTINGS, "website": "https://a.test"}
    assert settings_of(renamed) == {**SETTINGS, "website": "https://a.test", "name": "New"}


def test_a_member_may_not_change_the_workspace(carol_sdk: Client):
    refusal = carol_sdk.refused("workspaces.patch", workspace_patch_in=built("WorkspacePatchIn", name="Mine"))

    detail = "Insufficient permissions: this request needs the scope workspace:write."
    assert refusal == Refusal("PermissionError", 403, detail, "insufficient_permissions")


@exercises("workspaces.get_usage")
def test_usage_is_read(alice: Actor, alice_sdk: Client):
    alice_sdk.call("workspaces.get")

    usage = alice_sdk.call("workspaces.get_usage")

    hours_began_today = timezone.now().hour > 0
    assert usage.pop("event_units") >= (2 if hours_began_today else 0)
    assert (usage.pop("period_start") < usage.pop("period_end")) is True
    assert usage == {"location_events": 0, "action_deliveries": 0, "tier": "business", "tier_limit": None}


@exercises("workspaces.available", "workspaces.mobile_bootstrap")
def test_the_workspaces_to_choose_from_are_listed(alice_sdk: Client, second: Workspace):
    choices = alice_sdk.call("workspaces.available")

    assert [row["slug"] for row in choices["eligible_workspaces"]] == ["acme", "second"]
    assert choices["selected_workspace"]["slug"] == "acme"
    assert alice_sdk.call("workspaces.mobile_bootstrap") == choices


@exercises("workspaces.select", "workspaces.mobile_select")
@pytest.mark.parametrize("name", ["workspaces.select", "workspaces.mobile_select"])
def test_a_selected_workspace_is_where_the_new_tokens_are(
    sdk: Sdk, alice: Actor, alice_sdk: Client, second: Workspace, name
):
    back = {"workspaces.select": "workspaces.mobile_select", "workspaces.mobile_select": "workspaces.select"}[name]

    there = alice_sdk.call(name, mobile_workspace_select_in=selection(second))

    assert (there["selected_workspace"]["slug"], there["user"]["workspace_slug"]) == ("second", "second")
    moved = sdk.client(access_token=there["access_token"])
    assert moved.call("workspaces.get")["slug"] == "second"
    assert alice_sdk.refused("workspaces.get").kind == "AuthenticationError"
    again = moved.call(back, mobile_workspace_select_in=selection(alice.workspace))
    refreshed = sdk.client().call(
        "auth.refresh", refresh_token_schema=from_dict("RefreshTokenSchema", refresh_token=again["refresh_token"])
    )
    assert refreshed["user"]["workspace_slug"] == "acme"


def selection(workspace: Workspace) -> Any:
    return from_dict("MobileWorkspaceSelectIn", workspace_id=str(workspace.id))


def test_a_strangers_workspace_cannot_be_selected(alice_sdk: Client, mallory: Actor):
    refusal = alice_sdk.refused("workspaces.select", mobile_workspace_select_in=selection(mallory.workspace))

    assert (refusal.kind, refusal.status_code, refusal.error_code) == ("PermissionError", 403, "not_a_member")


@exercises("workspaces.list_members", "workspaces.update_member_role", "workspaces.remove_member")
def test_members_are_listed_changed_and_removed(alice: Actor, bob: Actor, alice_sdk: Client, carol_sdk: Client):
    listed = carol_sdk.call("workspaces.list_members")
    assert {member["email"]: member["role"] for member in listed["members"]} == {
        "alice@acme.test": "owner",
        "bob@acme.test": "field_worker",
        "carol@acme.test": "member",
    }

    promotion = from_dict("UpdateMemberRoleIn", role="manager")
    changed = alice_sdk.call("workspaces.update_member_role", user_id=str(bob.user.id), request=promotion)
    assert (changed["user_id"], changed["role"]) == (str(bob.user.id), "manager")
    assert alice_sdk.call("workspaces.remove_member", user_id=str(bob.user.id)) is None
    assert carol_sdk.call("workspaces.list_members")["total"] == 2


def test_the_last_owner_cannot_be_demoted_or_removed(alice: Actor, alice_sdk: Client):
    demotion = from_dict("UpdateMemberRoleIn", role="member")
    her = {"user_id": str(alice.user.id)}

    demoted = alice_sdk.refused("workspaces.update_member_role", **her, request=demotion)
    removed = alice_sdk.refused("workspaces.remove_member", **her)

    assert (demoted.kind, demoted.error_code) == ("ValidationError", "last_owner")
    assert (removed.kind, removed.error_code) == ("PermissionError", "last_owner")


@exercises("workspaces.revoke_all_sessions")
def test_everybody_is_signed_out(alice: Actor, alice_sdk: Client, carol_sdk: Client):
    answer = alice_sdk.call("workspaces.revoke_all_sessions")

    assert (answer["members_affected"], answer["sessions_revoked"]) == (2, 2)
    assert alice_sdk.refused("auth.me").kind == carol_sdk.refused("auth.me").kind == "AuthenticationError"
