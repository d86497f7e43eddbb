"""Accepting an invitation: what the link opens by itself, what has to be proven, and that it is spent once."""

import uuid
from collections import Counter
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.core import mail
from django.utils import timezone
from rest_framework.test import APIClient

from accounts import mailed_tokens
from accounts.invitations import InviteEmailMismatch, accept_for_user, get_invitation
from accounts.models import AuditEvent, Invitation, MailedToken, Membership, SignIn, User, Workspace
from accounts.outbox import deliver_pending
from accounts.principal import Client
from accounts.tokens import AccessToken
from tests.support.cast import PASSWORD, Actor, bearer, make_workspace
from tests.support.race import Answer, at_once, call
from tests.support.urls import EXAMPLE_ID

INVITATIONS = "/api/v1/workspaces/invitations"
ACCEPT = "/api/v1/auth/accept-invite"
PASSWORDLESS = f"{ACCEPT}/passwordless"
NEW_PASSWORD = "a quiet harbour at dawn"
NOT_FOUND = {"detail": "Not found.", "error_code": "not_found"}

pytestmark = pytest.mark.django_db
anyone = APIClient()


def link_of(inviter: Actor, email: str = "dana@else.test", role: str = "field_worker") -> dict[str, str]:
    """Return invite_id and token of a new invitation."""
    response = inviter.client.post(INVITATIONS, {"email": email, "role": role}, format="json")
    query = parse_qs(urlsplit(response.json()["invite_link"]).query)
    return {name: values[0] for name, values in query.items()}


def accept(link: dict[str, Any], path: str = ACCEPT, client: APIClient = anyone, **body: Any) -> tuple[int, Any]:
    response = client.post(path, {**link, **body}, format="json")
    return response.status_code, response.json()


def refused(link: dict[str, Any], path: str = ACCEPT, client: APIClient = anyone, **body: Any) -> tuple[int, str]:
    status, answer = accept(link, path, client, **body)
    return status, answer["error_code"]


def actions() -> list[str]:
    return list(AuditEvent.objects.order_by("sequence").values_list("action", flat=True))


@pytest.mark.parametrize(("path", "method"), [(ACCEPT, "password"), (PASSWORDLESS, "invitation")])
def test_a_new_address_gets_an_account_in_the_workspace_and_is_signed_in(alice: Actor, path, method):
    link = link_of(alice)

    response = anyone.post(path, {**link, "password": NEW_PASSWORD}, format="json")

    body = response.json()
    user = User.objects.get(email="dana@else.test")
    sign_in = SignIn.objects.get(user=user)
    assert response.status_code == 200
    assert body == {
        "access_token": body["access_token"],
        "refresh_token": body["refresh_token"],
        "expires_in": 4 * 3600,
        "token_type": "Bearer",
        "user": bearer(body["access_token"]).get("/api/v1/auth/me").json(),
        "workspace": {"id": str(alice.workspace.id), "name": "Acme", "slug": "acme", "role": "field_worker"},
    }
    assert (body["user"]["email"], body["user"]["role"], body["user"]["workspace_slug"]) == (
        "dana@else.test",
        "field_worker",
        "acme",
    )
    assert AccessToken.read(body["access_token"]).sid == sign_in.id
    assert response.cookies["spatialflow_refresh"].value == body["refresh_token"]
    assert (sign_in.method, user.last_workspace, user.has_usable_password()) == (
        method,
        alice.workspace,
        method == "password",
    )
    assert user.check_password(NEW_PASSWORD) == (method == "password")
    assert Membership.objects.get(user=user).workspace == alice.workspace
    assert Invitation.objects.get().status == "accepted"
    assert actions()[-3:] == ["invitation.accepted", "account.signed_up", "auth.signed_in"]
    event = AuditEvent.objects.get(action="invitation.accepted")
    assert (event.workspace_id, event.actor_email, event.resource_id, event.changes) == (
        alice.workspace.id,
        "dana@else.test",
        link["invite_id"],
        {"role": "field_worker", "already_member": False},
    )


@pytest.mark.parametrize("path", [ACCEPT, PASSWORDLESS])
def test_the_link_does_not_prove_the_address_so_a_mail_asks(alice: Actor, path):
    """Alice has seen the link: she could have followed it herself."""
    accept(link_of(alice), path, password=NEW_PASSWORD)

    assert User.objects.get(email="dana@else.test").email_verified_at is None
    mail.outbox.clear()
    deliver_pending()
    assert [(message.to, message.subject) for message in mail.outbox] == [
        (["dana@else.test"], "Verify your email address")
    ]


