"""The pages where mailed links lead, and those that ask for a mail."""

from collections.abc import Callable
from urllib.parse import urlsplit

import pytest
from django.core import mail
from django.test import Client

from accounts.email_ownership import ask_for_new_email
from accounts.models import MailedToken, SignIn, User
from accounts.outbox import enqueue
from accounts.throttles import FORGOT_BY_EMAIL, LINK_BY_TOKEN, SIGNUP_BY_EMAIL
from tests.support.cast import PASSWORD, Actor
from tests.support.entrance import enter_password, is_signed_in, link_in, open_link, visitor, without_tokens
from tests.support.mails import delivered, delivered_to
from tests.support.pages import signed_in
from tests.support.required_sso import demand

NEW_PASSWORD = "a new and longer password"
FORM = {"email": "new@person.test", "password": NEW_PASSWORD, "name": "New", "company": ""}


def verification(actor: Actor) -> str:
    User.objects.filter(id=actor.user.id).update(email_verified_at=None)
    enqueue("verify_email", email=actor.user.email)
    return link_in(delivered_to(actor.user.email).body)


def reset(actor: Actor) -> str:
    enqueue("reset_password", email=actor.user.email)
    return link_in(delivered_to(actor.user.email).body)


def change(actor: Actor) -> str:
    ask_for_new_email(actor.request(), "moved@acme.test", PASSWORD)
    return link_in(delivered_to("moved@acme.test").body)


LINKS = pytest.mark.parametrize("make", [verification, reset, change])


@LINKS
def test_opening_a_link_changes_nothing_and_leaks_nothing(alice: Actor, make: Callable[[Actor], str]):
    link = make(alice)
    secret = link.split("token=")[1]
    before = User.objects.values().get(id=alice.user.id)

    for browser in (visitor(), visitor()):  # a mail scanner, then the person
        page = open_link(browser, link)

        assert page.status_code == 200 and secret.encode() not in page.content
        assert page["Referrer-Policy"] == "no-referrer" and page["Cache-Control"] == "no-store"
    assert User.objects.values().get(id=alice.user.id) == before
    assert MailedToken.objects.count() == 1


@LINKS
def test_a_link_that_does_not_hold_says_what_to_do(alice: Actor, make: Callable[[Actor], str]):
    path = urlsplit(make(alice)).path
    browser = visitor()

    assert browser.get(path).status_code == 400
    assert b"This link is incomplete" in browser.get(path, {"token": ""}).content
    assert browser.get(path, {"token": "x" * 5000}).status_code == 400
    open_link(browser, f"http://localhost{path}?token=wrong")
    answer = browser.post(path, {"password": NEW_PASSWORD})

    assert answer.status_code == 400 and b"invalid, expired or already used" in answer.content
    assert MailedToken.objects.count() == 1


@LINKS
def test_a_form_without_our_token_is_refused(alice: Actor, make: Callable[[Actor], str]):
    link = make(alice)
    browser = Client(SERVER_NAME="localhost", enforce_csrf_checks=True)
    open_link(browser, link)

    assert browser.post(urlsplit(link).path, {"password": NEW_PASSWORD}).status_code == 403
    assert MailedToken.objects.count() == 1


@LINKS
def test_tries_with_one_link_are_limited_as_in_the_api(alice: Actor, make: Callable[[Actor], str]):
    path = urlsplit(make(alice)).path
    browser = visitor()
    open_link(browser, f"http://localhost{path}?token=wrong")
    for _ in range(int(LINK_BY_TOKEN.rate.split("/")[0])):
        assert browser.post(path, {"password": NEW_PASSWORD}).status_code == 400

    answer = browser.post(path, {"password": NEW_PASSWORD})

    assert answer.status_code == 429 and int(answer["Retry-After"]) > 0


def test_verifying_takes_a_press_of_the_button(alice: Actor):
    browser = signed_in(alice, SERVER_NAME="localhost")
    open_link(browser, verification(alice))

    answer = browser.post("/verify-email")

    assert answer["Location"] == "/"
    assert b"Your email address is verified." in browser.get("/settings/profile").content
    assert User.objects.get(id=alice.user.id).email_verified_at is not None
    assert browser.get("/verify-email").status_code == 400  # the link is spent, and forgotten


def test_verifying_without_being_signed_in_leads_to_the_sign_in(alice: Actor):
    browser = visitor()
    open_link(browser, verification(alice))

    answer = browser.post("/verify-email", follow=True)

    assert answer.request["PATH_INFO"] == "/sign-in" and b"Your email address is verified." in answer.content


def test_a_new_password_signs_in_and_ends_what_was_there(alice: Actor):
    browser, elsewhere = visitor(), signed_in(alice, SERVER_NAME="localhost")
    open_link(browser, reset(alice))
    weak = browser.post("/reset-password", {"password": "short"})
    assert weak.status_code == 422 and b"id_password-errors" in weak.content

    answer = browser.post("/reset-password", {"password": NEW_PASSWORD}, follow=True)

    assert answer.request["PATH_INFO"] == "/sign-in" and b"Your password is changed." in answer.content
    assert not SignIn.objects.live().exists() and not is_signed_in(elsewhere)
    assert enter_password(browser, alice.user.email).status_code == 401
    assert enter_password(browser, alice.user.email, NEW_PASSWORD).status_code == 302


