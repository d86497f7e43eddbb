"""The end of an account by its owner: everything personal goes at once, what others share stays, nobody is left without
an owner.
"""

from collections import Counter
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import pytest
from django.core import mail
from django.core.management import call_command
from django.db import IntegrityError, connection
from django.utils import timezone

from accounts.audit import Action, Person, record
from accounts.invitations import accept_for_user
from accounts.models import (
    AuditEvent,
    CredentialUsage,
    Invitation,
    MailedToken,
    Membership,
    OutgoingMail,
    RecoveryCode,
    SignIn,
    User,
    Workspace,
)
from accounts.outbox import deliver_pending
from accounts.principal import Client
from apikeys.models import ApiKey
from geofences.models import Geofence
from spatialflow.errors import exception_handler
from tests.support.cast import PASSWORD, Actor, bearer, enter, make_workspace
from tests.support.fences import store_fence
from tests.support.race import at_once, call

ME = "/api/v1/account/me"
GEOFENCES = "/api/v1/geofences/"
LOGIN = "/api/v1/auth/login"
real = pytest.mark.django_db(transaction=True)


def promote(actor: Actor) -> None:
    Membership.objects.filter(id=actor.membership.id).update(role="owner")


def invite(workspace: Workspace, email: str, digest: bytes = b"d") -> Invitation:
    moments = {"expires_at": timezone.now() + timedelta(days=7)}
    return Invitation.objects.create(workspace=workspace, email=email, role="member", digest=digest, **moments)


def headers(actor: Actor) -> dict[str, str]:
    return {"Authorization": f"Bearer {actor.pair.access_token}"}


def test_a_members_account_goes_and_the_workspace_stays(alice: Actor, bob: Actor, anyone):
    fence = store_fence(bob)
    key, other = bob.key_client(["geofences:read"]), bob.sign_in_again()
    MailedToken.objects.create(
        user=bob.user,
        purpose="change_email",
        digest=b"t",
        email="b@acme.test",
        expires_at=timezone.now() - timedelta(seconds=1),
    )
    RecoveryCode.objects.create(user=bob.user, digest=b"r")
    invite(make_workspace("third"), bob.user.email)

    response = bob.client.delete(ME)

    assert (response.status_code, response.content) == (204, b"")
    assert {client.get(GEOFENCES).status_code for client in (bob.client, bearer(other.access_token), key)} == {401}
    for token in (bob.pair.refresh_token, other.refresh_token):
        assert anyone.post("/api/v1/auth/refresh", {"refresh_token": token}, format="json").status_code == 401
    refused = anyone.post(LOGIN, {"email": bob.user.email, "password": PASSWORD}, format="json")
    assert refused.json() == {"detail": "Invalid credentials", "error_code": "invalid_credentials"}
    assert not User.objects.filter(id=bob.user.id).exists()
    assert not SignIn.objects.filter(user_id=bob.user.id).exists()
    for gone in (MailedToken, RecoveryCode, Invitation, ApiKey):
        assert not gone.objects.exists(), gone
    assert list(Membership.objects.values_list("user_id", flat=True)) == [alice.user.id]
    assert alice.client.get(f"{GEOFENCES}{fence['id']}").status_code == 200


def test_the_address_that_was_is_told(alice, bob):
    bob.client.delete(ME)

    mail.outbox.clear()
    deliver_pending()
    assert [(told.to, told.subject) for told in mail.outbox] == [(["bob@acme.test"], "Your account was deleted")]
    assert not OutgoingMail.objects.exists()


def test_the_address_can_sign_up_again_as_somebody_new(alice, bob):
    bob.client.delete(ME)

    again = enter("bob", "member", make_workspace("elsewhere"))

    assert again.user.id != bob.user.id
    assert again.client.get(ME).json()["bio"] is None
    assert bob.client.get(ME).status_code == 401


def test_the_sole_owner_of_others_stays(alice, bob):
    second = make_workspace("alone")
    Membership.objects.create(user=alice.user, workspace=second, role="owner")
    key = alice.key_client()

    response = alice.client.delete(ME)

    assert response.status_code == 409
    assert response.json() == {
        "detail": "You are the only owner of a workspace that has other members. Make one of them an owner, or delete "
        "the workspace, before you delete your account.",
        "error_code": "sole_owner",
        "details": {"workspaces": ["acme"]},
    }
    assert Workspace.objects.filter(slug__in=["acme", "alone"]).count() == 2
    assert alice.client.get(GEOFENCES).status_code == key.get(GEOFENCES).status_code == 200
    assert not OutgoingMail.objects.filter(kind="account_deleted").exists()
    assert not AuditEvent.objects.filter(action__contains="delet").exists()


def test_owners_who_are_suspended_do_not_count(alice, bob):
    promote(bob)
    User.objects.filter(id=bob.user.id).update(is_active=False)

    refused = alice.client.delete(ME)

    assert (refused.status_code, refused.json()["error_code"]) == (409, "sole_owner")
    User.objects.filter(id=bob.user.id).update(is_active=True)
    assert alice.client.delete(ME).status_code == 204


