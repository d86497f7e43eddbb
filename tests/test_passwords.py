"""Replacing a password: with a mailed link, and by whoever knows it. The old one works no more, nor what it began."""

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone
from rest_framework.test import APIClient

from accounts import mailed_tokens
from accounts.models import AuditEvent, MailedToken, OutgoingMail, SignIn, User
from accounts.password_changes import reset_password
from accounts.principal import Client
from tests.support.cast import PASSWORD, Actor, bearer
from tests.support.mails import delivered, delivered_to, secret_in
from tests.support.race import Answer, at_once, call

FORGOT = "/api/v1/auth/forgot-password"
CONFIRM = "/api/v1/auth/password-reset/confirm"
CHANGE = "/api/v1/auth/change-password"
LOGIN = "/api/v1/auth/login"
NEW = "an entirely new password"
ASKED = {"message": "If this address has an account, a link for a new password is on its way to it.", "success": True}
INVALID_LINK = {
    "detail": "This link is invalid, expired or already used. Ask for a new one.",
    "error_code": "invalid_link",
}


def forgot(client: APIClient, email: Any = "alice@acme.test", path: str = FORGOT) -> Any:
    return client.post(path, {"email": email}, format="json")


def confirm(client: APIClient, token: Any, password: Any = NEW) -> Any:
    return client.post(CONFIRM, {"token": token, "password": password}, format="json")


def log_in(client: APIClient, password: str) -> int:
    status: int = client.post(LOGIN, {"email": "alice@acme.test", "password": password}, format="json").status_code
    return status


def mailed_secret(actor: Actor, purpose: str = "reset_password") -> str:
    return mailed_tokens.make(actor.user, purpose, actor.user.email)


# --- Asking for a link


@pytest.mark.parametrize("path", [FORGOT, "/api/v1/auth/password-reset"])
def test_a_forgotten_password_is_replaced_by_a_mailed_link(anyone, alice: Actor, settings, path):
    asked = forgot(anyone, "  ALICE@acme.test", path)
    sent = delivered_to("alice@acme.test")

    response = confirm(anyone, secret_in(sent.body))

    assert (asked.status_code, asked.json()) == (200, ASKED)
    assert f"{settings.PUBLIC_URL}/reset-password?token=" in sent.body
    assert "ignore this mail: your password stays as it is." in sent.body
    assert (response.status_code, response.json()) == (
        200,
        {"message": "Your password is changed. Sign in with it.", "success": True},
    )
    assert "spatialflow_refresh" not in response.cookies
    assert delivered_to("alice@acme.test").subject == "Your password was changed"
    assert (log_in(anyone, PASSWORD), log_in(anyone, NEW)) == (401, 200)


def test_whether_there_is_an_account_shows_nowhere(anyone, alice):
    User.objects.create_user("inactive@acme.test", PASSWORD, is_active=False)
    emails = ["alice@acme.test", "nobody@acme.test", "inactive@acme.test"]

    answers = [forgot(anyone, email) for email in emails]

    assert {(answer.status_code, answer.content) for answer in answers} == {(200, answers[0].content)}
    headers = [
        {k: v for k, v in answer.headers.items() if k not in ("RateLimit-Reset", "X-Request-ID")} for answer in answers
    ]
    assert headers[0] == headers[1] == headers[2]
    assert OutgoingMail.objects.count() == 3
    assert [sent.to for sent in delivered()] == [["alice@acme.test"]]


def test_a_look_alike_address_gets_nothing(anyone, alice):
    response = forgot(anyone, "аlice@acme.test")  # the first letter is Cyrillic

    assert response.status_code == 422
    assert delivered() == []


@pytest.mark.parametrize("verified_at", [None, timezone.now()])
def test_an_account_without_a_password_sets_one_verified_or_not(anyone, db, verified_at):
    User.objects.create_user("sso@acme.test", None, email_verified_at=verified_at)

    assert forgot(anyone, "sso@acme.test").json() == ASKED

    [sent] = delivered()
    assert "ignore this mail: your account stays without a password." in sent.body


def test_asking_twice_makes_the_first_link_worthless(anyone, alice):
    links = []
    for _ in range(2):
        forgot(anyone)
        links.append(secret_in(delivered_to("alice@acme.test").body))

    first = confirm(anyone, links[0])

    assert (first.status_code, first.json()) == (400, INVALID_LINK)
    assert confirm(anyone, links[1]).status_code == 200


