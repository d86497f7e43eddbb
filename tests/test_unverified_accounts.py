"""An account whose address nobody has verified may be anybody's: whoever made it cannot shut the address's owner out,
and the owner gets in by mail.
"""

import pytest
from rest_framework.test import APIClient

from accounts import mailed_tokens
from accounts.models import AuditEvent, RecoveryCode, SignIn, User
from tests.support.cast import PASSWORD, Actor, bearer
from tests.support.mails import delivered, delivered_to, secret_in
from tests.support.totp import code, enrol

LOGIN = "/api/v1/auth/login"
TOTP = "/api/v1/auth/totp"
VERIFY = "/api/v1/auth/verify-email"
CONFIRM_RESET = "/api/v1/auth/password-reset/confirm"
INVITATIONS = "/api/v1/workspaces/invitations"
NEW = "a quiet harbour at dawn"
UNVERIFIED = {
    "detail": "Verify your email address before setting up a second factor.",
    "error_code": "email_not_verified",
}

pytestmark = pytest.mark.django_db


def post(client: APIClient, path: str, **body: object):
    return client.post(path, body, format="json")


def doubt(actor: Actor) -> None:
    User.objects.filter(id=actor.user.id).update(email_verified_at=None)


def enter_by_link(inviter: Actor, email: str = "dana@else.test") -> APIClient:
    """Return a client signed in by nothing but the link of an invitation, as whoever invited could."""
    invited = post(inviter.client, INVITATIONS, email=email, role="member").json()
    body = {"invite_id": invited["id"], "token": secret_in(invited["invite_link"])}
    entered = post(APIClient(), "/api/v1/auth/accept-invite/passwordless", **body)
    assert entered.status_code == 200, entered.json()
    return bearer(entered.json()["access_token"])


def mailed_secret(email: str, purpose: str) -> str:
    return mailed_tokens.make(User.objects.get(email=email), purpose, email)


@pytest.mark.parametrize("is_required", [False, True])
def test_a_second_factor_waits_for_the_address(alice: Actor, is_required):
    doubt(alice)
    alice.workspace.requires_second_factor = is_required
    alice.workspace.save()

    begun = post(alice.client, TOTP, current_password=PASSWORD)
    confirmed = post(alice.client, f"{TOTP}/confirm", otp="123456")

    assert begun.status_code == confirmed.status_code == 403
    assert begun.json() == confirmed.json() == UNVERIFIED
    assert User.objects.get().totp_secret == ""
    if is_required:
        assert post(alice.client, "/api/v1/auth/resend-verification-authenticated").status_code == 200
    post(APIClient(), VERIFY, token=mailed_secret(alice.user.email, "verify_email"))
    assert enrol(alice)[1]


def test_a_factor_begun_before_the_address_is_in_doubt_is_not_confirmed(alice: Actor):
    secret = post(alice.client, TOTP, current_password=PASSWORD).json()["secret"]
    doubt(alice)

    assert post(alice.client, f"{TOTP}/confirm", otp=code(secret)).json() == UNVERIFIED


@pytest.mark.parametrize("is_verified", [False, True])
def test_a_reset_drops_a_second_factor_that_may_be_somebody_elses(alice: Actor, anyone, is_verified):
    enrol(alice)
    if not is_verified:
        doubt(alice)

    reset = post(anyone, CONFIRM_RESET, token=mailed_secret(alice.user.email, "reset_password"), password=NEW)

    assert reset.status_code == 200
    user = User.objects.get()
    assert (user.has_second_factor, RecoveryCode.objects.exists()) == (is_verified, is_verified)
    signed_in = post(anyone, LOGIN, email=user.email, password=NEW)
    assert signed_in.status_code == (401 if is_verified else 200)


