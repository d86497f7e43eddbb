"""Accepting an invitation on its page: who must prove what, and who is told what."""

from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.invitations import Issued, invite
from accounts.models import Invitation, Membership, SignIn, User, Workspace
from accounts.throttles import ACCEPT_BY_INVITATION
from tests.support.apple_provider import DANA, StandIn
from tests.support.cast import PASSWORD, Actor
from tests.support.entrance import is_signed_in, open_link, visitor
from tests.support.oauth import come_back
from tests.support.pages import signed_in
from tests.support.required_sso import demand
from tests.support.totp import code, enrol, wait_for_an_early_moment

pytest_plugins = ["tests.support.oauth_fixtures"]

NEWCOMER = "new@person.test"
PAGE = "/accept-invite"


@pytest.fixture
def issued(alice: Actor) -> Issued:
    return invite(alice.request(), NEWCOMER, "field_worker")


def role_of(email: str, workspace: Workspace) -> str | None:
    membership = Membership.objects.filter(user__email=email, workspace=workspace).first()
    return membership.role if membership else None


def test_the_page_says_who_invites_whom_to_what_and_the_link_leaves_the_address(issued: Issued, alice: Actor):
    Workspace.objects.filter(id=alice.workspace.id).update(name="<script>alert(1)</script>")
    browser = visitor()

    page = open_link(browser, issued.link)

    text = page.content.decode()
    assert page.status_code == 200 and page["Referrer-Policy"] == "no-referrer"
    assert alice.user.email in text and NEWCOMER in text and "field worker" in text
    assert "<script>alert" not in text and "&lt;script&gt;alert" in text
    assert issued.link.split("token=")[1] not in text


def test_a_newcomer_chooses_a_password(issued: Issued, alice: Actor):
    browser = visitor()
    open_link(browser, issued.link)
    assert browser.post(PAGE, {"password": ""}).status_code == 422
    assert browser.post(PAGE, {"password": "short"}).status_code == 422

    answer = browser.post(PAGE, {"password": PASSWORD})

    assert answer["Location"] == "/"
    assert role_of(NEWCOMER, alice.workspace) == "field_worker"
    assert b"Welcome to Acme." in browser.get("/settings/profile").content
    assert User.objects.get(email=NEWCOMER).check_password(PASSWORD)


def test_a_newcomer_may_do_without(issued: Issued, alice: Actor):
    browser = visitor()
    open_link(browser, issued.link)

    answer = browser.post(PAGE, {"passwordless": "1"})

    assert answer["Location"] == "/" and is_signed_in(browser)
    assert SignIn.objects.get(user__email=NEWCOMER).method == "invitation"


def test_an_account_that_exists_proves_itself_by_its_password(issued: Issued, alice: Actor):
    User.objects.create_user(NEWCOMER, PASSWORD, email_verified_at=timezone.now())
    browser = visitor()
    open_link(browser, issued.link)

    without = browser.post(PAGE, {"passwordless": "1"})
    wrong = browser.post(PAGE, {"password": "another password than theirs"})
    assert (without.status_code, wrong.status_code) == (400, 400)
    assert b"Enter a password" in without.content and b"not the password of your account" in wrong.content
    answer = browser.post(PAGE, {"password": PASSWORD})

    assert answer["Location"] == "/" and role_of(NEWCOMER, alice.workspace) == "field_worker"


def test_with_a_second_factor_one_signs_in_first_and_comes_back(alice: Actor, mallory: Actor):
    wait_for_an_early_moment()
    secret, _ = enrol(mallory)
    browser = visitor()
    open_link(browser, invite(alice.request(), mallory.user.email, "member").link)
    refused = browser.post(PAGE, {"password": PASSWORD})
    assert refused.status_code == 400 and b"Sign in first" in refused.content

    browser.get(f"/sign-in?next={PAGE}")
    browser.post("/sign-in", {"email": mallory.user.email})
    browser.post("/sign-in/password", {"password": PASSWORD})
    assert browser.post("/sign-in/code", {"otp": code(secret)})["Location"] == PAGE
    answer = browser.post(PAGE)

    assert answer["Location"] == "/" and role_of(mallory.user.email, alice.workspace) == "member"


