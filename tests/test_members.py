"""Who belongs to a workspace: seeing them, changing roles, removing, leaving; and that an owner always remains."""

from collections import Counter
from typing import Any

import pytest

from accounts import members
from accounts.models import AuditEvent, Membership, SignIn, User, Workspace
from accounts.permissions import InsufficientPermissions
from tests.support.cast import ADDRESSES, PASSWORD, Actor, enter, make_workspace
from tests.support.race import Answer, at_once, call
from tests.support.urls import EXAMPLE_ID

URL = "/api/v1/workspaces/members"
LAST_OWNER = {
    "detail": "This is the workspace's last owner. Make somebody else an owner first.",
    "error_code": "last_owner",
}
NOT_FOUND = {"detail": "Not found.", "error_code": "not_found"}


def person(name: str, role: str, workspace: Workspace) -> Actor:
    ADDRESSES.setdefault(name, f"{name}@acme.test")
    return enter(name, role, workspace)


@pytest.fixture
def maria(acme: Workspace) -> Actor:
    """A manager of acme."""
    return person("maria", "manager", acme)


@pytest.fixture
def oscar(acme: Workspace) -> Actor:
    """A second owner of acme."""
    return person("oscar", "owner", acme)


def set_role(actor: Actor, member: Actor, role: Any) -> Any:
    return actor.client.patch(f"{URL}/{member.user.id}", {"role": role}, format="json")


def remove(actor: Actor, member: Actor) -> Any:
    return actor.client.delete(f"{URL}/{member.user.id}")


def role_of(actor: Actor) -> str | None:
    membership = Membership.objects.filter(user=actor.user, workspace=actor.workspace).first()
    return membership.role if membership else None


def is_signed_in(actor: Actor) -> bool:
    return actor.client.get("/api/v1/auth/me").status_code == 200


def test_every_member_sees_all_members_in_the_order_they_came(alice, bob, carol, mallory):
    response = carol.client.get(URL)

    body = response.json()
    assert [member.pop("joined_at") is not None for member in body["members"]] == [True] * 3
    assert body == {
        "members": [
            {
                "id": str(actor.user.id),
                "email": actor.user.email,
                "name": actor.user.name,
                "role": actor.membership.role,
                "tracking_state": None,
                "last_location_at": None,
            }
            for actor in (alice, bob, carol)
        ],
        "total": 3,
        "truncated": False,
    }


def test_the_list_ends_at_500_and_says_so(alice, acme):
    users = User.objects.bulk_create(User(email=f"p{number}@acme.test") for number in range(500))
    Membership.objects.bulk_create(Membership(user=user, workspace=acme, role="member") for user in users)

    body = alice.client.get(URL).json()

    assert (len(body["members"]), body["total"], body["truncated"]) == (500, 501, True)
    assert body["members"][0]["email"] == "alice@acme.test"


# Roles


@pytest.mark.parametrize("role", ["owner", "manager", "field_worker", "member"])
def test_an_owner_gives_any_role(alice, carol, role):
    response = set_role(alice, carol, role)

    assert response.status_code == 200
    assert response.json() == {"message": "Role changed.", "user_id": str(carol.user.id), "role": role}
    assert role_of(carol) == role


# Whose role a manager may change to what, and whom they may remove.
BY_A_MANAGER = {
    ("member", "manager"): 200,
    ("member", "field_worker"): 200,
    ("member", "owner"): 403,
    ("field_worker", "member"): 200,
    ("field_worker", "manager"): 200,
    ("field_worker", "owner"): 403,
    ("manager", "member"): 403,
    ("manager", "owner"): 403,
    ("owner", "member"): 403,
    ("owner", "owner"): 403,
}


@pytest.mark.parametrize(("former", "role"), BY_A_MANAGER)
def test_a_manager_gives_roles_below_owner_to_those_below_manager(acme, alice, maria, former, role):
    member = person("dora", former, acme)

    response = set_role(maria, member, role)

    assert response.status_code == BY_A_MANAGER[former, role]
    assert role_of(member) == (role if response.status_code == 200 else former)


@pytest.mark.parametrize(("role", "status"), [("member", 204), ("field_worker", 204), ("manager", 403), ("owner", 403)])
def test_a_manager_removes_those_below_manager(acme, alice, maria, role, status):
    member = person("dora", role, acme)

    response = remove(maria, member)

    assert (response.status_code, role_of(member)) == (status, None if status == 204 else role)


@pytest.mark.parametrize("role", ["owner", "manager", "field_worker", "member"])
def test_an_owner_removes_anybody(acme, alice, role):
    member = person("dora", role, acme)

    assert remove(alice, member).status_code == 204
    assert (role_of(member), role_of(alice)) == (None, "owner")


