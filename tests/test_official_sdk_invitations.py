"""Invitations through the official SDK: made, listed, sent again, extended, cancelled, accepted."""

from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.utils import timezone

from tests.support.cast import Actor
from tests.support.sdk import Client, Refusal, Sdk, built, from_dict, moment
from tests.support.sdk_operations import exercises

pytest_plugins = ["tests.support.sdk_fixtures"]
pytestmark = pytest.mark.django_db(transaction=True)

PASSWORD = "a quiet harbour at dawn"


def invite(client: Client, email: str = "dana@else.test", **fields: Any) -> dict[str, Any]:
    return client.call("workspaces.create_invitation", request=from_dict("CreateInvitationIn", email=email, **fields))


def listed(client: Client, **query: Any) -> list[str]:
    return [row["email"] for row in client.call("workspaces.list_invitations", **query)["invitations"]]


def link(issued: dict[str, Any]) -> dict[str, str]:
    query = parse_qs(urlsplit(issued["invite_link"]).query)
    return {"invite_id": query["invite_id"][0], "token": query["token"][0]}


@exercises("workspaces.create_invitation", "workspaces.list_invitations")
def test_an_invitation_is_made_and_listed(alice_sdk: Client):
    made = invite(alice_sdk)
    second = alice_sdk.call(
        "workspaces.create_invitation", request=built("CreateInvitationIn", email="eve@else.test", role="owner")
    )

    page = alice_sdk.call("workspaces.list_invitations", limit=1)

    assert (made["email"], made["role"], made["status"], made["invite_ttl_hours"]) == (
        "dana@else.test",
        "field_worker",
        "pending",
        168,
    )
    assert (page["total"], [row["id"] for row in page["invitations"]]) == (2, [second["id"]])
    rest = alice_sdk.call("workspaces.list_invitations", before=page["next_cursor"])
    assert (rest["next_cursor"], [row["id"] for row in rest["invitations"]]) == (None, [made["id"]])
    assert "invite_link" not in rest["invitations"][0]


@exercises("workspaces.resend_invitation")
def test_an_invitation_is_sent_again_under_a_new_link(sdk: Sdk, alice_sdk: Client):
    former = invite(alice_sdk)

    issued = alice_sdk.call("workspaces.resend_invitation", invite_id=former["id"])

    assert issued["invite_link"] != former["invite_link"]
    assert listed(alice_sdk) == ["dana@else.test"]
    refusal = sdk.client().refused(
        "auth.accept_invite_passwordless",
        accept_invite_passwordless_schema=from_dict("AcceptInvitePasswordlessSchema", **link(former)),
    )
    detail = "This invitation was cancelled, or replaced by a newer one; use that."
    assert refusal == Refusal("ValidationError", 400, detail, "invitation_revoked")


@exercises("workspaces.resend_missing_invitations")
def test_many_are_sent_again_in_one_call(alice_sdk: Client):
    made = [invite(alice_sdk, f"p{number}@else.test") for number in range(3)]
    names = [made[0]["id"], "unknown"]

    named = alice_sdk.call(
        "workspaces.resend_missing_invitations", request=built("BatchResendIn", invitation_ids=names)
    )
    everything = alice_sdk.call("workspaces.resend_missing_invitations", request=from_dict("BatchResendIn"))

    assert [row["status"] for row in named["results"]] == ["resent", "skipped"]
    assert (named["resent_count"], named["skipped_count"], named["remaining_count"]) == (1, 1, 0)
    assert named["results"][0]["invitation"]["invite_ttl_hours"] == 168
    assert named["results"][1]["error_code"] == "not_found"
    assert (everything["resent_count"], everything["skipped_count"]) == (3, 0)


@exercises("workspaces.extend_invitation", "workspaces.cancel_invitation")
def test_an_invitation_is_extended_and_cancelled(alice_sdk: Client):
    made = invite(alice_sdk)
    later = timezone.now().replace(microsecond=0) + timedelta(days=60)

    extended = alice_sdk.call(
        "workspaces.extend_invitation",
        invite_id=made["id"],
        request=built("ExtendInvitationIn", expires_at=moment(later)),
    )
    cancelled = alice_sdk.call("workspaces.cancel_invitation", invite_id=made["id"])

    assert extended["expires_at"] == later.isoformat().replace("+00:00", "Z")
    assert cancelled == {"message": "Invitation cancelled.", "success": True}
    assert listed(alice_sdk) == []


@exercises("auth.accept_invite")
def test_accepting_makes_an_account_that_is_signed_in(sdk: Sdk, alice: Actor, alice_sdk: Client):
    body = from_dict("AcceptInviteSchema", **link(invite(alice_sdk)), password=PASSWORD)

    pair = sdk.client().call("auth.accept_invite", accept_invite_schema=body)

    me = sdk.client(access_token=pair["access_token"]).call("auth.me")
    assert {name: me[name] for name in pair["user"]} == pair["user"]
    assert pair["workspace"] == {
        "id": str(alice.workspace.id),
        "name": "Acme",
        "slug": "acme",
        "role": "field_worker",
    }
    login = from_dict("LoginSchema", email="dana@else.test", password=PASSWORD)
    assert sdk.client().call("auth.login", login_schema=login)["user"]["id"] == pair["user"]["id"]


@exercises("auth.accept_invite_passwordless")
def test_accepting_without_a_password_signs_in(sdk: Sdk, alice_sdk: Client):
    body = from_dict("AcceptInvitePasswordlessSchema", **link(invite(alice_sdk)))

    pair = sdk.client().call("auth.accept_invite_passwordless", accept_invite_passwordless_schema=body)

    assert sdk.client(access_token=pair["access_token"]).call("auth.me")["email"] == "dana@else.test"
    again = sdk.client().refused("auth.accept_invite_passwordless", accept_invite_passwordless_schema=body)
    detail = "This invitation was accepted already; its person can sign in."
    assert again == Refusal("ValidationError", 400, detail, "invitation_used")


def test_a_strangers_token_is_a_conflict_error(alice_sdk: Client):
    """The SDK sends no credential to this operation by itself; its caller can."""
    body = from_dict("AcceptInviteSchema", **link(invite(alice_sdk)), password=PASSWORD)
    header = {"Authorization": f"Bearer {alice_sdk.credential['access_token']}"}

    refusal = alice_sdk.refused("auth.accept_invite", accept_invite_schema=body, _headers=header)

    detail = "This invitation is for another address than the signed-in one. Sign out, then open it again."
    assert refusal == Refusal("ConflictError", 409, detail, "INVITE_EMAIL_MISMATCH")
