"""Inviting people: who may invite whom, what the invited are sent, and that one invitation of an address is open."""

from datetime import timedelta

import pytest
from django.core import mail
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.mailed_tokens import digest
from accounts.models import AuditEvent, Invitation, OutgoingMail, User, Workspace
from accounts.outbox import deliver_pending
from tests.support.cast import Actor, enter
from tests.support.invitations import INVITATIONS, OWNERS_ONLY, invite, token_of
from tests.support.race import at_once, call
from tests.support.trail import last_event
from tests.support.urls import EXAMPLE_ID

pytest_plugins = ["tests.support.manager_fixtures"]
pytestmark = pytest.mark.django_db


def test_an_invitation_is_answered_with_its_link_which_is_mailed_too(alice: Actor, settings):
    response = alice.client.post(INVITATIONS, {"email": " Dana@ELSE.test ", "role": "member"}, format="json")

    body = response.json()
    row = Invitation.objects.get()
    token = token_of(body)
    assert response.status_code == 201
    assert body == {
        "id": str(row.id),
        "email": "dana@else.test",
        "role": "member",
        "status": "pending",
        "created_at": row.created_at.isoformat().replace("+00:00", "Z"),
        "expires_at": row.expires_at.isoformat().replace("+00:00", "Z"),
        "invited_by_email": "alice@acme.test",
        "invite_link": f"{settings.PUBLIC_URL}/accept-invite?invite_id={row.id}&token={token}",
        "invite_ttl_hours": 168,
    }
    assert (row.workspace, row.invited_by, row.expires_at - row.created_at) == (
        alice.workspace,
        alice.user,
        timedelta(days=7),
    )
    assert len(token) == 43 and bytes(row.digest) == digest(token)

    deliver_pending()
    (message,) = mail.outbox
    assert (message.to, message.subject) == (["dana@else.test"], "You are invited to Acme")
    assert body["invite_link"] in message.body.split()
    assert "alice@acme.test invites you to the workspace Acme in SpatialFlow, as member." in message.body


def test_no_token_lies_in_the_database(alice: Actor):
    token = token_of(invite(alice.client))

    stored = str(list(Invitation.objects.values())) + str(list(OutgoingMail.objects.values()))
    assert token not in stored + str(list(AuditEvent.objects.values()))
    assert token not in str(alice.client.get(INVITATIONS).json())


def test_an_invitation_is_in_the_trail_with_the_address_where_it_can_be_erased(alice: Actor):
    issued = invite(alice.client, role="manager")

    event = last_event()
    assert (event.action, event.resource_id, event.changes) == (
        "invitation.created",
        issued["id"],
        {"role": "manager"},
    )
    assert (event.actor_id, event.target_id, event.target_email) == (alice.user.id, None, "dana@else.test")
    assert "dana" not in f"{event.description} {event.changes}"


@pytest.mark.parametrize("body", [{"email": "dana@else.test"}, {"email": "dana@else.test", "role": None}])
def test_without_a_role_the_invited_becomes_a_field_worker(alice: Actor, body):
    assert alice.client.post(INVITATIONS, body, format="json").json()["role"] == "field_worker"


@pytest.mark.parametrize("role", ["owner", "manager", "field_worker", "member"])
def test_owners_invite_to_any_role_and_managers_to_any_but_owner(alice: Actor, manager: Actor, role):
    assert invite(alice.client, role=role)["role"] == role

    response = manager.client.post(INVITATIONS, {"email": "eve@else.test", "role": role}, format="json")

    assert response.status_code == (403 if role == "owner" else 201)
    if role == "owner":
        assert response.json() == OWNERS_ONLY
        assert Invitation.objects.count() == 1


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("get", ""),
        ("post", ""),
        ("post", "/resend-missing"),
        ("post", f"/{EXAMPLE_ID}/resend"),
        ("patch", f"/{EXAMPLE_ID}"),
        ("delete", f"/{EXAMPLE_ID}"),
    ],
)
@pytest.mark.parametrize("role", ["field_worker", "member"])
def test_others_have_nothing_to_do_with_invitations(acme: Workspace, role, method, path):
    client = enter("carol", role, acme).client

    response = getattr(client, method)(INVITATIONS + path, {"email": "x@else.test"} if method != "get" else None)

    assert (response.status_code, response.json()["error_code"]) == (403, "insufficient_permissions")
    assert not Invitation.objects.exists()