def test_a_changed_address_signs_in(alice: Actor):
    browser = visitor()
    open_link(browser, change(alice))

    answer = browser.post("/confirm-email-change", follow=True)

    assert answer.request["PATH_INFO"] == "/sign-in" and b"Sign in with the new one." in answer.content
    assert enter_password(browser, "moved@acme.test").status_code == 302


def test_required_single_sign_on_leads_there(alice: Actor):
    browser = visitor()
    link = reset(alice)
    demand(alice.workspace)
    open_link(browser, link)

    for path, form in (
        ("/forgot-password", {"email": "nobody@acme.test"}),
        ("/sign-up", FORM | {"email": "nobody@acme.test"}),
        ("/reset-password", {"password": NEW_PASSWORD}),
    ):
        assert browser.post(path, form)["Location"] == "/sign-in/sso/acme", path
    assert delivered() == []


# --- Asking for a mail


def test_forgetting_a_password_answers_alike_whoever_asks(alice: Actor):
    User.objects.create_user("paused@acme.test", PASSWORD, is_active=False)
    User.objects.create_user("nopass@acme.test", None)
    seen = set()
    for email in (alice.user.email, "paused@acme.test", "nopass@acme.test", "nobody@acme.test"):
        browser = visitor()
        answer = browser.post("/forgot-password", {"email": email})
        page = browser.get(answer["Location"])
        seen.add((answer.status_code, answer["Location"], answer.content, without_tokens(page.content)))

    assert len(seen) == 1
    assert b"If this address has an account" in page.content
    assert {sent.to[0] for sent in delivered()} == {alice.user.email, "nopass@acme.test"}


def test_signing_up_answers_alike_whoever_has_the_address(alice: Actor):
    seen = set()
    for email in (alice.user.email, "new@person.test"):
        browser = visitor()
        answer = browser.post("/sign-up", FORM | {"email": email})
        page = browser.get(answer["Location"])
        seen.add((answer.status_code, answer["Location"], without_tokens(page.content)))

    assert len(seen) == 1
    assert User.objects.get(email="new@person.test").name == "New"
    assert alice.user.name == User.objects.get(email=alice.user.email).name
    subjects = {sent.to[0]: sent.subject for sent in delivered()}
    assert subjects == {alice.user.email: "You already have an account", "new@person.test": "Verify your email address"}


def test_a_new_account_signs_in_and_verifies(db: None):
    browser = visitor()
    browser.post("/sign-up", FORM)
    assert enter_password(browser, "new@person.test", NEW_PASSWORD)["Location"] == "/"

    open_link(browser, link_in(delivered_to("new@person.test").body))
    browser.post("/verify-email")

    assert User.objects.get(email="new@person.test").email_verified_at is not None and is_signed_in(browser)


def test_a_closed_signup_is_offered_nowhere(db: None, settings):
    places = ("/", "/sign-in")
    offered = [visitor().get(path).content for path in places]
    settings.SIGNUP_IS_OPEN = False

    closed = [visitor().get(path).content for path in places]

    assert all(b"Create an account" in text for text in offered)
    assert not any(b"Create an account" in text or b"/sign-up" in text for text in closed)
    assert b"Ask the owner of a workspace for an invitation" in closed[1]


def test_a_closed_signup_says_so(db: None, settings):
    settings.SIGNUP_IS_OPEN = False
    browser = visitor()

    page, answer = browser.get("/sign-up"), browser.post("/sign-up", FORM)

    assert b"Signup is closed here" in page.content and b"<input" not in page.content.split(b"<main")[1]
    assert answer.status_code == 403 and not User.objects.exists()
    assert answer.content.count(b"Signup is closed here") == 1


@pytest.mark.parametrize("field", ["email", "password"])
def test_what_is_missing_is_said_next_to_the_field(db: None, field: str):
    answer = visitor().post("/sign-up", FORM | {field: "", "name": "<script>alert(1)</script>"})

    text = answer.content.decode()
    assert answer.status_code == 422 and f'id="id_{field}-errors"' in text
    assert "<script>alert" not in text and "&lt;script&gt;alert" in text
    assert NEW_PASSWORD not in text


@pytest.mark.parametrize(
    ("path", "form", "limit"),
    [("/forgot-password", {"email": "a@b.test"}, FORGOT_BY_EMAIL), ("/sign-up", FORM, SIGNUP_BY_EMAIL)],
)
@pytest.mark.usefixtures("standing_clock")
def test_asking_is_limited_as_in_the_api(db: None, path: str, form: dict[str, str], limit):
    browser = visitor()
    for _ in range(int(limit.rate.split("/")[0])):
        assert browser.post(path, form).status_code == 302

    answer = browser.post(path, form)

    assert answer.status_code == 429 and int(answer["Retry-After"]) > 0
    assert b", then try again" in answer.content
    assert mail.outbox == []
