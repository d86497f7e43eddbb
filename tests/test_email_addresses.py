"""Whose an address is: verifying it, asking for the mail again, and moving an account to another address."""

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from accounts import mailed_tokens
from accounts.models import AuditEvent, MailedToken, OutgoingMail, SignIn, User
from tests.support.cast import PASSWORD, Actor
from tests.support.mails import delivered, delivered_to, secret_in
from tests.support.race import at_once, call

VERIFY = "/api/v1/auth/verify-email"
RESENDS = ["/api/v1/auth/resend-verification", "/api/v1/auth/resend-verification-email"]
RESEND_OWN = "/api/v1/auth/resend-verification-authenticated"
CHANGE = "/api/v1/auth/change-email"
CONFIRM = "/api/v1/auth/change-email/confirm"
VERIFIED = {"message": "Your email address is verified.", "success": True, "email_verified": True}
RESENT = {
    "message": "If this address has an account that is not verified yet, a new link is on its way to it.",
    "success": True,
}
ASKED = {
    "message": "Follow the link in the mail to the new address within one hour; until then nothing changes.",
    "success": True,
}
MOVED = {"message": "Your email address is changed. Sign in with the new one.", "success": True}
INVALID_LINK = {
    "detail": "This link is invalid, expired or already used. Ask for a new one.",
    "error_code": "invalid_link",
}


@pytest.fixture
def unverified(alice: Actor) -> Actor:
    """Alice before she verified her address."""
    User.objects.filter(id=alice.user.id).update(email_verified_at=None)
    return alice


def post(client: APIClient, path: str, **body: Any) -> Any:
    return client.post(path, body, format="json")


def mailed_secret(actor: Actor, purpose: str = "verify_email", email: str | None = None) -> str:
    return mailed_tokens.make(actor.user, purpose, email or actor.user.email)


# --- Verifying


def test_a_link_verifies_once_and_the_trail_says_so(anyone, unverified):
    secret = mailed_secret(unverified)

    response = post(anyone, VERIFY, token=secret)

    assert (response.status_code, response.json()) == (200, VERIFIED)
    assert unverified.client.get("/api/v1/auth/me").json()["email_verified"] is True
    event = AuditEvent.objects.get(action="account.email_verified")
    assert (event.actor_id, event.actor_email, event.workspace_id) == (
        unverified.user.id,
        "alice@acme.test",
        unverified.workspace.id,
    )
    again = post(anyone, VERIFY, token=secret)
    assert (again.status_code, again.json()) == (400, INVALID_LINK)


def test_a_link_lives_for_a_day(anyone, unverified):
    secret = mailed_secret(unverified)
    row = MailedToken.objects.get()
    assert row.expires_at - row.created_at == timedelta(hours=24)

    MailedToken.objects.update(expires_at=timezone.now() - timedelta(minutes=1))

    assert post(anyone, VERIFY, token=secret).json() == INVALID_LINK
    MailedToken.objects.update(expires_at=timezone.now() + timedelta(seconds=60))
    assert post(anyone, VERIFY, token=secret).json() == VERIFIED


@pytest.mark.parametrize("change", [{"is_active": False}, {"email": "moved@acme.test"}])
def test_a_link_speaks_only_for_the_address_that_it_went_to(anyone, unverified, change):
    secret = mailed_secret(unverified)
    User.objects.filter(id=unverified.user.id).update(**change)

    assert post(anyone, VERIFY, token=secret).json() == INVALID_LINK

    assert User.objects.get(id=unverified.user.id).email_verified_at is None
    User.objects.filter(id=unverified.user.id).update(is_active=True, email="alice@acme.test")
    assert post(anyone, VERIFY, token=secret).json() == VERIFIED


def test_a_link_of_another_kind_verifies_nothing(anyone, unverified):
    for purpose in ("reset_password", "change_email"):
        assert post(anyone, VERIFY, token=mailed_secret(unverified, purpose)).json() == INVALID_LINK

    assert User.objects.get(id=unverified.user.id).email_verified_at is None
    assert post(anyone, VERIFY, token=mailed_secret(unverified)).json() == VERIFIED


