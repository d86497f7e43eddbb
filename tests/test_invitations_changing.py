"""What becomes of an invitation until it is accepted: resent, extended, cancelled, ended with its inviter's role."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.core import mail
from django.utils import timezone
from rest_framework.test import APIClient

from accounts import members
from accounts.mailed_tokens import digest
from accounts.models import Invitation, Workspace
from accounts.outbox import deliver_pending
from tests.support.cast import Actor, enter
from tests.support.invitations import CLOSED, INVITATIONS, NOT_FOUND, OWNERS_ONLY, invite, listed, shown, token_of
from tests.support.race import at_once, call
from tests.support.trail import last_event
from tests.support.urls import EXAMPLE_ID

pytest_plugins = ["tests.support.manager_fixtures"]
pytestmark = pytest.mark.django_db


def test_resending_replaces_the_invitation(alice: Actor, manager: Actor):
    former = invite(alice.client)

    response = manager.client.post(f"{INVITATIONS}/{former['id']}/resend")

    body = response.json()
    assert response.status_code == 200
    assert {**body, **{name: former[name] for name in ("id", "created_at", "expires_at", "invite_link")}} == {
        **former,
        "invited_by_email": "bob@acme.test",
    }
    assert token_of(body) != token_of(former) and body["id"] in body["invite_link"]
    assert [row.status for row in Invitation.objects.order_by("created_at")] == ["revoked", "pending"]
    event = last_event()
    assert (event.action, event.resource_id, event.changes) == (
        "invitation.resent",
        body["id"],
        {"replaces": former["id"]},
    )
    deliver_pending()
    assert [body["invite_link"] in message.body for message in mail.outbox] == [True]


@pytest.mark.parametrize("state", CLOSED)
def test_only_a_pending_invitation_is_resent(alice: Actor, state):
    issued = invite(alice.client)
    change, refusal = CLOSED[state]
    Invitation.objects.update(**change)

    response = alice.client.post(f"{INVITATIONS}/{issued['id']}/resend")

    assert (response.status_code, response.json()) == (400, refusal)
    assert Invitation.objects.count() == 1


def test_an_eleventh_resending_waits_and_refusals_do_not_count(alice: Actor, manager: Actor):
    owners, ours = invite(alice.client, role="owner"), invite(alice.client, "eve@else.test")
    for _ in range(11):
        assert manager.client.post(f"{INVITATIONS}/{owners['id']}/resend").json() == OWNERS_ONLY

    for _ in range(10):
        ours = manager.client.post(f"{INVITATIONS}/{ours['id']}/resend").json()
    response = manager.client.post(f"{INVITATIONS}/{ours['id']}/resend")

    assert (response.status_code, response.json()["limit"]) == (429, 10)
    assert listed(alice.client) == ["eve@else.test", "dana@else.test"]


def test_extending_keeps_the_link_and_sends_nothing(alice: Actor):
    issued = invite(alice.client)
    deliver_pending()
    Invitation.objects.update(expires_at=timezone.now() - timedelta(seconds=1))  # an expired one comes back
    moment = timezone.now() + timedelta(days=30)

    response = alice.client.patch(f"{INVITATIONS}/{issued['id']}", {"expires_at": moment.isoformat()}, format="json")

    assert response.status_code == 200
    assert response.json() == {**shown(issued), "expires_at": moment.isoformat().replace("+00:00", "Z")}
    row = Invitation.objects.get()
    assert (row.expires_at, bytes(row.digest), deliver_pending()) == (moment, digest(token_of(issued)), 0)
    assert (last_event().action, last_event().changes) == ("invitation.extended", {"expires_at": moment.isoformat()})


@pytest.mark.parametrize(
    "expires_at",
    [
        None,
        "",
        "tomorrow",
        True,
        7,
        ["2026-01-01"],
        "2020-01-01T00:00:00Z",
        "9999-12-31T23:59:59-14:00",
        "0001-01-01T00:00:00+14:00",
        pytest.param((datetime.now() + timedelta(days=91)).isoformat(), id="91 days"),
    ],
)
def test_an_invitation_ends_within_ninety_days(alice: Actor, expires_at):
    issued = invite(alice.client)
    path = f"{INVITATIONS}/{issued['id']}"

    response = alice.client.patch(path, {"expires_at": expires_at}, format="json")

    assert (response.status_code, list(response.json()["details"])) == (422, ["expires_at"])
    moment = timezone.now() + timedelta(days=89)
    assert alice.client.patch(path, {"expires_at": moment.isoformat()}, format="json").status_code == 200


@pytest.mark.parametrize("state", ["revoked", "accepted"])
def test_an_invitation_that_ended_is_neither_extended_nor_cancelled(alice: Actor, state):
    issued = invite(alice.client)
    change, refusal = CLOSED[state]
    Invitation.objects.update(**change)
    moment = (timezone.now() + timedelta(days=3)).isoformat()

    extended = alice.client.patch(f"{INVITATIONS}/{issued['id']}", {"expires_at": moment}, format="json")
    cancelled = alice.client.delete(f"{INVITATIONS}/{issued['id']}")

    assert (extended.status_code, extended.json()) == (cancelled.status_code, cancelled.json()) == (400, refusal)


@pytest.mark.parametrize("expires_in", [timedelta(days=1), timedelta(0)])
def test_cancelling_ends_it_even_an_expired_one(manager: Actor, expires_in):
    issued = invite(manager.client)
    Invitation.objects.update(expires_at=timezone.now() + expires_in)

    response = manager.client.delete(f"{INVITATIONS}/{issued['id']}")

    assert (response.status_code, response.json()) == (200, {"message": "Invitation cancelled.", "success": True})
    assert Invitation.objects.get().status == "revoked"
    assert (last_event().action, last_event().target_email) == ("invitation.cancelled", "dana@else.test")
    assert (deliver_pending(), mail.outbox) == (1, [])  # its mail finds nothing to say


def act_on(client: APIClient, invite_id: str) -> list[tuple[int, Any]]:
    """Try everything that takes an invitation's id."""
    moment = (timezone.now() + timedelta(days=3)).isoformat()
    answers = [
        client.post(f"{INVITATIONS}/{invite_id}/resend"),
        client.patch(f"{INVITATIONS}/{invite_id}", {"expires_at": moment}, format="json"),
        client.delete(f"{INVITATIONS}/{invite_id}"),
    ]
    return [(answer.status_code, answer.json()) for answer in answers]


