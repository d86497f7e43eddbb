"""Settings / Security: password, email address, second factor and linked accounts."""

import re

import pytest
from django.test import Client
from social_django.models import UserSocialAuth

from accounts.models import MailedToken, RecoveryCode, SignIn, User
from dashboard import session
from tests.support.cast import PASSWORD, Actor
from tests.support.mails import delivered
from tests.support.pages import age_session, fill_in, signed_in
from tests.support.totp import code, enrol, wait_for_an_early_moment, wrong_code

PLACE = "/settings/security"
FACTOR = f"{PLACE}/second-factor"
NEW_PASSWORD = "another horse battery"
SECRET = re.compile(r'<code id="secret">([A-Z2-7]{32})</code>')
CODES = re.compile(r"(?m)(?:^|>)([a-z2-9]{4}(?:-[a-z2-9]{4}){3})(?=$|<)")


@pytest.fixture
def page(alice: Actor) -> Client:
    return signed_in(alice)


@pytest.fixture
def early() -> None:
    wait_for_an_early_moment()


def link(actor: Actor, provider: str = "google") -> UserSocialAuth:
    return UserSocialAuth.objects.create(user=actor.user, provider=provider, uid=f"{provider}-{actor.user.id}")


def test_the_overview_says_what_there_is(page: Client, alice: Actor):
    link(alice)
    link(alice, "saml-AAAAAAAAAAAAAAAAAAAAAA")

    text = page.get(PLACE).content.decode()

    assert "alice@acme.test" in text and "Verified" in text and "Google" in text and "Single sign-on" in text
    assert f'href="{PLACE}/accounts/google/disconnect"' in text and "/accounts/saml-" not in text
    assert f'href="{FACTOR}"' in text and f'href="{FACTOR}/remove"' not in text


def test_the_password_is_changed_and_other_sign_ins_end(page: Client, alice: Actor):
    alice.sign_in_again()

    answer = page.post(f"{PLACE}/password", {"current_password": PASSWORD, "new_password": NEW_PASSWORD}, follow=True)

    alice.user.refresh_from_db()
    assert answer.redirect_chain == [(PLACE, 302)] and b"Your password is changed." in answer.content
    assert alice.user.check_password(NEW_PASSWORD)
    assert [row.id for row in SignIn.objects.live().filter(user=alice.user)] == [alice.sign_in_id]
    assert [mail.to for mail in delivered() if "password" in mail.subject] == [["alice@acme.test"]]


def test_a_wrong_or_weak_password_changes_nothing(page: Client, alice: Actor):
    wrong = page.post(f"{PLACE}/password", {"current_password": "wrong horse", "new_password": NEW_PASSWORD})
    weak = page.post(f"{PLACE}/password", {"current_password": PASSWORD, "new_password": "password"})

    assert wrong.status_code == 400 and b"The current password is wrong." in wrong.content
    assert weak.status_code == 422 and b'id="id_new_password-errors"' in weak.content
    for answer in (wrong, weak):
        assert not {PASSWORD, "wrong horse", NEW_PASSWORD} & set(
            re.findall(r'value="([^"]*)"', answer.content.decode())
        )
    alice.user.refresh_from_db()
    assert alice.user.check_password(PASSWORD)


def test_guesses_are_limited_as_in_the_api(page: Client, alice: Actor):
    form = {"current_password": "wrong", "new_password": NEW_PASSWORD}
    for _ in range(15):
        assert page.post(f"{PLACE}/password", form).status_code == 400

    answer = page.post(f"{PLACE}/password", {**form, "current_password": PASSWORD})

    assert answer.status_code == 429
    wait = int(answer["Retry-After"])
    words = f"{wait} seconds?" if wait < 90 else f"{-(-wait // 60)} minutes"
    assert re.search(f"That was too often. Wait {words}, then try again.", answer.content.decode())
    assert page.post(f"{PLACE}/email", {"new_email": "a@b.test", "current_password": PASSWORD}).status_code == 429


