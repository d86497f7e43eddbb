"""Accepting an invitation by its link: what it opens for a new address, and when it opens nothing."""

from datetime import timedelta

import pytest
from django.core import mail
from django.utils import timezone

from accounts import mailed_tokens
from accounts.models import AuditEvent, Invitation, MailedToken, Membership, SignIn, User, Workspace
from accounts.outbox import deliver_pending
from accounts.tokens import AccessToken
from tests.support.accepting import ACCEPT, NEW_PASSWORD, PASSWORDLESS, accept, anyone, link_of, refused
from tests.support.cast import Actor, bearer
from tests.support.invitations import INVITATIONS, NOT_FOUND
from tests.support.urls import EXAMPLE_ID

pytestmark = pytest.mark.django_db


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


def test_an_extended_link_works_on(alice: Actor):
    link = link_of(alice)
    Invitation.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    later = (timezone.now() + timedelta(days=2)).isoformat()
    assert refused(link, PASSWORDLESS) == (400, "invitation_expired")

    alice.client.patch(f"{INVITATIONS}/{link['invite_id']}", {"expires_at": later}, format="json")

    assert accept(link, PASSWORDLESS)[0] == 200