def test_managers_leave_invitations_of_owners_alone(alice: Actor, manager: Actor):
    issued = invite(alice.client, role="owner")

    assert act_on(manager.client, issued["id"]) == [(403, OWNERS_ONLY)] * 3
    assert [status for status, _ in act_on(alice.client, issued["id"])] == [200, 400, 400]


@pytest.mark.parametrize("invite_id", [EXAMPLE_ID, "x", "%00", "1" * 300])
def test_a_strangers_invitation_and_an_absent_one_are_the_same_nothing(alice: Actor, mallory: Actor, invite_id):
    issued = invite(alice.client)

    assert act_on(mallory.client, issued["id"]) == act_on(mallory.client, invite_id) == [(404, NOT_FOUND)] * 3
    assert Invitation.objects.get().status == "pending"


def test_who_leaves_takes_their_open_invitations_along(alice: Actor, manager: Actor):
    """They have seen the links, which would let them in again."""
    invite(manager.client)
    invite(alice.client, "eve@else.test")

    members.remove(alice.request(), str(manager.user.id))

    assert listed(alice.client) == ["eve@else.test"]


@pytest.mark.parametrize(("role", "left"), [("manager", ["eve@else.test"]), ("field_worker", [])])
def test_a_lowered_role_ends_the_invitations_that_it_could_not_make(acme: Workspace, alice: Actor, role, left):
    second = enter("bob", "owner", acme)
    invite(second.client, "dana@else.test", "owner")
    invite(second.client, "eve@else.test", "manager")

    members.change_role(alice.request(), str(second.user.id), role)

    assert listed(alice.client) == left


@pytest.mark.django_db(transaction=True)
def test_resending_and_cancelling_at_once_leave_at_most_one_alive(server, alice: Actor):
    issued = invite(alice.client)
    path, headers = f"{INVITATIONS}/{issued['id']}", {"Authorization": f"Bearer {alice.pair.access_token}"}

    def act(index: int) -> int:
        if index < 4:
            return call(server, "POST", f"{path}/resend", headers=headers).status
        return call(server, "DELETE", path, headers=headers).status

    answers = at_once(8, act)

    assert sorted(answers) == [200] + [400] * 7
    assert Invitation.objects.pending().count() == (1 if 200 in answers[:4] else 0)
