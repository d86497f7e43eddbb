"""The recovery link: for an owner whom single sign-on locks out, once, for an hour, to repair it and nothing else."""

import re
import time
from collections import Counter
from datetime import timedelta
from typing import Any

import pyotp
import pytest
from django.conf import settings as configured
from django.db.models import F
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.test import APIClient, APIRequestFactory

from accounts.authentication import JWTAuthentication
from accounts.models import AuditEvent, Membership, OutgoingMail, SignIn, User, Workspace
from accounts.scopes import RECOVERY_SCOPES, SSO_MANAGE
from accounts.sso_requirement import lift
from spatialflow.encryption import encrypt
from sso.models import SsoRecovery
from tests.support.cast import PASSWORD, Actor, bearer, make_workspace
from tests.support.mails import delivered, secret_in
from tests.support.race import at_once, call
from tests.support.required_sso import demand

pytestmark = pytest.mark.django_db

ASK = "/api/v1/auth/sso/recovery"
REDEEM = f"{ASK}/redeem"
REFRESH = "/api/v1/auth/refresh"
ACCEPTED = {
    "message": "If this is an owner's address and the workspace requires single sign-on, a link is on its way to it.",
    "success": True,
}
INVALID_LINK = {
    "detail": "This link is invalid, expired or already used. Ask for a new one.",
    "error_code": "invalid_link",
}


def ask(client: APIClient, email: str = "alice@acme.test", slug: str = "acme", **headers: str) -> Any:
    return client.post(ASK, {"email": email, "workspace_slug": slug}, format="json", headers=headers)


def redeem(client: APIClient, token: str, **body: Any) -> tuple[int, Any]:
    response = client.post(REDEEM, {"token": token, **body}, format="json")
    return response.status_code, response.json()


def a_link(client: APIClient) -> str:
    """Return the secret of the link that Alice gets."""
    assert ask(client).status_code == 202
    [mail] = [mail for mail in delivered() if "Repair single sign-on" in mail.subject]
    return secret_in(mail.body)


@pytest.fixture
def locked_out(alice: Actor, bob: Actor, acme: Workspace) -> Actor:
    """Alice, who owns acme with Bob, and has to sign in by its provider."""
    Membership.objects.filter(user=bob.user).update(role="owner")
    demand(acme)
    return alice


# --- Asking


def test_an_owner_gets_a_link_and_every_owner_is_told(anyone, carol, locked_out, acme):
    response = ask(anyone, "  Alice@ACME.test")
    sent = delivered()

    assert (response.status_code, response.json()) == (202, ACCEPTED)
    [link] = [mail for mail in sent if "sso-recovery?token=" in mail.body]
    notices = [mail for mail in sent if mail.subject == "A recovery link for Acme was asked for"]
    assert (link.to, len(sent)) == (["alice@acme.test"], 3)
    assert f"{configured.PUBLIC_URL}/sso-recovery?token={secret_in(link.body)}" in link.body
    assert sorted(mail.to[0] for mail in notices) == ["alice@acme.test", "bob@acme.test"]
    assert all("alice@acme.test" in mail.body and "token=" not in mail.body for mail in notices)
    row = SsoRecovery.objects.get()
    assert (row.user_id, row.workspace_id) == (locked_out.user.id, acme.id)
    assert timedelta(minutes=59) < row.expires_at - timezone.now() <= timedelta(hours=1)
    event = AuditEvent.objects.get(action="sso.recovery_asked")
    assert (event.workspace_id, event.target_id, event.ip_address, event.path) == (
        *(acme.id, locked_out.user.id),
        *("127.0.0.1", ASK),
    )


def test_a_second_link_makes_the_first_worthless(anyone, locked_out):
    first, second = a_link(anyone), a_link(anyone)

    assert redeem(anyone, first) == (400, INVALID_LINK)
    assert redeem(anyone, second)[0] == 200