def test_the_email_address_is_asked_to_change(page: Client, alice: Actor):
    form = {"new_email": " New@Acme.test", "current_password": PASSWORD}

    answer = page.post(f"{PLACE}/email", form, follow=True)

    assert answer.redirect_chain == [(PLACE, 302)] and b"A link is on its way to new@acme.test." in answer.content
    assert {mail.to[0] for mail in delivered()} == {"new@acme.test", "alice@acme.test"}
    alice.user.refresh_from_db()
    assert alice.user.email == "alice@acme.test"


def test_a_taken_address_is_answered_like_a_free_one(page: Client, bob: Actor):
    answers = [
        page.post(f"{PLACE}/email", {"new_email": address, "current_password": PASSWORD}, follow=True)
        for address in ("bob@acme.test", "rob@acme.test")
    ]

    said = [answer.content.decode().replace("bob@", "rob@") for answer in answers]
    token = re.compile(r'name="csrfmiddlewaretoken" value="\w+"')
    assert token.sub("", said[0]) == token.sub("", said[1])


def test_what_is_no_address_is_said_next_to_it(page: Client):
    answer = page.post(f"{PLACE}/email", {"new_email": "<script>", "current_password": PASSWORD})

    assert answer.status_code == 422 and b'id="id_new_email-errors"' in answer.content
    assert b'value="<script>' not in answer.content and not MailedToken.objects.exists()


def test_the_second_factor_is_set_up(early: None, page: Client, alice: Actor):
    alice.sign_in_again()
    assert b'name="current_password"' in page.get(FACTOR).content
    assert fill_in(page, FACTOR, {"current_password": "wrong"}).status_code == 400

    begun = fill_in(page, FACTOR, {"current_password": PASSWORD})

    [secret] = SECRET.findall(begun.content.decode())
    assert begun.status_code == 200 and begun["Cache-Control"] == "no-store"
    assert b'<svg class="qr" role="img"' in begun.content and b"style=" not in begun.content
    wrong = page.post(f"{FACTOR}/confirm", {"otp": wrong_code(secret)})
    assert wrong.status_code == 400 and secret not in wrong.content.decode() and b'<svg class="qr"' not in wrong.content

    done = page.post(f"{FACTOR}/confirm", {"otp": code(secret)})

    codes = CODES.findall(done.content.decode())
    assert done.status_code == 200 and done["Cache-Control"] == "no-store" and len(set(codes)) == 10
    assert SignIn.objects.live().filter(user=alice.user).count() == 1
    assert User.objects.get(id=alice.user.id).has_second_factor
    for path in (PLACE, FACTOR, f"{FACTOR}/confirm"):
        text = page.get(path).content.decode()
        assert not [shown for shown in (secret, *codes) if shown in text]
    kept = str(dict(page.session.items()))
    assert not [shown for shown in (secret, *codes) if shown in kept]


def test_recovery_codes_are_renewed_and_the_factor_removed(early: None, page: Client, alice: Actor):
    secret, old = enrol(alice)
    assert page.post(f"{PLACE}/recovery-codes", {"current_password": PASSWORD, "otp": "000000"}).status_code == 400

    renewed = page.post(f"{PLACE}/recovery-codes", {"current_password": PASSWORD, "otp": code(secret)})

    codes = CODES.findall(renewed.content.decode())
    assert len(set(codes)) == 10 and not set(codes) & set(old)
    assert page.post(f"{FACTOR}/remove", {"current_password": PASSWORD, "otp": old[0]}).status_code == 400
    assert page.post(f"{FACTOR}/remove", {"current_password": "wrong", "otp": codes[0]}).status_code == 400

    answer = page.post(f"{FACTOR}/remove", {"current_password": PASSWORD, "otp": codes[0].upper()}, follow=True)

    assert answer.redirect_chain == [(PLACE, 302)] and b"Your second factor is removed." in answer.content
    assert not User.objects.get(id=alice.user.id).has_second_factor
    assert not RecoveryCode.objects.filter(user=alice.user).exists()