def test_three_links_an_hour_for_one_address_and_ten_from_one(anyone, alice):
    one_address = [
        forgot(anyone, spelling).status_code for spelling in ("a@x.test", "A@x.test", " a@x.test", "a@x.test")
    ]
    rest = [forgot(anyone, f"p{n}@x.test", "/api/v1/auth/password-reset").status_code for n in range(7)]
    refused = forgot(anyone)

    assert (one_address, rest) == ([200, 200, 200, 429], [200] * 7)
    assert (refused.status_code, refused.json()["limit"]) == (429, 10)
    assert OutgoingMail.objects.count() == 10


@pytest.mark.parametrize(
    "email", [None, "", 7, ["a@x.test"], {"a": 1}, "no address", "x" * 5000, "a@x.test\nBcc: b@x.test"]
)
def test_what_is_no_address_is_refused(anyone, db, email):
    response = forgot(anyone, email)

    assert (response.status_code, list(response.json()["details"])) == (422, ["email"])
    assert OutgoingMail.objects.count() == 0


# --- Following it


def test_a_reset_ends_every_sign_in_and_verifies_the_address(anyone, alice):
    User.objects.filter(id=alice.user.id).update(email_verified_at=None)
    alice.sign_in_again()

    confirm(anyone, mailed_secret(alice))

    assert set(SignIn.objects.values_list("revoked_reason", flat=True)) == {"password_changed"}
    assert alice.client.get("/api/v1/auth/me").status_code == 401
    refresh = anyone.post("/api/v1/auth/refresh", {"refresh_token": alice.pair.refresh_token}, format="json")
    assert refresh.status_code == 401
    assert User.objects.get(id=alice.user.id).email_verified_at is not None
    event = AuditEvent.objects.get(action="account.password_reset")
    assert (event.actor_id, event.actor_email, event.workspace_id) == (
        alice.user.id,
        "alice@acme.test",
        alice.workspace.id,
    )
    assert event.changes == {"sign_ins_ended": 2}


def test_a_link_works_once(anyone, alice):
    secret = mailed_secret(alice)

    assert confirm(anyone, secret).status_code == 200

    again = confirm(anyone, secret, "yet another password")
    assert (again.status_code, again.json()) == (400, INVALID_LINK)
    assert log_in(anyone, NEW) == 200


def test_a_weak_password_leaves_the_link_unspent(anyone, alice):
    secret = mailed_secret(alice)

    weak = confirm(anyone, secret, "alice@acme.test")

    assert (weak.status_code, list(weak.json()["details"])) == (422, ["password"])
    assert (log_in(anyone, PASSWORD), confirm(anyone, secret).status_code) == (200, 200)


@pytest.mark.parametrize("secret", ["", "x", "x" * 200])
def test_an_unknown_link_is_refused_before_the_password_is_looked_at(anyone, alice, secret):
    response = confirm(anyone, secret or "x", "weak")

    assert (response.status_code, response.json()) == (400, INVALID_LINK)


@pytest.mark.parametrize("token", [None, 5.5, ["x"], {"a": 1}, "", "x" * 201])
def test_what_is_no_link_names_the_field(anyone, db, token):
    response = confirm(anyone, token)

    if token == 5.5:  # a number is taken as its text
        assert response.json() == INVALID_LINK
    else:
        assert (response.status_code, list(response.json()["details"])) == (422, ["token"])


def test_links_end_after_an_hour(anyone, alice):
    secret = mailed_secret(alice)
    row = MailedToken.objects.get()
    assert row.expires_at - row.created_at == timedelta(hours=1)

    MailedToken.objects.update(expires_at=timezone.now())

    assert confirm(anyone, secret).json() == INVALID_LINK
    MailedToken.objects.update(expires_at=timezone.now() + timedelta(seconds=60))
    assert confirm(anyone, secret).status_code == 200


