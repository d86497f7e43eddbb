"""Accepting an invitation with an account that exists already: what has to be proven beside the link."""

import pytest
from django.utils import timezone

from accounts import mailed_tokens
from accounts.invitations import InviteEmailMismatch, accept_for_user, get_invitation
from accounts.models import AuditEvent, Invitation, MailedToken, Membership, SignIn, User, Workspace
from accounts.outbox import deliver_pending
from accounts.principal import Client
from accounts.tokens import AccessToken
from tests.support.accepting import ACCEPT, NEW_PASSWORD, PASSWORDLESS, accept, anyone, link_of, refused
from tests.support.cast import PASSWORD, Actor, bearer

pytestmark = pytest.mark.django_db


def test_an_account_with_a_password_proves_itself_by_it(alice: Actor, mallory: Actor):
    link = link_of(alice, "mallory@other.test", "member")
    before = User.objects.get(email="mallory@other.test").password

    assert refused(link) == (400, "password_required")
    assert refused(link, PASSWORDLESS) == (400, "password_required")
    assert refused(link, password=NEW_PASSWORD) == (400, "invalid_password")
    status, body = accept(link, password=PASSWORD)

    user = User.objects.get(email="mallory@other.test")
    assert status == 200
    assert body["workspace"]["slug"] == body["user"]["workspace_slug"] == "acme"
    assert (user.password, user.last_workspace) == (before, alice.workspace)
    assert set(user.memberships.values_list("workspace__slug", "role")) == {("other", "owner"), ("acme", "member")}
    assert mallory.client.get("/api/v1/auth/me").json()["workspace_slug"] == "other"  # earlier sign-ins stay there
    failed = AuditEvent.objects.get(action="auth.sign_in_failed")
    assert (failed.target_id, failed.workspace_id) == (user.id, mallory.workspace.id)


def test_whether_an_address_has_an_account_is_not_told_without_a_password(alice: Actor, mallory: Actor):
    known, unknown = link_of(alice, "mallory@other.test"), link_of(alice, "nobody@other.test")

    assert accept(known) == accept(unknown)
    assert accept(known)[1]["error_code"] == "password_required"


def test_the_inviter_cannot_enter_the_invited_persons_account_with_the_link(alice: Actor, mallory: Actor):
    """Carol came to acme by a link alone. Mallory invites her elsewhere, and follows the link herself."""
    _, carol = accept(link_of(alice, "carol@else.test"), PASSWORDLESS)
    hers = link_of(mallory, "carol@else.test")

    for verified_at in (None, timezone.now()):
        User.objects.filter(email="carol@else.test").update(email_verified_at=verified_at)
        assert refused(hers, PASSWORDLESS) == (400, "password_required")
        assert refused(hers, password=NEW_PASSWORD) == (400, "invalid_password")
    Membership.objects.filter(workspace=alice.workspace, user__email="carol@else.test").delete()
    assert refused(hers, PASSWORDLESS) == (400, "password_required")

    assert not User.objects.get(email="carol@else.test").has_usable_password()
    assert Invitation.objects.get(id=hers["invite_id"]).status == "pending"
    assert SignIn.objects.filter(user__email="carol@else.test").count() == 1


def test_the_link_does_not_replace_the_password_of_an_unverified_account(alice: Actor):
    """Somebody signed up with Dana's address. Dana takes it back by mail; nobody does by a link alone."""
    user = User.objects.create_user("dana@else.test", "what the squatter chose")
    link = link_of(alice)

    assert refused(link, PASSWORDLESS) == (400, "password_required")
    assert refused(link, password=NEW_PASSWORD) == (400, "invalid_password")

    user.refresh_from_db()
    assert user.check_password("what the squatter chose") and not user.memberships.exists()


@pytest.mark.parametrize(("path", "method"), [(ACCEPT, "password"), (PASSWORDLESS, "invitation")])
def test_an_account_that_nobody_has_been_inside_is_opened_by_the_link(alice: Actor, path, method):
    user = User.objects.create_user("dana@else.test")
    mailed_tokens.make(user, MailedToken.Purpose.VERIFY_EMAIL, user.email)

    status, body = accept(link_of(alice), path, password=NEW_PASSWORD)

    assert (status, body["user"]["id"]) == (200, str(user.id))
    assert SignIn.objects.get(user=user).method == method
    assert User.objects.get(id=user.id).check_password(NEW_PASSWORD) == (method == "password")
    assert not MailedToken.objects.exists()  # the one sent before is stale; another is on its way
    deliver_pending()
    assert MailedToken.objects.count() == 1