def test_field_workers_and_members_change_and_remove_nobody(alice, bob, carol):
    for actor, other in ((bob, carol), (carol, bob)):
        answers = [set_role(actor, other, "member"), remove(actor, other), set_role(actor, actor, "owner")]
        assert [answer.status_code for answer in answers] == [403] * 3
    assert (role_of(bob), role_of(carol)) == ("field_worker", "member")


@pytest.mark.parametrize("role", ["admin", "", "OWNER", None, 7, ["owner"], {"a": 1}, "x" * 10_000])
def test_an_unknown_role_is_refused(alice, carol, role):
    response = set_role(alice, carol, role)

    assert (response.status_code, list(response.json()["details"]), role_of(carol)) == (422, ["role"], "member")


@pytest.mark.parametrize("path", [EXAMPLE_ID, "x", "1", EXAMPLE_ID.upper(), EXAMPLE_ID.replace("-", ""), "%00", "é"])
def test_whoever_is_not_a_member_is_not_there(alice, mallory, path):
    absent = alice.client.patch(f"{URL}/{path}", {"role": "member"}, format="json")
    stranger = set_role(alice, mallory, "member")

    assert (absent.status_code, stranger.status_code) == (404, 404)
    assert absent.json() == stranger.json() == alice.client.delete(f"{URL}/{path}").json() == NOT_FOUND
    assert role_of(mallory) == "owner"


def test_an_event_tells_who_was_given_which_role(alice, bob):
    set_role(alice, bob, "member")

    event = AuditEvent.objects.latest("sequence")
    assert (event.action, event.actor_id, event.target_email) == ("member.role_changed", alice.user.id, "bob@acme.test")
    assert event.changes == {"role": {"from": "field_worker", "to": "member"}}


def test_the_role_that_a_member_has_already_is_no_change(alice, bob):
    events = AuditEvent.objects.count()

    assert set_role(alice, bob, "field_worker").status_code == 200
    assert (AuditEvent.objects.count(), is_signed_in(bob)) == (events, True)


# What goes with the rights


def test_a_lower_role_ends_the_sign_ins_and_the_keys_beyond_it(alice, bob):
    writes, reads = bob.key_client(["geofences:write"]), bob.key_client(["geofences:read"])
    bob.sign_in_again()

    set_role(alice, bob, "member")

    assert not is_signed_in(bob)
    assert set(SignIn.objects.filter(user=bob.user).values_list("revoked_reason", flat=True)) == {"role_lowered"}
    assert writes.get("/api/v1/geofences").status_code == 401
    assert reads.get("/api/v1/geofences").status_code == 200


def test_a_higher_role_ends_nothing(alice, bob):
    set_role(alice, bob, "manager")

    assert bob.client.get("/api/v1/auth/me").json()["role"] == "manager"


def test_the_sign_ins_of_a_removed_member_end_in_this_workspace_alone(alice, bob, anyone):
    elsewhere = make_workspace("elsewhere")
    Membership.objects.create(user=bob.user, workspace=elsewhere, role="owner")
    moved = enter_elsewhere(bob, elsewhere)
    key = bob.key_client()
    User.objects.filter(id=bob.user.id).update(last_workspace=bob.workspace)

    assert remove(alice, bob).status_code == 204

    assert not is_signed_in(bob)
    assert key.get("/api/v1/geofences").status_code == 401
    refresh = anyone.post("/api/v1/auth/refresh", {"refresh_token": bob.pair.refresh_token}, format="json")
    assert refresh.status_code == 401
    assert User.objects.get(id=bob.user.id).last_workspace is None
    assert SignIn.objects.live().filter(user=bob.user).get().id == moved
    event = AuditEvent.objects.latest("sequence")
    assert (event.action, event.target_email) == ("member.removed", "bob@acme.test")


def enter_elsewhere(actor: Actor, workspace: Workspace) -> Any:
    pair = actor.sign_in_again()
    sign_in = SignIn.objects.filter(user=actor.user).latest("created_at")
    SignIn.objects.filter(id=sign_in.id).update(workspace=workspace)
    assert pair.user == actor.user
    return sign_in.id


# Leaving, and the last owner


def test_a_member_leaves(alice, carol):
    response = carol.client.post("/api/v1/workspaces/leave")

    assert (response.status_code, role_of(carol), is_signed_in(carol)) == (204, None, False)
    event = AuditEvent.objects.latest("sequence")
    assert (event.action, event.description, event.actor_id) == (
        "member.removed",
        "Left the workspace.",
        carol.user.id,
    )