def test_five_tries_an_hour_with_one_link_and_twenty_from_one_address(anyone, db):
    one_link = [post(anyone, VERIFY, token="guess").status_code for _ in range(6)]
    rest = [post(anyone, VERIFY, token=f"guess {n}").status_code for n in range(15)]

    assert (one_link, rest) == ([400] * 5 + [429], [400] * 15)
    assert post(anyone, VERIFY, token="another").json()["limit"] == 20


@pytest.mark.parametrize("token", [None, ["x"], {"a": 1}, "", "x" * 201, True])
def test_what_is_no_link_names_the_field(anyone, db, token):
    response = post(anyone, VERIFY, token=token)

    assert (response.status_code, list(response.json()["details"])) == (422, ["token"])


@pytest.mark.django_db(transaction=True)
def test_of_verifications_at_once_one_wins(server, unverified):
    secret = mailed_secret(unverified)

    answers = at_once(5, lambda _: call(server, "POST", VERIFY, {"token": secret}))

    assert Counter(answer.status for answer in answers) == {200: 1, 400: 4}
    assert AuditEvent.objects.filter(action="account.email_verified").count() == 1


# --- Asking for the mail again


@pytest.mark.parametrize("path", RESENDS)
def test_the_mail_comes_again_and_makes_the_first_link_worthless(anyone, unverified, path):
    first = mailed_secret(unverified)

    response = post(anyone, path, email="ALICE@acme.test ")

    second = secret_in(delivered_to("alice@acme.test").body)
    assert (response.status_code, response.json()) == (200, RESENT)
    assert post(anyone, VERIFY, token=first).json() == INVALID_LINK
    assert post(anyone, VERIFY, token=second).json() == VERIFIED


def test_whether_an_address_needs_verifying_shows_nowhere(anyone, unverified, bob):
    emails = ["alice@acme.test", "bob@acme.test", "nobody@acme.test"]

    answers = [post(anyone, RESENDS[0], email=email) for email in emails]

    assert {(answer.status_code, answer.content) for answer in answers} == {(200, answers[0].content)}
    headers = [
        {k: v for k, v in answer.headers.items() if k not in ("RateLimit-Reset", "X-Request-ID")} for answer in answers
    ]
    assert headers[0] == headers[1] == headers[2]
    assert [sent.to for sent in delivered()] == [["alice@acme.test"]]


def test_both_spellings_share_their_limits(anyone, db):
    one_address = [post(anyone, RESENDS[n % 2], email="a@x.test").status_code for n in range(4)]
    rest = [post(anyone, RESENDS[n % 2], email=f"p{n}@x.test").status_code for n in range(7)]

    assert (one_address, rest) == ([200, 200, 200, 429], [200] * 7)
    assert post(anyone, RESENDS[1], email="last@x.test").json()["limit"] == 10


def test_signed_in_the_mail_comes_again_until_the_address_is_verified(anyone, unverified):
    response = unverified.client.post(RESEND_OWN)
    sent = delivered_to("alice@acme.test")

    assert response.json() == {"message": "A new link is on its way to your email address.", "success": True}
    assert post(anyone, VERIFY, token=secret_in(sent.body)).json() == VERIFIED
    again = unverified.client.post(RESEND_OWN)
    assert again.json() == {"message": "Your email address is verified already.", "success": True}
    assert delivered() == []


def test_a_stranger_cannot_use_up_what_the_owner_may_ask_for(anyone, unverified):
    for _ in range(3):
        post(anyone, RESENDS[0], email="alice@acme.test")

    statuses = [unverified.client.post(RESEND_OWN).status_code for _ in range(4)]

    assert statuses == [200, 200, 200, 429]


# --- Moving to another address


def ask(actor: Actor, new_email: Any = "alice@new.test", current_password: Any = PASSWORD) -> Any:
    return post(actor.client, CHANGE, new_email=new_email, current_password=current_password)