@pytest.mark.parametrize("change", [{"is_active": False}, {"email": "moved@acme.test"}])
def test_a_link_ends_with_what_it_was_for(anyone, alice, change):
    secret = mailed_secret(alice)
    User.objects.filter(id=alice.user.id).update(**change)

    assert confirm(anyone, secret).json() == INVALID_LINK

    User.objects.filter(id=alice.user.id).update(is_active=True, email="alice@acme.test")
    assert confirm(anyone, secret).status_code == 200


def test_a_link_of_another_kind_sets_no_password(anyone, alice):
    for purpose in ("verify_email", "change_email"):
        assert confirm(anyone, mailed_secret(alice, purpose)).json() == INVALID_LINK

    assert confirm(anyone, mailed_secret(alice)).status_code == 200


def test_only_a_digest_of_the_secret_is_kept(anyone, alice):
    forgot(anyone)
    [waiting] = OutgoingMail.objects.all()
    secret = secret_in(delivered_to("alice@acme.test").body)

    assert "alice" not in waiting.parameters
    assert bytes(MailedToken.objects.get().digest) == mailed_tokens.digest(secret)
    assert len(secret) >= 43


def test_weak_passwords_use_up_no_try_with_a_link(anyone, alice):
    secret = mailed_secret(alice)

    weak = [confirm(anyone, secret, "weak").status_code for _ in range(8)]

    assert weak == [422] * 8
    assert confirm(anyone, secret).status_code == 200


def test_five_tries_an_hour_with_one_link_and_twenty_from_one_address(anyone, db):
    one_link = [confirm(anyone, "guess").status_code for _ in range(6)]
    rest = [confirm(anyone, f"guess {n}").status_code for n in range(15)]

    assert one_link == [400] * 5 + [429]
    assert rest == [400] * 15
    assert confirm(anyone, "another").json()["limit"] == 20


# --- Changing it


def change(client: APIClient, current: Any = PASSWORD, new: Any = NEW) -> Any:
    return client.post(CHANGE, {"current_password": current, "new_password": new}, format="json")


def test_a_change_keeps_this_sign_in_and_ends_the_others(anyone, alice):
    elsewhere = alice.sign_in_again()
    delivered()

    response = change(alice.client)

    assert (response.status_code, response.json()) == (
        200,
        {"message": "Your password is changed. Your other devices are signed out.", "success": True},
    )
    assert delivered_to("alice@acme.test").subject == "Your password was changed"
    assert alice.client.get("/api/v1/auth/me").status_code == 200
    assert bearer(elsewhere.access_token).get("/api/v1/auth/me").status_code == 401
    refreshed = anyone.post("/api/v1/auth/refresh", {"refresh_token": alice.pair.refresh_token}, format="json")
    assert refreshed.status_code == 200
    assert (log_in(anyone, PASSWORD), log_in(anyone, NEW)) == (401, 200)
    event = AuditEvent.objects.get(action="account.password_changed")
    assert (event.actor_id, event.workspace_id, event.changes) == (
        alice.user.id,
        alice.workspace.id,
        {"sign_ins_ended": 1},
    )


@pytest.mark.parametrize("current", [PASSWORD + "!", "", "x" * 5000, PASSWORD.upper()])
def test_a_wrong_current_password_changes_nothing(alice, current):
    elsewhere = alice.sign_in_again()

    response = change(alice.client, current)

    if current:
        assert (response.status_code, response.json()) == (
            400,
            {"detail": "The current password is wrong.", "error_code": "wrong_password"},
        )
    else:
        assert response.status_code == 422
    assert bearer(elsewhere.access_token).get("/api/v1/auth/me").status_code == 200
    assert OutgoingMail.objects.filter(kind="password_changed").count() == 0
    assert change(alice.client).status_code == 200


def test_a_weak_new_password_is_refused(anyone, alice):
    response = change(alice.client, new="alice@acme.test")

    assert (response.status_code, list(response.json()["details"])) == (422, ["new_password"])
    assert log_in(anyone, PASSWORD) == 200


@pytest.mark.parametrize("field", ["current_password", "new_password"])
@pytest.mark.parametrize("value", [None, ["x"], {"a": 1}, True])
def test_a_password_of_another_type_is_named(alice, field, value):
    body = {"current_password": PASSWORD, "new_password": NEW, field: value}

    response = alice.client.post(CHANGE, body, format="json")

    assert (response.status_code, list(response.json()["details"])) == (422, [field])


