"""Whoever is removed, demoted or suspended at this very moment leaves nothing behind that they may make no more."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.db import connection
from django.utils import timezone

from accounts.models import AuditEvent, Invitation, Membership, User
from apikeys.models import ApiKey
from tests.support.cast import Actor, enter
from tests.support.race import Answer, at_once, call
from tests.support.saml_idp import SamlIdp
from tests.support.saml_setup import core

INVITATIONS = "/api/v1/workspaces/invitations"
MEMBERS = "/api/v1/workspaces/members"
KEYS = "/api/v1/account/api-keys"
SAML_CONFIG = "/api/v1/workspaces/saml-config"
DOMAINS = "/api/v1/workspaces/domains"
CALLERS = 14
real = pytest.mark.django_db(transaction=True)
rounds = pytest.mark.parametrize("round_", range(4))


def headers(actor: Actor) -> dict[str, str]:
    return {"Authorization": f"Bearer {actor.pair.access_token}"}


def race(server: str, change: Callable[[], Answer], act: Callable[[int], Answer]) -> list[Answer]:
    """Run one change of somebody's standing among many acts of theirs, and return the answers to the acts."""
    answers = at_once(CALLERS + 1, lambda index: change() if index == CALLERS // 2 else act(index))
    assert answers.pop(CALLERS // 2).status in (200, 204)
    assert {answer.status for answer in answers} <= {200, 201, 204, 400, 401, 403, 404, 409, 429}
    return answers


def remove(server: str, by: Actor, whom: Actor) -> Answer:
    return call(server, "DELETE", f"{MEMBERS}/{whom.user.id}", headers=headers(by))


def demote(server: str, by: Actor, whom: Actor, role: str) -> Answer:
    return call(server, "PATCH", f"{MEMBERS}/{whom.user.id}", {"role": role}, headers(by))


def pending(inviter: Actor) -> list[str]:
    return list(Invitation.objects.pending().filter(invited_by=inviter.user).values_list("role", flat=True))


@real
@rounds
def test_no_invitation_outlives_the_removal_of_its_maker(server, acme, alice, round_):
    manager = enter("bob", "manager", acme)

    race(
        server,
        lambda: remove(server, alice, manager),
        lambda index: call(
            server, "POST", INVITATIONS, {"email": f"friend{index}@else.test", "role": "manager"}, headers(manager)
        ),
    )

    assert pending(manager) == []


@real
@rounds
def test_a_demoted_owner_keeps_no_invitation_of_an_owner(server, acme, alice, round_):
    owner = enter("bob", "owner", acme)

    race(
        server,
        lambda: demote(server, alice, owner, "manager"),
        lambda index: call(
            server, "POST", INVITATIONS, {"email": f"friend{index}@else.test", "role": "owner"}, headers(owner)
        ),
    )

    assert pending(owner) == []


@real
@pytest.mark.parametrize("how", ["resend", "resend-missing", "extend"])
def test_nothing_that_was_invited_before_is_renewed_behind_a_removal(server, acme, alice, how):
    manager = enter("bob", "manager", acme)
    ids, later = [], (timezone.now() + timedelta(days=9)).isoformat()
    for index in range(CALLERS + 1):
        body = {"email": f"friend{index}@else.test", "role": "manager"}
        ids.append(manager.client.post(INVITATIONS, body, format="json").json()["id"])
    acts = {
        "resend": lambda index: ("POST", f"{INVITATIONS}/{ids[index]}/resend", None),
        "resend-missing": lambda index: ("POST", f"{INVITATIONS}/resend-missing", {"invitation_ids": [ids[index]]}),
        "extend": lambda index: ("PATCH", f"{INVITATIONS}/{ids[index]}", {"expires_at": later}),
    }

    race(
        server,
        lambda: remove(server, alice, manager),
        lambda index: call(server, *acts[how](index), headers(manager)),
    )

    assert pending(manager) == []


@real
@rounds
def test_no_key_outlives_the_removal_of_its_maker(server, acme, alice, round_):
    manager = enter("bob", "manager", acme)

    race(
        server,
        lambda: remove(server, alice, manager),
        lambda _: call(server, "POST", KEYS, {"permissions": ["geofences:write"]}, headers(manager)),
    )

    assert not ApiKey.objects.filter(created_by=manager.user, revoked_at=None).exists()


@real
@rounds
@pytest.mark.parametrize("how", ["create", "rotate", "regenerate", "update"])
def test_no_key_carries_more_than_a_lowered_role_holds(server, acme, alice, how, round_):
    manager = enter("bob", "manager", acme)
    wide = {"permissions": ["geofences:write"]}
    given = ["geofences:read"] if how == "update" else ["geofences:write"]
    keys = [manager.make_key(given)[0] for _ in range(CALLERS + 1)]
    acts = {
        "create": lambda _: ("POST", KEYS, wide),
        "rotate": lambda index: ("POST", f"{KEYS}/{keys[index].id}/rotate", None),
        "regenerate": lambda index: ("POST", f"{KEYS}/{keys[index].id}/regenerate", None),
        "update": lambda index: ("PUT", f"{KEYS}/{keys[index].id}", wide),
    }

    race(
        server,
        lambda: demote(server, alice, manager, "member"),
        lambda index: call(server, *acts[how](index), headers(manager)),
    )

    live = ApiKey.objects.filter(created_by=manager.user, revoked_at=None).values_list("scopes", flat=True)
    assert all(scopes == ["geofences:read"] for scopes in live)


@real
def test_whoever_stays_invites_and_makes_keys(server, acme, alice):
    """What the others of this module are refused for is the change, not the crowd."""
    manager = enter("bob", "manager", acme)

    def act(index: int) -> Answer:
        if index % 2:
            return call(server, "POST", KEYS, {"permissions": ["geofences:write"]}, headers(manager))
        body = {"email": f"friend{index}@else.test", "role": "manager"}
        return call(server, "POST", INVITATIONS, body, headers(manager))

    assert {answer.status for answer in at_once(CALLERS, act)} == {201}
    assert len(pending(manager)) == ApiKey.objects.filter(created_by=manager.user).count() == CALLERS // 2


def staged(entity_id: str) -> dict:
    """Return the body of a staged connection, which covers the domains of the serving one."""
    return {name: value for name, value in core(entity_id=entity_id).items() if name != "covered_domain"}


@real
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PATCH", SAML_CONFIG, lambda index: {"creates_members": index % 2 == 0}),
        ("PUT", f"{SAML_CONFIG}/staged", lambda index: staged(f"https://{index}.test")),
        ("POST", f"{SAML_CONFIG}/rollback", lambda _: None),
        ("POST", f"{SAML_CONFIG}/test", lambda _: {}),
        ("DELETE", SAML_CONFIG, lambda _: None),
        ("POST", DOMAINS, lambda index: {"domain": f"domain{index}.test"}),
    ],
    ids=["patch", "stage", "roll-back", "test", "delete", "domain"],
)
def test_a_demoted_owner_changes_nothing_of_single_sign_on(server, acme, alice, method, path, body):
    owner = enter("bob", "owner", acme)
    SamlIdp().configure(acme, state="former")
    SamlIdp().configure(acme)

    race(
        server,
        lambda: demote(server, alice, owner, "manager"),
        lambda index: call(server, method, path, body(index), headers(owner)),
    )

    demoted = AuditEvent.objects.get(action="member.role_changed").sequence
    assert not AuditEvent.objects.filter(sequence__gt=demoted, actor_id=owner.user.id).exists()
    assert call(server, method, path, body(99), headers(alice)).status in (200, 201, 204, 404)


