"""The end of an account while its person gains a membership: the one comes before the other, and sees it. No workspace
is left without members or an owner, and none in which the end of an account left no trace.
"""

from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import pytest
from django.core.management import call_command

from accounts.models import AuditEvent, Invitation, Membership, User, Workspace
from tests.support.cast import Actor, enter, make_workspace
from tests.support.race import Answer, at_once, call, waiting_behind

pytestmark = pytest.mark.django_db(transaction=True)

ME = "/api/v1/account/me"
WORKSPACES = "/api/v1/workspaces"
CHANGED = {
    "detail": "Your memberships changed at the same moment. Try again.",
    "error_code": "membership_changed",
}


def headers(actor: Actor) -> dict[str, str]:
    return {"Authorization": f"Bearer {actor.pair.access_token}"}


def delete_account(server: str, actor: Actor) -> Answer:
    return call(server, "DELETE", ME, headers=headers(actor))


def make_another(server: str, actor: Actor) -> Answer:
    return call(server, "POST", WORKSPACES, {"name": "Late"}, headers(actor))


def orphans() -> list[str]:
    owned = Membership.objects.filter(role="owner").values("workspace_id")
    return list(Workspace.objects.exclude(id__in=owned).values_list("slug", flat=True))


def test_a_workspace_made_while_the_end_of_the_account_waits_stops_it(server, alice: Actor):
    with waiting_behind(alice.user) as start:
        made, ended = start(make_another, server, alice), start(delete_account, server, alice)

    assert made.result().status == 201
    assert (ended.result().status, ended.result().body) == (409, CHANGED)
    assert (orphans(), Membership.objects.filter(user=alice.user).count()) == ([], 2)
    assert not AuditEvent.objects.filter(action="workspace.deleted").exists()

    assert delete_account(server, alice).status == 204  # with nothing in its way
    assert not Workspace.objects.exists()


def test_a_workspace_that_is_asked_for_while_the_account_ends_is_not_made(server, alice: Actor):
    with waiting_behind(alice.user) as start:
        ended, made = start(delete_account, server, alice), start(make_another, server, alice)

    assert ended.result().status == 204
    assert (made.result().status, made.result().body["error_code"]) == (401, "invalid_token")
    assert not Workspace.objects.exists()


def invite(inviter: Actor, email: str, role: str) -> dict[str, str]:
    """Return what the link of an invitation says, as it is sent back to accept it."""
    body = {"email": email, "role": role}
    answer = inviter.client.post("/api/v1/workspaces/invitations", body, format="json").json()
    return {name: values[0] for name, values in parse_qs(urlsplit(answer["invite_link"]).query).items()}


def accept(server: str, actor: Actor, link: dict[str, str]) -> Answer:
    return call(server, "POST", "/api/v1/auth/accept-invite", link, headers(actor))


def test_an_invitation_accepted_while_the_end_of_the_account_waits_stops_it(server, alice: Actor, bob: Actor, mallory):
    """Bob becomes an owner of another workspace, whose only other owner leaves: it must not end up without one."""
    held_by = enter("carol", "owner", make_workspace("third"))
    Invitation.objects.filter(id=invite(held_by, bob.user.email, "member")["invite_id"]).update(id=UUID(int=0))
    link = invite(mallory, bob.user.email, "owner")
    with waiting_behind(Invitation.objects.get(id=UUID(int=0))) as start:  # the first of the two by id
        ended = start(delete_account, server, bob)
        assert accept(server, bob, link).status == 200
        assert call(server, "POST", f"{WORKSPACES}/leave", headers=headers(mallory)).status == 204

    assert (ended.result().status, ended.result().body) == (409, CHANGED)
    assert orphans() == []

    assert delete_account(server, bob).status == 204
    assert set(Workspace.objects.values_list("slug", flat=True)) == {"acme", "third"}


def test_an_invitation_that_is_accepted_while_the_account_ends_lets_nobody_in(server, bob: Actor, mallory: Actor):
    link = invite(mallory, bob.user.email, "member")
    with waiting_behind(bob.user) as start:
        ended, accepted = start(delete_account, server, bob), start(accept, server, bob, link)

    assert ended.result().status == 204
    assert accepted.result().status in (401, 404)
    assert list(Membership.objects.filter(workspace=mallory.workspace).values_list("user_id", flat=True)) == [
        mallory.user.id
    ]


@pytest.mark.parametrize("round_", range(6))
def test_at_once_no_workspace_is_left_alone(server, alice: Actor, bob: Actor, mallory: Actor, round_: int):
    link = invite(mallory, bob.user.email, "owner")
    acts = [
        lambda: make_another(server, bob),
        lambda: accept(server, bob, link),
        lambda: delete_account(server, bob),
        lambda: make_another(server, bob),
    ]

    answers = at_once(4, lambda index: acts[(index + round_) % 4]())

    assert [answer.body for answer in answers if answer.status >= 500] == []
    assert orphans() == []
    entered = AuditEvent.objects.filter(actor_id=bob.user.id, action="invitation.accepted")
    if entered.exists() and not User.objects.filter(id=bob.user.id).exists():
        traces = AuditEvent.objects.filter(actor_id=bob.user.id, action="account.deleted")
        assert traces.filter(workspace_id=mallory.workspace.id).exists()
    call_command("verify_audit_log")