def test_who_is_signed_in_presses_a_button(alice: Actor, mallory: Actor):
    browser = signed_in(mallory, SERVER_NAME="localhost")
    page = open_link(browser, invite(alice.request(), mallory.user.email, "member").link)
    assert b'name="password"' not in page.content

    assert browser.post(PAGE)["Location"] == "/"

    assert role_of(mallory.user.email, alice.workspace) == "member"
    assert SignIn.objects.get(id=mallory.sign_in_id).revoked_reason == "replaced"


def test_who_is_signed_in_as_somebody_else_signs_out_and_goes_on(issued: Issued, bob: Actor, alice: Actor):
    browser = signed_in(bob, SERVER_NAME="localhost")
    page = open_link(browser, issued.link)
    assert b"You are signed in as bob@acme.test" in page.content
    assert browser.post(PAGE).status_code == 409

    page = browser.post("/sign-out", {"next": PAGE}, follow=True)
    assert page.request["PATH_INFO"] == PAGE and b'name="password"' in page.content
    browser.post(PAGE, {"password": PASSWORD})

    assert role_of(NEWCOMER, alice.workspace) == "field_worker"


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"used_at": timezone.now()}, b"already"),
        ({"revoked_at": timezone.now()}, b""),
        ({"expires_at": timezone.now() - timedelta(hours=1)}, b"expired"),
    ],
    ids=["used", "revoked", "expired"],
)
def test_an_invitation_that_ended_says_so(issued: Issued, change: dict[str, object], word: bytes):
    Invitation.objects.update(**change)
    browser = visitor()

    page = open_link(browser, issued.link)

    assert page.status_code in (400, 409, 410) and word in page.content
    assert browser.post(PAGE, {"password": PASSWORD}).status_code == page.status_code
    assert not User.objects.filter(email=NEWCOMER).exists()


def test_a_strangers_link_is_not_there(issued: Issued):
    for invite_id, token in ((issued.invitation.id, "wrong"), ("0" * 8, "wrong"), ("<script>", "wrong")):
        browser = visitor()
        assert open_link(browser, f"http://localhost{PAGE}?invite_id={invite_id}&token={token}").status_code == 404
        assert browser.post(PAGE, {"password": PASSWORD}).status_code == 404
    assert visitor().get(PAGE).status_code == 400


def test_tries_with_one_link_are_limited_as_in_the_api(issued: Issued):
    User.objects.create_user(NEWCOMER, PASSWORD, email_verified_at=timezone.now())
    browser = visitor()
    open_link(browser, issued.link)
    for _ in range(int(ACCEPT_BY_INVITATION.rate.split("/")[0])):
        assert browser.post(PAGE, {"password": "another password than theirs"}).status_code == 400

    assert browser.post(PAGE, {"password": PASSWORD}).status_code == 429
    assert not is_signed_in(browser)


def test_where_single_sign_on_is_required_it_leads_there(alice: Actor, issued: Issued):
    demand(alice.workspace, "person.test")
    browser = visitor()
    open_link(browser, issued.link)

    assert browser.post(PAGE, {"password": PASSWORD})["Location"] == "/sign-in/sso/acme"


def test_a_provider_accepts_it_for_the_address_that_it_vouches_for(issued: Issued, alice: Actor, google: StandIn):
    google.person = DANA | {"email": NEWCOMER}
    browser = visitor()
    page = open_link(browser, issued.link)
    assert b'href="/sign-in/with/google?invited=1"' in page.content

    url = browser.get("/sign-in/with/google?invited=1")["Location"]
    answer = browser.get(come_back(browser, google.consent(url))["Location"])

    assert answer["Location"] == "/" and role_of(NEWCOMER, alice.workspace) == "field_worker"


def test_a_provider_that_vouches_for_another_address_leads_back(issued: Issued, google: StandIn):
    browser = visitor()
    open_link(browser, issued.link)

    url = browser.get("/sign-in/with/google?invited=1")["Location"]
    answer = browser.get(come_back(browser, google.consent(url))["Location"])

    assert answer.request["PATH_INFO"] == PAGE and answer.status_code == 400
    assert b"for another address than the one that the provider tells" in answer.content
    assert not is_signed_in(browser)