def test_nobody_invites_themselves_or_a_member_but_people_of_other_workspaces(alice: Actor, bob: Actor, mallory: Actor):
    own = alice.client.post(INVITATIONS, {"email": "ALICE@acme.test"}, format="json")
    member = alice.client.post(INVITATIONS, {"email": "bob@acme.test"}, format="json")

    assert (own.status_code, own.json()["error_code"]) == (400, "self_invitation")
    assert (member.status_code, member.json()["error_code"]) == (400, "already_member")
    assert invite(alice.client, "mallory@other.test")["status"] == "pending"


def test_an_unverified_person_invites_nobody(alice: Actor):
    issued = invite(alice.client)
    User.objects.update(email_verified_at=None)

    for path in ("", f"/{issued['id']}/resend", "/resend-missing"):
        response = alice.client.post(INVITATIONS + path, {"email": "eve@else.test"}, format="json")
        assert (response.status_code, response.json()["error_code"]) == (403, "email_not_verified")
    assert Invitation.objects.count() == 1


def test_a_second_invitation_of_an_address_ends_the_first(alice: Actor, manager: Actor):
    first = invite(alice.client)
    Invitation.objects.update(expires_at=timezone.now() - timedelta(seconds=1))  # even one that has expired

    second = invite(manager.client)

    assert [row.status for row in Invitation.objects.order_by("created_at")] == ["revoked", "pending"]
    assert [invitation["id"] for invitation in alice.client.get(INVITATIONS).json()["invitations"]] == [second["id"]]
    deliver_pending()
    assert [first["id"] in message.body for message in mail.outbox] == [False]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "email"),
        ({"email": None}, "email"),
        ({"email": "dana"}, "email"),
        ({"email": ["dana@else.test"]}, "email"),
        ({"email": {"a": 1}}, "email"),
        ({"email": "d" * 2000 + "@else.test"}, "email"),
        ({"email": "dana@else.test", "role": "admin"}, "role"),
        ({"email": "dana@else.test", "role": ["owner"]}, "role"),
        ([], "body"),
    ],
)
def test_a_bad_field_is_named(alice: Actor, body, field):
    response = alice.client.post(INVITATIONS, body, format="json")

    assert (response.status_code, list(response.json()["details"])) == (422, [field])


def test_a_hundred_and_first_invitation_waits_and_refusals_do_not_count(alice: Actor, manager: Actor):
    def ask(client: APIClient, email: str, role: str = "member") -> int:
        return client.post(INVITATIONS, {"email": email, "role": role}, format="json").status_code

    assert [ask(manager.client, "x@else.test", "owner") for _ in range(3)] == [403] * 3
    assert ask(alice.client, "bob@acme.test") == 400
    assert [ask(alice.client, f"p{n}@else.test") for n in range(101)] == [201] * 100 + [429]
    assert ask(manager.client, "x@else.test") == 201


def test_a_name_of_many_lines_does_not_break_the_mail(alice: Actor):
    Workspace.objects.update(name="Acme\r\nBcc: all@else.test")
    invite(alice.client)

    assert deliver_pending() == 1
    assert mail.outbox[0].subject == "You are invited to Acme Bcc: all@else.test"


def test_a_suspended_workspace_mails_nobody(alice: Actor):
    invite(alice.client)
    Workspace.objects.update(suspended_at=timezone.now())

    assert (deliver_pending(), mail.outbox) == (1, [])


@pytest.mark.django_db(transaction=True)
def test_invitations_of_one_address_at_once_leave_one_open(server, alice: Actor):
    headers = {"Authorization": f"Bearer {alice.pair.access_token}"}

    answers = at_once(8, lambda _: call(server, "POST", INVITATIONS, {"email": "dana@else.test"}, headers))

    assert {answer.status for answer in answers} == {201}
    assert (Invitation.objects.count(), Invitation.objects.pending().count()) == (8, 1)


def test_managers_replace_no_invitation_of_an_owner_that_has_expired(alice: Actor, manager: Actor):
    """An owner can still extend it: its link must not end by somebody who may not touch it."""
    owners = invite(alice.client, role="owner")
    Invitation.objects.update(expires_at=timezone.now() - timedelta(seconds=1))

    response = manager.client.post(INVITATIONS, {"email": "dana@else.test"}, format="json")

    assert (response.status_code, response.json()) == (403, OWNERS_ONLY)
    assert [str(row.id) for row in Invitation.objects.filter(revoked_at=None)] == [owners["id"]]
    later = (timezone.now() + timedelta(days=2)).isoformat()
    extended = alice.client.patch(f"{INVITATIONS}/{owners['id']}", {"expires_at": later}, format="json")
    assert (extended.status_code, Invitation.objects.get().status) == (200, "pending")

    Invitation.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert invite(alice.client)["role"] == "field_worker"  # an owner may
    assert Invitation.objects.get(id=owners["id"]).status == "revoked"
