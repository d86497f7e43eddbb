"""Replacing a password with a mailed link: the old one works no more, nor what it began."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from accounts import mailed_tokens
from accounts.models import AuditEvent, MailedToken, OutgoingMail, SignIn, User
from tests.support.cast import PASSWORD, Actor
from tests.support.mails import delivered, delivered_to, secret_in
from tests.support.passwords import INVALID_LINK, NEW, confirm, log_in, mailed_secret

FORGOT = "/api/v1/auth/forgot-password"
ASKED = {"message": "If this address has an account, a link for a new password is on its way to it.", "success": True}


def forgot(client: APIClient, email: Any = "alice@acme.test", path: str = FORGOT) -> Any:
    return client.post(path, {"email": email}, format="json")


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

    assert (response.status_code, list(response.json()["details"])) == (422, ["token"])


def test_links_end_after_an_hour(anyone, alice):
    secret = mailed_secret(alice)
    row = MailedToken.objects.get()
    assert row.expires_at - row.created_at == timedelta(hours=1)

    MailedToken.objects.update(expires_at=timezone.now() - timedelta(seconds=1))

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