def test_a_deactivated_account_stays_out(alice: Actor, mallory: Actor):
    link = link_of(alice, "mallory@other.test")
    User.objects.filter(email="mallory@other.test").update(is_active=False)

    assert refused(link, password=PASSWORD) == (400, "invalid_password")
    assert refused(link, PASSWORDLESS) == (400, "password_required")
    User.objects.update(is_active=True)
    assert accept(link, password=PASSWORD)[0] == 200


def test_a_second_factor_is_not_passed_by(alice: Actor, mallory: Actor):
    link = link_of(alice, "mallory@other.test")
    User.objects.filter(email="mallory@other.test").update(totp_confirmed_at=timezone.now())

    assert refused(link, password=NEW_PASSWORD) == (400, "invalid_password")
    assert refused(link, password=PASSWORD) == (400, "sign_in_required")
    assert accept(link, client=mallory.client)[0] == 200


def test_a_workspace_that_demands_a_second_factor_demands_it_of_who_came_by_link(alice: Actor):
    _, pair = accept(link_of(alice), PASSWORDLESS)
    client = bearer(pair["access_token"])
    assert client.get("/api/v1/geofences").status_code == 200

    Workspace.objects.update(requires_second_factor=True)

    assert client.get("/api/v1/geofences").json()["error_code"] == "second_factor_required"


@pytest.mark.parametrize("path", [ACCEPT, PASSWORDLESS])
def test_a_signed_in_person_needs_no_password(alice: Actor, mallory: Actor, path):
    SignIn.objects.filter(user=mallory.user).update(method="google")

    status, body = accept(link_of(alice, "mallory@other.test"), path, mallory.client)

    assert (status, body["workspace"]["slug"]) == (200, "acme")
    assert SignIn.objects.get(id=AccessToken.read(body["access_token"]).sid).method == "google"


@pytest.mark.parametrize("path", [ACCEPT, PASSWORDLESS])
def test_a_session_of_somebody_else_is_refused(alice: Actor, mallory: Actor, path):
    link = link_of(alice)

    status, body = accept(link, path, mallory.client, password=NEW_PASSWORD)

    assert (status, body) == (
        409,
        {
            "detail": "This invitation is for another address than the signed-in one. Sign out, then open it again.",
            "error_code": "INVITE_EMAIL_MISMATCH",
        },
    )
    assert not User.objects.filter(email="dana@else.test").exists()
    assert accept(link, path, password=NEW_PASSWORD)[0] == 200


@pytest.mark.parametrize("path", [ACCEPT, PASSWORDLESS])
@pytest.mark.parametrize("header", ["Bearer x", "Basic eA==", "", "Bearer", "Bearer a.b.c"])
def test_an_invalid_bearer_is_refused(alice: Actor, path, header):
    link = link_of(alice)

    response = anyone.post(path, {**link, "password": NEW_PASSWORD}, format="json", headers={"Authorization": header})

    assert (response.status_code, response.json()["error_code"]) == (401, "invalid_token")
    assert response["WWW-Authenticate"].startswith("Bearer")
    assert Invitation.objects.get().status == "pending"


def test_a_revoked_session_is_refused(alice: Actor, mallory: Actor):
    link = link_of(alice, "mallory@other.test")
    SignIn.objects.filter(user=mallory.user).revoke("logout")

    assert refused(link, client=mallory.client) == (401, "invalid_token")


def test_a_member_keeps_their_role(alice: Actor, mallory: Actor):
    link = link_of(alice, "mallory@other.test", "owner")
    Membership.objects.create(user=mallory.user, workspace=alice.workspace, role="member")

    status, body = accept(link, password=PASSWORD)

    assert (status, body["workspace"]["role"]) == (200, "member")
    assert AuditEvent.objects.get(action="invitation.accepted").changes == {"role": "member", "already_member": True}


def test_invitations_of_other_workspaces_stay_open(alice: Actor, mallory: Actor):
    ours, theirs = link_of(alice), link_of(mallory)

    accept(ours, password=NEW_PASSWORD)

    assert accept(theirs, password=NEW_PASSWORD)[0] == 200
    assert Membership.objects.filter(user__email="dana@else.test").count() == 2


def test_accepting_for_a_person_whom_a_provider_vouches_for_matches_strictly(alice: Actor, mallory: Actor):
    invitation = get_invitation(alice.request().auth, link_of(alice, "dana@else.test")["invite_id"])

    with pytest.raises(InviteEmailMismatch):
        accept_for_user(invitation, mallory.user, Client("192.0.2.1", ""))
    assert Invitation.objects.get().status == "pending"

    dana = User(email="dana@else.test", email_verified_at=timezone.now())
    membership, already_member = accept_for_user(invitation, dana, Client("192.0.2.1", ""))
    assert (membership.user.email, membership.role, already_member) == ("dana@else.test", "field_worker", False)