def test_verifying_ends_what_the_link_of_an_invitation_alone_began(alice: Actor, anyone):
    client = enter_by_link(alice)
    assert client.get("/api/v1/auth/me").status_code == 200

    sent = delivered_to("dana@else.test")
    verified = post(anyone, VERIFY, token=secret_in(sent.body))

    assert verified.json() == {
        "message": "Your email address is verified. To sign in again, set a password by forgot-password.",
        "success": True,
        "email_verified": True,
    }
    assert "signs out whoever came in that way. To sign in again, set a password:" in sent.body
    assert "/forgot-password" in sent.body
    assert client.get("/api/v1/auth/me").status_code == 401
    assert SignIn.objects.get(method="invitation").revoked_reason == "email_verified"
    event = AuditEvent.objects.latest("sequence")
    assert (event.action, event.changes) == ("account.email_verified", {"sign_ins_ended": 1})


def test_verifying_from_within_keeps_that_sign_in_alone(alice: Actor):
    client = enter_by_link(alice)
    user = User.objects.get(email="dana@else.test")
    other = SignIn.objects.create(
        user=user,
        workspace=alice.workspace,
        method="invitation",
        ip="192.0.2.1",
        expires_at=SignIn.objects.first().expires_at,
    )
    by_password = SignIn.objects.create(
        user=user, workspace=alice.workspace, method="password", ip="192.0.2.1", expires_at=other.expires_at
    )

    assert post(client, VERIFY, token=mailed_secret(user.email, "verify_email")).status_code == 200

    assert client.get("/api/v1/auth/me").status_code == 200
    alive = SignIn.objects.live().filter(user=user)
    assert other not in alive and by_password in alive and alive.count() == 2


@pytest.mark.parametrize("token", ["nonsense", "of Alice"])
def test_a_token_of_nobody_or_of_somebody_else_keeps_nothing(alice: Actor, token):
    client = enter_by_link(alice)
    sender = alice.client if token == "of Alice" else bearer(token)  # noqa: S105

    assert post(sender, VERIFY, token=mailed_secret("dana@else.test", "verify_email")).status_code == 200

    assert client.get("/api/v1/auth/me").status_code == 401
    assert alice.client.get("/api/v1/auth/me").status_code == 200


def test_a_password_chosen_with_the_link_of_an_invitation_stays_until_its_person_sets_one(alice: Actor, anyone):
    """Whoever invited has the link too. The mail says what the verification leaves, and what ends it."""
    invited = post(alice.client, INVITATIONS, email="dana@else.test", role="member").json()
    body = {"invite_id": invited["id"], "token": secret_in(invited["invite_link"]), "password": PASSWORD}
    entered = post(APIClient(), "/api/v1/auth/accept-invite", **body)
    sent = next(sent for sent in delivered() if sent.subject == "Verify your email address")
    assert "or opened the link of an invitation to this address, chose the password" in sent.body

    assert post(anyone, VERIFY, token=secret_in(sent.body)).status_code == 200
    assert post(anyone, LOGIN, email="dana@else.test", password=PASSWORD).status_code == 200

    own = mailed_secret("dana@else.test", "reset_password")
    assert post(anyone, CONFIRM_RESET, token=own, password=NEW).status_code == 200
    assert post(anyone, LOGIN, email="dana@else.test", password=PASSWORD).status_code == 401
    assert bearer(entered.json()["access_token"]).get("/api/v1/auth/me").status_code == 401


def test_who_chose_a_password_is_told_nothing_of_setting_one(alice: Actor, anyone):
    doubt(alice)
    post(anyone, "/api/v1/auth/resend-verification", email=alice.user.email)

    sent = delivered_to(alice.user.email)

    assert "chose the password of this account, and it stays." in sent.body
    assert post(anyone, VERIFY, token=secret_in(sent.body)).json()["message"] == "Your email address is verified."


def test_one_mail_lets_the_owner_of_the_address_in(alice: Actor, anyone):
    """An account that the link of an invitation made has neither a password nor a verified address."""
    client = enter_by_link(alice)
    delivered()

    post(anyone, "/api/v1/auth/forgot-password", email="dana@else.test")
    secret = secret_in(delivered_to("dana@else.test").body)
    assert post(anyone, CONFIRM_RESET, token=secret, password=NEW).status_code == 200

    signed_in = post(anyone, LOGIN, email="dana@else.test", password=NEW)
    assert (signed_in.status_code, signed_in.json()["user"]["email_verified"]) == (200, True)
    assert client.get("/api/v1/auth/me").status_code == 401