def test_with_another_owner_one_may_go(alice, bob):
    promote(bob)

    assert alice.client.delete(ME).status_code == 204

    assert list(Membership.objects.values_list("user_id", "role")) == [(bob.user.id, "owner")]


def test_a_workspace_of_ones_own_goes_with_everything_in_it(alice, mallory):
    store_fence(alice)
    invite(alice.workspace, "friend@acme.test")
    alice.make_key()
    alice_id, acme_id = alice.user.id, alice.workspace.id

    assert alice.client.delete(ME).status_code == 204

    assert list(Workspace.objects.values_list("slug", flat=True)) == ["other"]
    assert not Geofence.objects.exists() and not ApiKey.objects.exists() and not Invitation.objects.exists()
    assert mallory.client.get(GEOFENCES).status_code == 200
    event = AuditEvent.objects.latest("sequence")
    assert (event.action, event.workspace_id, event.actor_id) == ("workspace.deleted", acme_id, alice_id)


def test_the_trail_keeps_what_happened_and_not_who_it_was(alice, bob, anyone):
    anyone.post(LOGIN, {"email": bob.user.email, "password": "wrong"}, format="json", REMOTE_ADDR="198.51.100.77")
    bob.sign_in_again()
    before = AuditEvent.objects.count()

    bob.client.delete(ME)

    assert AuditEvent.objects.count() == before + 1
    event = AuditEvent.objects.latest("sequence")
    assert (event.action, event.workspace_id, event.actor_id, event.actor_email, event.ip_address) == (
        "account.deleted",
        alice.workspace.id,
        bob.user.id,
        None,
        None,
    )
    with connection.cursor() as cursor:
        cursor.execute("SELECT string_agg(e::text, ' ') FROM accounts_auditevent e WHERE actor_email IS NULL")
        rows = cursor.fetchone()[0]
        cursor.execute("SELECT string_agg(e::text, ' ') FROM accounts_auditevent e")
        everything = cursor.fetchone()[0]
    assert "bob" not in everything.lower() and "198.51.100.77" not in everything and "192.0.2.7" not in rows
    assert "alice@acme.test" in everything
    call_command("verify_audit_log")


def test_what_was_sent_to_former_addresses_goes_too(alice, bob, anyone):
    for email in ("bob@old.test", "bob@older.test", "kept@old.test"):
        invite(alice.workspace, email, email.encode())
    for former in ("bob@older.test", "bob@old.test"):
        record(Action.EMAIL_CHANGED, Client("192.0.2.1", ""), "Moved.", actor=Person(bob.user.id, former))
    User.objects.create_user("bob@older.test")  # whose it is by now

    assert bob.client.delete(ME).status_code == 204

    assert set(Invitation.objects.values_list("email", flat=True)) == {"bob@older.test", "kept@old.test"}
    call_command("verify_audit_log")


@real
@pytest.mark.parametrize("round_", range(6))
def test_a_login_refused_at_that_moment_keeps_no_address(server, alice, bob, round_):
    wrong = {"email": bob.user.email, "password": "wrong"}

    def act(index: int) -> int:
        if index == 4:
            return call(server, "DELETE", ME, headers=headers(bob)).status
        return call(server, "POST", LOGIN, wrong).status

    assert Counter(at_once(9, act)) == {204: 1, 401: 8}

    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM accounts_auditevent e WHERE e::text LIKE %s", [f"%{bob.user.email}%"])
        assert cursor.fetchone() == (0,)
    assert AuditEvent.objects.filter(action="auth.sign_in_failed").count() == 8
    call_command("verify_audit_log")


@real
@pytest.mark.parametrize("round_", range(10))
def test_accepting_an_invitation_at_that_moment_is_no_crash(server, alice, bob, mallory, round_):
    body = {"email": bob.user.email, "role": "member"}
    link = mallory.client.post("/api/v1/workspaces/invitations", body, format="json").json()["invite_link"]
    accepted = {name: values[0] for name, values in parse_qs(urlsplit(link).query).items()} | {"password": PASSWORD}

    def act(index: int) -> int:
        if index == round_ % 4:
            return call(server, "DELETE", ME, headers=headers(bob)).status
        return call(server, "POST", "/api/v1/auth/accept-invite", accepted, headers(bob)).status

    statuses = at_once(4, act)

    assert set(statuses) <= {200, 204, 400, 401, 404, 409}
    assert User.objects.filter(id=bob.user.id).exists() == (204 not in statuses)
    call_command("verify_audit_log")


@real
def test_the_counts_of_use_stay_without_address_and_client(alice, bob):
    key = bob.key_client(["geofences:read"])
    for client in (bob.client, key, alice.client):
        client.get(GEOFENCES, HTTP_USER_AGENT="a browser")
    before = sum(CredentialUsage.objects.values_list("requests", flat=True))

    assert bob.client.delete(ME).status_code == 204

    usage = CredentialUsage.objects.values_list("last_ip", "last_user_agent", "requests")
    nowhere = "0.0.0.0"  # noqa: S104
    assert sorted(usage) == [(nowhere, "", 1), (nowhere, "", 2), ("127.0.0.1", "a browser", 1)]
    assert sum(count for _, _, count in usage) == before + 1