def test_an_account_moves_when_the_link_at_the_new_address_is_followed(anyone, alice, settings):
    asked = ask(alice, " ALICE@new.TEST")
    to_new, to_old = sorted(delivered(), key=lambda sent: sent.to != ["alice@new.test"])
    unchanged = User.objects.get(id=alice.user.id).email

    response = post(anyone, CONFIRM, token=secret_in(to_new.body))

    assert (asked.status_code, asked.json(), unchanged) == (200, ASKED, "alice@acme.test")
    assert (to_new.to, to_old.to) == (["alice@new.test"], ["alice@acme.test"])
    assert f"{settings.PUBLIC_URL}/confirm-email-change?token=" in to_new.body
    assert "token=" not in to_old.body and "new.test" not in to_old.body
    assert (response.status_code, response.json()) == (200, MOVED)
    user = User.objects.get(id=alice.user.id)
    assert user.email == "alice@new.test" and user.email_verified_at > alice.user.email_verified_at
    assert delivered_to("alice@acme.test").subject == "Your email address was changed"
    log_in = {
        email: post(anyone, "/api/v1/auth/login", email=email, password=PASSWORD).status_code
        for email in ("alice@acme.test", "alice@new.test")
    }
    assert log_in == {"alice@acme.test": 401, "alice@new.test": 200}


def test_moving_ends_every_sign_in_and_every_other_link(anyone, alice):
    reset, verification = mailed_secret(alice, "reset_password"), mailed_secret(alice)
    move = mailed_secret(alice, "change_email", "alice@new.test")

    assert post(anyone, CONFIRM, token=move).json() == MOVED

    assert alice.client.get("/api/v1/auth/me").status_code == 401
    assert set(SignIn.objects.values_list("revoked_reason", flat=True)) == {"email_changed"}
    for path, body in {
        "/api/v1/auth/password-reset/confirm": {"token": reset, "password": "an entirely new password"},
        VERIFY: {"token": verification},
        CONFIRM: {"token": move},
    }.items():
        assert post(anyone, path, **body).json() == INVALID_LINK


def test_the_trail_keeps_both_addresses_where_they_can_be_erased(anyone, alice):
    ask(alice)
    to_new = delivered_to("alice@new.test")
    post(anyone, CONFIRM, token=secret_in(to_new.body))

    asked = AuditEvent.objects.get(action="account.email_change_asked")
    moved = AuditEvent.objects.get(action="account.email_changed")
    assert (asked.actor_email, asked.target_email) == ("alice@acme.test", None)
    assert (moved.actor_id, moved.actor_email) == (alice.user.id, "alice@acme.test")
    assert (moved.target_id, moved.target_email) == (alice.user.id, "alice@new.test")
    assert "test" not in f"{asked.description}{asked.changes}{moved.description}{moved.changes}"


def test_whether_the_new_address_has_an_account_is_only_told_to_it(anyone, alice, mallory):
    free = ask(alice)
    taken = ask(alice, "mallory@other.test")

    assert (taken.status_code, taken.content) == (free.status_code, free.content)
    to_mallory = delivered_to("mallory@other.test")
    assert to_mallory.subject == "This address has an account already"
    assert "token=" not in to_mallory.body


def test_an_address_that_was_taken_meanwhile_is_an_invalid_link(anyone, alice, mallory):
    secret = mailed_secret(alice, "change_email", "mallory@other.test")

    response = post(anyone, CONFIRM, token=secret)

    assert (response.status_code, response.json()) == (400, INVALID_LINK)
    assert User.objects.get(id=alice.user.id).email == "alice@acme.test"
    assert alice.client.get("/api/v1/auth/me").status_code == 200
    assert OutgoingMail.objects.count() == 0


def test_the_current_password_is_needed(alice):
    response = ask(alice, current_password="wrong")

    assert (response.status_code, response.json()["error_code"]) == (400, "wrong_password")
    assert (MailedToken.objects.count(), OutgoingMail.objects.count()) == (0, 0)
    assert ask(alice).json() == ASKED