@pytest.mark.django_db
def test_suspending_somebody_ends_their_open_invitations(acme, alice):
    manager = enter("bob", "manager", acme)
    for inviter, address in ((manager, "one@else.test"), (alice, "two@else.test")):
        assert inviter.client.post(INVITATIONS, {"email": address, "role": "member"}, format="json").status_code == 201

    call_command("suspend_user", manager.user.email)

    assert pending(manager) == []
    assert pending(alice) == ["member"]


@real
@rounds
def test_no_invitation_outlives_the_suspension_of_its_maker(server, acme, round_):
    manager = enter("bob", "manager", acme)

    def act(index: int) -> None:
        if index == CALLERS // 2:
            try:
                call_command("suspend_user", manager.user.email)
            finally:
                connection.close()
        else:
            body = {"email": f"friend{index}@else.test", "role": "member"}
            assert call(server, "POST", INVITATIONS, body, headers(manager)).status in (201, 401, 403)

    at_once(CALLERS, act)

    assert pending(manager) == []
    assert not User.objects.get(id=manager.user.id).is_active


@pytest.mark.django_db
def test_a_manager_ends_no_invitation_of_an_owner_by_inviting_anew(acme, alice):
    manager = enter("bob", "manager", acme)
    as_owner, as_member = ({"email": "dana@else.test", "role": role} for role in ("owner", "member"))
    made = alice.client.post(INVITATIONS, as_owner, format="json").json()["id"]

    refused = manager.client.post(INVITATIONS, as_member, format="json")

    assert (refused.status_code, refused.json()["error_code"]) == (403, "owners_only")
    assert Invitation.objects.get(id=made).status == "pending"
    assert AuditEvent.objects.filter(action="invitation.created").count() == 1
    assert alice.client.post(INVITATIONS, as_member, format="json").status_code == 201
    assert Invitation.objects.get(id=made).status == "revoked"
    assert manager.client.post(INVITATIONS, as_member, format="json").status_code == 201
    assert Membership.objects.count() == 2