@pytest.mark.parametrize(
    "change",
    [
        lambda alice: Membership.objects.filter(user=alice.user).update(role="manager"),
        lambda alice: User.objects.filter(id=alice.user.id).update(is_active=False),
        lambda alice: User.objects.filter(id=alice.user.id).update(email_verified_at=None),
        lambda alice: Workspace.objects.update(requires_sso=False),
        lambda alice: Workspace.objects.update(suspended_at=timezone.now()),
        lambda alice: Workspace.objects.update(plan="team"),
    ],
    ids=["manager", "inactive", "unverified", "not required", "suspended", "plan"],
)
def test_nobody_else_gets_one_and_a_link_of_before_is_worthless(anyone, locked_out, change):
    token = a_link(anyone)
    change(locked_out)

    assert (ask(anyone).status_code, delivered()) == (202, [])
    assert redeem(anyone, token) == (400, INVALID_LINK)
    assert AuditEvent.objects.filter(action="sso.recovery_asked").count() == 1


def test_asking_answers_and_does_the_same_whoever_asks_for_whom(
    anyone, carol, mallory, locked_out, django_assert_num_queries
):
    answers = []
    for email, slug in [
        ("alice@acme.test", "acme"),
        ("carol@acme.test", "acme"),
        ("nobody@acme.test", "acme"),
        ("mallory@other.test", "other"),
        ("alice@acme.test", "other"),
        ("alice@acme.test", "no-such"),
    ]:
        with django_assert_num_queries(1):  # the counters are on their own connection
            answers.append(ask(anyone, email, slug))

    assert {(answer.status_code, answer.content) for answer in answers} == {(202, answers[0].content)}
    assert answers[0].json() == ACCEPTED
    assert [mail.to for mail in delivered() if "token=" in mail.body] == [["alice@acme.test"]]


def test_asking_is_limited_by_address(anyone, locked_out):
    statuses = [ask(anyone, f"someone{n}@acme.test").status_code for n in range(11)]

    assert statuses == [202] * 10 + [429]
    assert OutgoingMail.objects.filter(kind="sso_recovery_asked").count() == 10


def links_sent() -> list[list[str]]:
    return [mail.to for mail in delivered() if "token=" in mail.body]


def test_an_owner_gets_three_links_an_hour_and_whoever_asks_is_not_told(anyone, locked_out):
    answers = [ask(anyone) for _ in range(5)]

    assert {(answer.status_code, answer.content) for answer in answers} == {(202, answers[0].content)}
    assert links_sent() == [["alice@acme.test"]] * 3
    assert AuditEvent.objects.filter(action="sso.recovery_asked").count() == 3
    assert SsoRecovery.objects.count() == 1  # the last of them works


@pytest.mark.parametrize("slug", ["other", "no-such", "second"])
def test_what_is_asked_for_another_workspace_uses_up_nothing_of_an_owner(anyone, mallory, locked_out, slug):
    """Of one that somebody else owns, that is not there, and of one of their own that requires nothing."""
    Membership.objects.create(user=locked_out.user, workspace=make_workspace("second"), role="owner")
    assert {ask(anyone, slug=slug).status_code for _ in range(5)} == {202}
    assert links_sent() == []

    assert ask(anyone).status_code == 202
    assert links_sent() == [["alice@acme.test"]]


# --- Using it


def test_it_signs_in_for_an_hour(anyone, locked_out, acme):
    status, body = redeem(anyone, a_link(anyone))

    sign_in = SignIn.objects.get(method="sso_recovery")
    assert (status, body["user"]["workspace_slug"], body["user"]["role"]) == (200, "acme", "owner")
    assert 3590 <= body["expires_in"] <= 3600
    assert (sign_in.user_id, sign_in.workspace_id) == (locked_out.user.id, acme.id)
    assert timedelta(minutes=59) < sign_in.expires_at - timezone.now() <= timedelta(hours=1)
    assert bearer(body["access_token"]).get("/api/v1/auth/me").status_code == 200
    refreshed = anyone.post(REFRESH, {"refresh_token": body["refresh_token"]}, format="json").json()
    assert refreshed["expires_in"] <= 3600  # no longer than the hour
    SignIn.objects.filter(id=sign_in.id).update(expires_at=timezone.now() - timedelta(hours=1))
    assert bearer(refreshed["access_token"]).get("/api/v1/auth/me").status_code == 401