def test_whoever_manages_members_leaves_by_removing_themselves_too(alice, oscar, maria):
    assert [remove(actor, actor).status_code for actor in (maria, oscar)] == [204, 204]
    assert (role_of(maria), role_of(oscar), role_of(alice)) == (None, None, "owner")


def test_the_last_owner_stays_one(alice, maria):
    answers = [set_role(alice, alice, "manager"), remove(alice, alice), alice.client.post("/api/v1/workspaces/leave")]

    assert [answer.status_code for answer in answers] == [400, 403, 403]
    assert [answer.json() for answer in answers] == [LAST_OWNER] * 3
    assert (role_of(alice), is_signed_in(alice)) == ("owner", True)


def test_an_owner_who_cannot_sign_in_does_not_count(alice, oscar):
    User.objects.filter(id=oscar.user.id).update(is_active=False)

    assert remove(alice, alice).json() == LAST_OWNER
    assert remove(alice, oscar).status_code == 204


def test_one_of_two_owners_steps_down(alice, oscar):
    assert set_role(alice, alice, "member").status_code == 200
    assert (role_of(alice), role_of(oscar), is_signed_in(alice)) == ("member", "owner", False)


def test_whoever_has_left_everything_gets_a_workspace_at_the_next_login(anyone, alice, carol):
    carol.client.post("/api/v1/workspaces/leave")

    login = anyone.post("/api/v1/auth/login", {"email": "carol@acme.test", "password": PASSWORD}, format="json")

    user = login.json()["user"]
    assert (login.status_code, user["workspace_slug"], user["role"]) == (200, "carols-workspace", "owner")
    again = anyone.post("/api/v1/auth/login", {"email": "carol@acme.test", "password": PASSWORD}, format="json")
    assert again.json()["user"]["workspace_id"] == user["workspace_id"]


def test_whose_workspaces_are_all_suspended_gets_no_other(anyone, carol, acme):
    Workspace.objects.update(suspended_at="2026-01-01T00:00:00Z")

    login = anyone.post("/api/v1/auth/login", {"email": "carol@acme.test", "password": PASSWORD}, format="json")

    assert (login.status_code, login.json()) == (
        403,
        {
            "detail": "Every workspace of this account is suspended. Ask the operator of this service.",
            "error_code": "no_workspace",
        },
    )
    assert Workspace.objects.count() == 1


def test_rights_lost_since_the_request_was_authenticated_count_no_more(alice, oscar, carol):
    request = oscar.request()
    assert request.auth.role == "owner"
    set_role(alice, oscar, "member")

    with pytest.raises(InsufficientPermissions):
        members.change_role(request, str(carol.user.id), "owner")
    with pytest.raises(InsufficientPermissions):
        members.remove(request, str(carol.user.id))
    assert role_of(carol) == "member"


# Races

real = pytest.mark.django_db(transaction=True)


def send(server: str, actor: Actor, method: str, path: str, body: Any = None) -> Answer:
    return call(server, method, path, body, {"Authorization": f"Bearer {actor.pair.access_token}"})


@real
@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
def test_owners_who_turn_on_each_other_leave_one(server, method):
    """In six workspaces at once, two owners in each."""
    workspaces = [make_workspace(f"w{number}") for number in range(6)]
    owners = [person(f"owner{number}", "owner", workspaces[number // 2]) for number in range(12)]
    body = {"role": "member"} if method == "PATCH" else None

    answers = at_once(12, lambda i: send(server, owners[i], method, f"{URL}/{owners[i ^ 1].user.id}", body))

    assert {answer.status for answer in answers} <= {200, 204, 400, 401, 403}
    assert [Membership.objects.filter(workspace=w, role="owner").count() for w in workspaces] == [1] * 6


@real
def test_of_two_owners_who_leave_at_once_one_stays(server, alice, oscar):
    answers = at_once(2, lambda i: send(server, (alice, oscar)[i], "POST", "/api/v1/workspaces/leave"))

    assert Counter(answer.status for answer in answers) == {204: 1, 403: 1}
    assert Membership.objects.filter(role="owner").count() == 1


@real
def test_logins_at_once_of_somebody_without_a_workspace_make_one(server, carol):
    Membership.objects.all().delete()
    login = {"email": "carol@acme.test", "password": PASSWORD}

    answers = at_once(6, lambda _: call(server, "POST", "/api/v1/auth/login", login))

    assert Counter(answer.status for answer in answers) == {200: 6}
    assert Workspace.objects.exclude(slug="acme").count() == 1