def test_signing_up_may_be_closed(alice: Actor, settings):
    settings.SIGNUP_IS_OPEN = False

    assert accept(link_of(alice), PASSWORDLESS)[0] == 200


@pytest.mark.parametrize("path", [ACCEPT, PASSWORDLESS])
@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"used_at": timezone.now()}, "invitation_used"),
        ({"revoked_at": timezone.now()}, "invitation_revoked"),
        ({"expires_at": timezone.now()}, "invitation_expired"),
    ],
)
def test_a_link_that_ended_says_why(alice: Actor, path, change, code):
    link = link_of(alice)
    Invitation.objects.update(**change)

    assert refused(link, path, password=NEW_PASSWORD) == (400, code)
    assert not User.objects.filter(email="dana@else.test").exists()


@pytest.mark.parametrize("path", [ACCEPT, PASSWORDLESS])
def test_a_pair_that_does_not_match_is_nothing(alice: Actor, path):
    link, other = link_of(alice), link_of(alice, "eve@else.test")
    wrong = [
        {**link, "token": other["token"]},
        {**link, "token": link["token"].swapcase()},
        {**link, "token": link["token"][:-1]},
        {**link, "token": "é"},
        {**link, "invite_id": EXAMPLE_ID},
        {**link, "invite_id": "x"},
        {**link, "invite_id": "0" * 32},
    ]

    for attempt in wrong:
        assert accept(attempt, path, password=NEW_PASSWORD) == (404, NOT_FOUND)
    assert accept(link, path, password=NEW_PASSWORD)[0] == 200


@pytest.mark.parametrize("path", [ACCEPT, PASSWORDLESS])
def test_a_suspended_workspace_takes_nobody_in(alice: Actor, path):
    link = link_of(alice)
    Workspace.objects.update(suspended_at=timezone.now())

    assert accept(link, path, password=NEW_PASSWORD) == (404, NOT_FOUND)
    Workspace.objects.update(suspended_at=None)
    assert accept(link, path, password=NEW_PASSWORD)[0] == 200


def test_secrets_of_another_kind_are_no_invitation_and_the_reverse(alice: Actor):
    link = link_of(alice)
    for purpose in MailedToken.Purpose:
        secret = mailed_tokens.make(alice.user, purpose, alice.user.email)
        assert accept({**link, "token": secret}, password=NEW_PASSWORD) == (404, NOT_FOUND)
        with pytest.raises(mailed_tokens.InvalidMailedToken):
            mailed_tokens.consume(link["token"], purpose)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"token": None}, "token"),
        ({"token": ["x"]}, "token"),
        ({"token": "x" * 501}, "token"),
        ({"token": ""}, "token"),
        ({"invite_id": {"a": 1}}, "invite_id"),
        ({"invite_id": True}, "invite_id"),
        ({"password": ["x"]}, "password"),
        ({"password": "x" * 100_001}, "password"),
        ({"password": "short"}, "password"),
        ({"password": "password123"}, "password"),
        ({"password": "dana@else.test"}, "password"),
    ],
)
def test_a_bad_field_is_named_and_the_link_stays(alice: Actor, body, field):
    link = link_of(alice)

    status, answer = accept(link, **{"password": NEW_PASSWORD, **body})

    assert (status, list(answer["details"])) == (422, [field])
    assert accept(link, password=NEW_PASSWORD)[0] == 200


# --- Accounts that exist already


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


# --- Limits


@pytest.mark.parametrize("has_account", [False, True])
@pytest.mark.parametrize("password", ["weak", "dana@else.test"])
def test_a_weak_password_is_answered_alike_for_known_and_unknown_addresses(alice: Actor, has_account, password):
    """And it uses up no try with the link."""
    link = link_of(alice)
    if has_account:
        User.objects.create_user("dana@else.test", PASSWORD, name="Dana")

    answers = [accept(link, password=password) for _ in range(11)]

    assert {status for status, _ in answers} == {422}
    assert list(answers[0][1]["details"]) == ["password"]
    assert accept(link, password=PASSWORD)[0] == 200


def test_the_password_of_whoever_is_signed_in_is_not_looked_at(alice: Actor, mallory: Actor):
    assert accept(link_of(alice, mallory.user.email), client=mallory.client, password="weak")[0] == 200