def test_keys_and_strangers_change_no_password(anyone, alice, acme_key):
    assert change(anyone).status_code == 401
    assert change(acme_key()).status_code == 403
    assert change(alice.client).status_code == 200


def test_a_change_makes_outstanding_links_worthless(anyone, alice):
    reset, move = mailed_secret(alice), mailed_secret(alice, "change_email")

    change(alice.client)

    assert confirm(anyone, reset).json() == INVALID_LINK
    moved = anyone.post("/api/v1/auth/change-email/confirm", {"token": move}, format="json")
    assert moved.json() == INVALID_LINK


def test_fifteen_tries_an_hour_at_ones_own_password(alice, bob):
    statuses = [change(alice.client, "wrong").status_code for _ in range(15)]

    refused = change(alice.client)

    assert statuses == [400] * 15
    assert (refused.status_code, refused.json()["limit"]) == (429, 15)
    assert change(bob.client).status_code == 200


# --- At the same moment


@pytest.mark.django_db(transaction=True)
def test_of_confirmations_of_one_link_at_once_one_wins(server, alice):
    secret = mailed_secret(alice)
    passwords = [f"the password of caller {index}" for index in range(5)]

    answers = at_once(5, lambda n: call(server, "POST", CONFIRM, {"token": secret, "password": passwords[n]}))

    assert Counter(answer.status for answer in answers) == {200: 1, 400: 4}
    winner = next(index for index, answer in enumerate(answers) if answer.status == 200)
    assert User.objects.get().check_password(passwords[winner])


@pytest.mark.django_db(transaction=True)
def test_of_changes_at_once_one_wins(server, alice):
    passwords = [f"the password of caller {index}" for index in range(6)]
    headers = {"Authorization": f"Bearer {alice.pair.access_token}"}

    def act(n: int) -> Answer:
        return call(server, "POST", CHANGE, {"current_password": PASSWORD, "new_password": passwords[n]}, headers)

    answers = at_once(6, act)

    assert Counter(answer.status for answer in answers) == {200: 1, 400: 5}
    winner = next(index for index, answer in enumerate(answers) if answer.status == 200)
    assert User.objects.get().check_password(passwords[winner])


@pytest.mark.django_db(transaction=True)
def test_a_login_by_the_old_password_cannot_overtake_its_reset(server, alice):
    """The login has checked the old password, and the reset has ended every sign-in, before either is done."""
    secret = mailed_secret(alice)
    login = {"email": alice.user.email, "password": PASSWORD}
    assert call(server, "POST", LOGIN, login).status == 200

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            reset_password(Client("192.0.2.1", ""), secret, NEW)
            answer = pool.submit(call, server, "POST", LOGIN, login)
            time.sleep(1.5)
        refused = answer.result()

    assert (refused.status, refused.body["error_code"]) == (401, "invalid_credentials")
    assert SignIn.objects.live().count() == 0
    assert call(server, "POST", LOGIN, login | {"password": NEW}).status == 200


@pytest.mark.django_db(transaction=True)
def test_after_a_reset_amid_logins_nothing_of_the_old_password_lives(server, alice):
    secret = mailed_secret(alice)
    login = {"email": alice.user.email, "password": PASSWORD}

    def act(n: int) -> Answer:
        if n == 0:
            return call(server, "POST", CONFIRM, {"token": secret, "password": NEW})
        return call(server, "POST", LOGIN, login)

    answers = at_once(12, act)

    assert answers[0].status == 200
    assert {answer.status for answer in answers[1:]} <= {200, 401}
    assert SignIn.objects.live().count() == 0


@pytest.mark.django_db(transaction=True)
def test_a_change_of_address_asked_for_with_the_old_password_cannot_overtake_its_reset(server, alice):
    secret = mailed_secret(alice)
    headers = {"Authorization": f"Bearer {alice.pair.access_token}"}
    body = {"new_email": "thief@evil.test", "current_password": PASSWORD}

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            reset_password(Client("192.0.2.1", ""), secret, NEW)
            answer = pool.submit(call, server, "POST", "/api/v1/auth/change-email", body, headers)
            time.sleep(1.5)
        refused = answer.result()

    assert (refused.status, refused.body["error_code"]) == (400, "wrong_password")
    assert MailedToken.objects.count() == 0