def test_every_owner_is_told_of_its_use_and_the_trail_keeps_it(anyone, locked_out, acme):
    redeem(anyone, a_link(anyone))

    notices = [mail for mail in delivered() if mail.subject == "A recovery link for Acme was used"]
    assert sorted(mail.to[0] for mail in notices) == ["alice@acme.test", "bob@acme.test"]
    assert all("alice@acme.test" in mail.body for mail in notices)
    event = AuditEvent.objects.get(action="sso.recovery_used")
    assert (event.workspace_id, event.actor_id, event.path) == (acme.id, locked_out.user.id, REDEEM)


def test_it_works_once_until_it_expires(anyone, locked_out):
    spent = a_link(anyone)
    assert redeem(anyone, spent)[0] == 200
    assert redeem(anyone, spent) == (400, INVALID_LINK)
    expired = a_link(anyone)
    SsoRecovery.objects.update(expires_at=timezone.now() - timedelta(hours=1))

    assert redeem(anyone, expired) == (400, INVALID_LINK)
    assert redeem(anyone, "unknown") == (400, INVALID_LINK)
    assert SignIn.objects.filter(method="sso_recovery").count() == 1


def test_trying_links_is_limited(anyone, locked_out):
    statuses = [redeem(anyone, f"guess {n}")[0] for n in range(21)]

    assert statuses == [400] * 20 + [429]


@pytest.mark.django_db(transaction=True)
def test_of_many_at_once_one_is_signed_in(server, anyone, locked_out):
    token = a_link(anyone)

    answers = at_once(12, lambda _: call(server, "POST", REDEEM, {"token": token}))

    assert Counter(answer.status for answer in answers) == {200: 1, 400: 11}
    assert SignIn.objects.filter(method="sso_recovery").count() == 1


# --- A second factor


@pytest.fixture
def totp(locked_out: Actor) -> pyotp.TOTP:
    """The second factor of Alice."""
    secret = pyotp.random_base32()
    User.objects.filter(id=locked_out.user.id).update(
        totp_secret=encrypt(secret), totp_confirmed_at=timezone.now(), totp_last_step=0
    )
    return pyotp.TOTP(secret)


def wrong(totp: pyotp.TOTP) -> str:
    near = {totp.at(time.time() + 30 * steps) for steps in range(-3, 4)}
    return next(code for code in map("{:06}".format, range(10)) if code not in near)


def test_a_mistyped_code_does_not_cost_the_link(anyone, locked_out, totp):
    token = a_link(anyone)

    missing, mistyped = redeem(anyone, token), redeem(anyone, token, otp=wrong(totp))
    right = redeem(anyone, token, otp=totp.now())

    assert (missing[0], missing[1]["error_code"]) == (401, "otp_required")
    assert (mistyped[0], mistyped[1]["error_code"]) == (401, "invalid_otp")
    assert (right[0], SsoRecovery.objects.count()) == (200, 0)


def test_guessing_codes_is_limited_by_account(anyone, locked_out, totp):
    token = a_link(anyone)
    tries = [
        APIClient(REMOTE_ADDR=f"192.0.2.{n}").post(REDEEM, {"token": token, "otp": wrong(totp)}, format="json")
        for n in range(21)
    ]

    assert [answer.status_code for answer in tries] == [401] * 20 + [429]
    assert redeem(anyone, token, otp=totp.now())[0] == 429  # also the right one
    assert SsoRecovery.objects.count() == 1


def test_a_workspace_that_requires_a_second_factor_does_not_lock_out_who_has_none(anyone, locked_out, acme):
    Workspace.objects.filter(id=acme.id).update(requires_second_factor=True)

    status, body = redeem(anyone, a_link(anyone))

    assert (status, principal_of(body["access_token"]).scopes) == (200, RECOVERY_SCOPES)