@real
def test_the_counts_of_a_workspace_of_ones_own_go(alice):
    alice.client.get(GEOFENCES)

    assert alice.client.delete(ME).status_code == 204

    assert not CredentialUsage.objects.exists()


def test_keys_of_workspaces_left_before_go_too(alice, bob):
    bob.make_key(["geofences:read"])
    Membership.objects.filter(id=bob.membership.id).update(workspace=make_workspace("elsewhere"))
    bob.membership.refresh_from_db()

    assert bearer(bob.sign_in_again().access_token).delete(ME).status_code == 204

    assert not ApiKey.objects.exists()


def test_invitations_that_somebody_made_stay_without_a_name(alice, bob):
    promote(bob)
    invitation = invite(alice.workspace, "friend@acme.test")
    Invitation.objects.filter(id=invitation.id).update(invited_by=bob.user)

    assert bob.client.delete(ME).status_code == 204

    invitation.refresh_from_db()
    assert invitation.invited_by_id is None


@real
def test_of_deletions_at_once_one_is_carried_out(server, alice, bob):
    answers = at_once(6, lambda _: call(server, "DELETE", ME, headers=headers(bob)))

    assert Counter(answer.status for answer in answers) == {204: 1, 401: 5}
    assert AuditEvent.objects.filter(action="account.deleted").count() == 1
    call_command("verify_audit_log")


@real
@pytest.mark.parametrize("round_", range(4))
def test_of_two_last_owners_at_once_the_second_takes_the_workspace_along(server, alice, bob, round_):
    """Or stays, where a third one would be left alone."""
    promote(bob)
    if round_ % 2:
        enter("carol", "member", alice.workspace)

    answers = at_once(2, lambda index: call(server, "DELETE", ME, headers=headers((alice, bob)[index])))

    statuses = Counter(answer.status for answer in answers)
    if round_ % 2:
        assert statuses == {204: 1, 409: 1}
        assert Membership.objects.filter(workspace=alice.workspace, role="owner").count() == 1
    else:
        assert statuses[204] >= 1 and statuses[204] + statuses[409] == 2
        left = Membership.objects.filter(workspace=alice.workspace)
        assert left.count() == statuses[409] == Workspace.objects.count()


@real
@pytest.mark.parametrize("round_", range(6))
def test_a_member_added_at_once_is_never_left_without_an_owner(server, alice, mallory, round_):
    """Either the account goes, and nobody comes in; or it stays, and the new member with it."""
    invitation = invite(alice.workspace, mallory.user.email)

    def act(index: int) -> int | str:
        if index == 0:
            return call(server, "DELETE", ME, headers=headers(alice)).status
        try:
            accept_for_user(invitation, mallory.user, Client("192.0.2.1", "tests"))
            return "accepted"
        except Exception as refusal:
            return type(refusal).__name__
        finally:
            connection.close()

    status, outcome = at_once(2, act)

    members = set(Membership.objects.filter(workspace=alice.workspace).values_list("user_id", flat=True))
    assert status in (204, 409)
    if status == 204:
        assert (members, Workspace.objects.filter(slug="acme").exists()) == (set(), False)
        assert outcome != "accepted"
    else:
        assert (members, outcome) == ({alice.user.id, mallory.user.id}, "accepted")
    call_command("verify_audit_log")


@real
def test_a_row_whose_parent_was_deleted_meanwhile_is_a_conflict(acme):
    """Postgres notices at the end of the transaction, when nobody's code can foresee it."""
    with pytest.raises(IntegrityError) as caught:
        Membership.objects.create(user_id=uuid4(), workspace=acme, role="member")

    answer = exception_handler(caught.value, {})

    assert (answer.status_code, answer.data["error_code"]) == (409, "deleted_meanwhile")


@real
@pytest.mark.parametrize("again", range(5))
def test_whatever_else_the_person_does_at_that_moment_is_no_crash(server, alice, bob, again):
    key, _ = bob.make_key(["geofences:read"])
    acts = [
        ("DELETE", ME, None),
        ("POST", LOGIN, {"email": bob.user.email, "password": PASSWORD}),
        ("POST", "/api/v1/account/api-keys", {"name": "late"}),
        ("PUT", f"/api/v1/account/api-keys/{key.id}", {"name": "renamed"}),
        ("PUT", ME, {"bio": "late"}),
        ("POST", "/api/v1/auth/sessions/revoke-others", None),
        ("POST", "/api/v1/auth/totp", {"current_password": PASSWORD}),
        ("POST", "/api/v1/auth/change-password", {"current_password": PASSWORD, "new_password": "another long one"}),
    ]

    def act(index: int):
        method, path, body = acts[index]
        return call(server, method, path, body, {} if path == LOGIN else headers(bob))

    answers = at_once(len(acts), act)

    assert [answer.status for answer in answers if answer.status >= 500] == []
    assert answers[0].status in (204, 401)
    assert User.objects.filter(id=bob.user.id).exists() == (answers[0].status == 401)
    call_command("verify_audit_log")