def test_an_eleventh_try_with_one_link_waits_and_others_do_not(alice: Actor):
    link, other = link_of(alice), link_of(alice, "eve@else.test")
    wrong = {**link, "token": "x"}

    assert [accept(wrong, path)[0] for path in (ACCEPT, PASSWORDLESS) * 5] == [404] * 10
    wrong["invite_id"] = wrong["invite_id"].upper()
    assert refused(wrong) == (429, "rate_limited")
    assert accept(other, PASSWORDLESS)[0] == 200


def test_a_crew_of_three_hundred_checks_in_from_one_address_an_hour():
    statuses = Counter(accept({"invite_id": str(uuid.uuid4()), "token": "x"}, PASSWORDLESS)[0] for _ in range(301))

    assert statuses == {404: 300, 429: 1}


def test_guessing_a_password_here_is_guessing_at_the_login(alice: Actor, mallory: Actor):
    link = link_of(alice, "mallory@other.test")
    for number in range(15):
        anyone.post("/api/v1/auth/login", {"email": "mallory@other.test", "password": f"{number}"}, format="json")

    assert refused(link, password=PASSWORD) == (429, "rate_limited")
    assert accept(link, client=mallory.client)[0] == 200


# --- Races


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("path", [ACCEPT, PASSWORDLESS])
def test_of_many_at_once_one_is_let_in(server, alice: Actor, path):
    link = link_of(alice)

    answers = at_once(8, lambda _: call(server, "POST", path, {**link, "password": NEW_PASSWORD}))

    losers = Counter((answer.status, answer.body.get("error_code")) for answer in answers if answer.status != 200)
    assert losers == {(400, "invitation_used"): 7}
    user = User.objects.get(email="dana@else.test")
    assert user.memberships.count() == SignIn.objects.filter(user=user).count() == 1


@pytest.mark.django_db(transaction=True)
def test_of_a_known_persons_many_tries_at_once_one_wins(server, alice: Actor, mallory: Actor):
    link = link_of(alice, "mallory@other.test")

    answers = at_once(8, lambda _: call(server, "POST", ACCEPT, {**link, "password": PASSWORD}))

    assert Counter(answer.status for answer in answers) == {200: 1, 400: 7}
    assert Membership.objects.filter(user=mallory.user, workspace=alice.workspace).count() == 1


@pytest.mark.django_db(transaction=True)
def test_invitations_of_several_workspaces_at_once_make_one_account(server, alice: Actor):
    links = []
    for number in range(6):
        Membership.objects.update(workspace=make_workspace(f"w{number}"))
        SignIn.objects.update(workspace_id=Membership.objects.get().workspace_id)
        alice.membership.refresh_from_db()
        links.append(link_of(Actor(alice.user, alice.workspace, alice.membership, alice.pair, again(alice))))

    answers = at_once(6, lambda number: call(server, "POST", ACCEPT, {**links[number], "password": NEW_PASSWORD}))

    assert {(answer.status, answer.body.get("error_code")) for answer in answers} <= {
        (200, None),
        (409, "account_appeared"),
    }
    user = User.objects.get(email="dana@else.test")
    entered = sum(answer.status == 200 for answer in answers)
    assert entered == user.memberships.count() == SignIn.objects.filter(user=user).count() >= 1
    assert Invitation.objects.pending().count() == 6 - entered


def again(actor: Actor) -> APIClient:
    return bearer(actor.sign_in_again().access_token)


@pytest.mark.django_db(transaction=True)
def test_accepting_while_it_is_cancelled_is_one_or_the_other(server, alice: Actor):
    link = link_of(alice)
    headers = {"Authorization": f"Bearer {alice.pair.access_token}"}

    def act(index: int) -> Answer:
        if index == 0:
            return call(server, "DELETE", f"{INVITATIONS}/{link['invite_id']}", headers=headers)
        return call(server, "POST", PASSWORDLESS, link)

    cancelled, accepted = at_once(2, act)

    assert sorted([cancelled.status, accepted.status]) == [200, 400]
    assert Membership.objects.filter(user__email="dana@else.test").exists() == (accepted.status == 200)


def test_an_extended_link_works_on(alice: Actor):
    link = link_of(alice)
    Invitation.objects.update(expires_at=timezone.now())
    later = (timezone.now() + timedelta(days=2)).isoformat()
    assert refused(link, PASSWORDLESS) == (400, "invitation_expired")

    alice.client.patch(f"{INVITATIONS}/{link['invite_id']}", {"expires_at": later}, format="json")

    assert accept(link, PASSWORDLESS)[0] == 200