def test_a_move_that_waits_can_be_seen_and_cancelled(anyone, alice, bob):
    nothing = {"new_email": None, "expires_at": None}
    assert alice.client.get(CHANGE).json() == nothing
    ask(alice)
    secret = secret_in(delivered_to("alice@new.test").body)

    seen = alice.client.get(CHANGE).json()
    assert (seen["new_email"], seen["expires_at"][:10] >= f"{timezone.now():%Y-%m-%d}") == ("alice@new.test", True)
    assert bob.client.get(CHANGE).json() == nothing
    assert bob.client.delete(CHANGE).status_code == 404

    assert alice.client.delete(CHANGE).status_code == 204

    assert alice.client.get(CHANGE).json() == nothing
    assert post(anyone, CONFIRM, token=secret).json() == INVALID_LINK
    assert AuditEvent.objects.latest("sequence").action == "account.email_change_cancelled"
    again = alice.client.delete(CHANGE)
    assert (again.status_code, again.json()["error_code"]) == (404, "no_change_pending")


def test_a_move_whose_link_has_expired_waits_no_more(alice):
    ask(alice)
    MailedToken.objects.update(expires_at=timezone.now() - timedelta(seconds=1))

    assert alice.client.get(CHANGE).json()["new_email"] is None
    assert alice.client.delete(CHANGE).status_code == 404


def test_the_present_address_is_refused(alice):
    response = ask(alice, "Alice@ACME.test")

    assert response.status_code == 422
    assert response.json()["details"] == {"new_email": ["This is the address of your account already."]}


def test_a_reset_of_the_password_takes_back_a_move_that_was_asked_for(anyone, alice):
    ask(alice, "thief@evil.test")
    reset = mailed_secret(alice, "reset_password")
    post(anyone, "/api/v1/auth/password-reset/confirm", token=reset, password="an entirely new password")

    to_thief = next(sent for sent in delivered() if sent.to == ["thief@evil.test"])
    response = post(anyone, CONFIRM, token=secret_in(to_thief.body))

    assert response.json() == INVALID_LINK
    assert User.objects.get(id=alice.user.id).email == "alice@acme.test"


def test_three_links_an_hour_to_one_new_address(alice, bob):
    statuses = [ask(alice).status_code for _ in range(3)]

    assert (statuses, ask(bob).status_code) == ([200, 200, 200], 429)
    assert ask(bob, "bob@new.test").status_code == 200


@pytest.mark.parametrize("new_email", [None, 5, ["a@x.test"], "no address", "а@x.test", "a@x.test\nBcc: b@x.test"])
def test_what_is_no_address_is_named(alice, new_email):
    response = ask(alice, new_email)

    assert (response.status_code, list(response.json()["details"])) == (422, ["new_email"])


def test_keys_and_strangers_move_no_account(anyone, alice, acme_key):
    body = {"new_email": "alice@new.test", "current_password": PASSWORD}

    assert post(anyone, CHANGE, **body).status_code == 401
    assert post(acme_key(), CHANGE, **body).status_code == 403
    assert ask(alice).status_code == 200


@pytest.mark.django_db(transaction=True)
def test_of_two_accounts_that_move_to_one_address_at_once_one_gets_it(server, alice, mallory):
    secrets = [mailed_secret(actor, "change_email", "prize@new.test") for actor in (alice, mallory)]

    answers = at_once(2, lambda n: call(server, "POST", CONFIRM, {"token": secrets[n]}))

    assert sorted(answer.status for answer in answers) == [200, 400]
    assert User.objects.filter(email="prize@new.test").count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_move_and_a_reset_at_once_are_one_after_the_other(server, alice):
    move, reset = mailed_secret(alice, "change_email", "alice@new.test"), mailed_secret(alice, "reset_password")

    def act(n: int) -> Any:
        if n:
            return call(server, "POST", CONFIRM, {"token": move})
        body = {"token": reset, "password": "an entirely new password"}
        return call(server, "POST", "/api/v1/auth/password-reset/confirm", body)

    answers = at_once(2, act)

    assert sorted(answer.status for answer in answers) == [200, 400]
    assert SignIn.objects.live().count() == 0