def test_each_page_of_the_factor_says_where_it_does_not_apply(page: Client, alice: Actor):
    assert page.post(f"{FACTOR}/remove", {"current_password": PASSWORD, "otp": "000000"}).status_code == 409
    assert b"no second factor" in page.get(f"{PLACE}/recovery-codes").content
    assert b"no second factor" in page.get(f"{FACTOR}/remove").content
    User.objects.filter(id=alice.user.id).update(email_verified_at=None)
    assert b"Verify your email address first" in page.get(FACTOR).content
    assert fill_in(page, FACTOR, {"current_password": PASSWORD}).status_code == 403
    enrolled = User.objects.filter(id=alice.user.id)
    enrolled.update(email_verified_at="2026-01-01T00:00:00Z")
    enrol(alice)
    assert b"is on already" in page.get(FACTOR).content


def test_an_account_without_a_password_is_told_how_to_get_one(page: Client, alice: Actor):
    alice.user.set_unusable_password()
    alice.user.save()

    for path in ("password", "email", "second-factor"):
        text = page.get(f"{PLACE}/{path}").content.decode()
        assert 'href="/forgot-password"' in text and 'name="current_password"' not in text
    assert page.post(f"{PLACE}/password", {"current_password": "", "new_password": NEW_PASSWORD}).status_code == 422


def test_a_linked_account_is_disconnected_but_never_the_last_way_in(page: Client, alice: Actor):
    link(alice)
    path = f"{PLACE}/accounts/google/disconnect"
    assert b"Disconnect Google" in page.get(path).content

    answer = page.post(path, follow=True)

    assert answer.redirect_chain == [(PLACE, 302)] and b"Google is disconnected." in answer.content
    assert not UserSocialAuth.objects.exists()
    link(alice)
    alice.user.set_unusable_password()
    alice.user.save()
    refused = page.post(path)
    assert refused.status_code == 400 and b"Set a password first." in refused.content
    assert UserSocialAuth.objects.count() == 1
    assert b"only way in" in page.get(PLACE).content and path.encode() not in page.get(PLACE).content


@pytest.mark.parametrize("provider", ["google", "apple", "saml-AAAAAAAAAAAAAAAAAAAAAA", "nobody"])
def test_what_is_not_linked_is_not_there(page: Client, bob: Actor, provider: str):
    link(bob, provider)

    assert page.get(f"{PLACE}/accounts/{provider}/disconnect").status_code == 404
    assert page.post(f"{PLACE}/accounts/{provider}/disconnect").status_code in (400, 404)
    assert UserSocialAuth.objects.filter(user=bob.user).count() == 1


@pytest.mark.parametrize("path", ["email", "accounts/google/disconnect"])
def test_what_changes_the_ways_in_wants_a_fresh_proof(page: Client, alice: Actor, path: str):
    link(alice)
    age_session(page, session.FRESH_FOR + 1)
    form = {"new_email": "new@acme.test", "current_password": PASSWORD}

    for answer in (page.get(f"{PLACE}/{path}"), page.post(f"{PLACE}/{path}", form)):
        assert answer["Location"].startswith("/confirm?next=%2Fsettings%2Fsecurity%2F")
    assert UserSocialAuth.objects.exists() and not MailedToken.objects.exists()


PATHS = ["password", "email", "accounts/google/disconnect", "second-factor", "second-factor/confirm"]
PATHS += ["second-factor/remove", "recovery-codes"]


@pytest.mark.parametrize("path", PATHS)
def test_forms_from_elsewhere_and_of_nobody_are_refused(alice: Actor, path: str):
    link(alice)
    form = {"current_password": PASSWORD, "new_password": NEW_PASSWORD, "new_email": "new@acme.test", "otp": "000000"}

    assert signed_in(alice, enforce_csrf_checks=True).post(f"{PLACE}/{path}", form).status_code == 403
    assert Client().post(f"{PLACE}/{path}", form)["Location"].startswith("/sign-in?next=")
    user = User.objects.get(id=alice.user.id)
    assert user.check_password(PASSWORD) and user.totp_secret == "" and UserSocialAuth.objects.exists()