# --- What it may do


def principal_of(access_token: str) -> Any:
    raw = APIRequestFactory().post("/", HTTP_AUTHORIZATION=f"Bearer {access_token}")
    return Request(raw, authenticators=[JWTAuthentication()]).auth


def test_it_may_repair_single_sign_on_and_nothing_else(anyone, locked_out, acme):
    second = make_workspace("second")
    Membership.objects.create(user=locked_out.user, workspace=second, role="owner")
    token = redeem(anyone, a_link(anyone))[1]["access_token"]
    client = bearer(token)

    principal = principal_of(token)
    assert (principal.is_recovery, principal.scopes) == (True, RECOVERY_SCOPES)
    key = client.post("/api/v1/account/api-keys", {"name": "a key"}, format="json")
    assert (key.status_code, key.json()) == (
        403,
        {
            "detail": "Insufficient permissions: api_keys:write is beyond a recovery link, which only repairs single "
            "sign-on. Repair it, then sign in with it.",
            "error_code": "insufficient_permissions",
        },
    )
    moved = client.post("/api/v1/workspaces/select", {"workspace_id": str(second.id)}, format="json")
    assert (moved.status_code, moved.json()["error_code"]) == (403, "insufficient_permissions")
    assert principal.is_confined


def test_renewing_it_does_not_extend_it(anyone, locked_out, acme):
    pair = redeem(anyone, a_link(anyone))[1]
    SignIn.objects.filter(method="sso_recovery").update(expires_at=F("expires_at") - timedelta(minutes=50))

    renewed = anyone.post(REFRESH, {"refresh_token": pair["refresh_token"]}, format="json").json()

    assert renewed["expires_in"] <= 600
    assert principal_of(renewed["access_token"]).is_recovery


@pytest.mark.parametrize("change", [{"role": "manager"}, None])
def test_who_does_not_own_the_workspace_any_more_repairs_nothing(anyone, locked_out, change):
    token = redeem(anyone, a_link(anyone))[1]["access_token"]
    assert SSO_MANAGE in principal_of(token).scopes
    membership = Membership.objects.filter(user=locked_out.user)

    if change:
        membership.update(**change)
        assert SSO_MANAGE not in principal_of(token).scopes
    else:
        membership.delete()
        assert bearer(token).get("/api/v1/auth/me").status_code == 401


def test_it_can_end_the_demand_and_the_password_works_again(anyone, locked_out):
    token = redeem(anyone, a_link(anyone))[1]["access_token"]
    raw = APIRequestFactory().post("/", HTTP_AUTHORIZATION=f"Bearer {token}")

    lift(Request(raw, authenticators=[JWTAuthentication()]))

    login = {"email": "alice@acme.test", "password": PASSWORD}
    assert anyone.post("/api/v1/auth/login", login, format="json").status_code == 200


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        (ASK, {"email": "alice@acme.test"}, "workspace_slug"),
        (ASK, {"workspace_slug": "acme"}, "email"),
        (ASK, {"email": "no address", "workspace_slug": "acme"}, "email"),
        (ASK, {"email": "alice@acme.test", "workspace_slug": ["acme"]}, "workspace_slug"),
        (REDEEM, {}, "token"),
        (REDEEM, {"token": {"$ne": ""}}, "token"),
        (REDEEM, {"token": "x" * 1001}, "token"),
    ],
)
def test_a_body_that_cannot_be_read_names_the_field(anyone, db, path, body, field):
    response = anyone.post(path, body, format="json")

    assert (response.status_code, list(response.json()["details"])) == (422, [field])


def test_the_secret_is_stored_as_a_digest_and_stands_in_no_log(anyone, locked_out, caplog):
    token = a_link(anyone)
    redeem(anyone, token)

    assert not re.search(re.escape(token), caplog.text)
    assert token not in str(list(AuditEvent.objects.values()))
