"""Coming in by the dashboard in a real browser, each way from end to end, on a desktop and on a phone."""

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect

from accounts.invitations import invite
from accounts.models import SignIn, Workspace
from tests.support.apple_provider import DANA, StandIn, serve
from tests.support.cast import PASSWORD, Actor
from tests.support.dashboard_browser import Viewport, journey, local, look_at, on_a_phone, sign_in
from tests.support.entrance import link_in
from tests.support.launch import launch
from tests.support.mails import mail_files, mail_of
from tests.support.saml_page import saml_page
from tests.support.totp import code, enrol, wait_for_an_early_moment, wrong_code

pytest_plugins = ["tests.support.dashboard_fixtures"]
pytestmark = pytest.mark.django_db(transaction=True)

NEW_PASSWORD = "a new and longer password"


def path_of(page: Page) -> str:
    return urlsplit(page.url).path


def follow(page: Page, address: str, subject: str) -> None:
    """Open the link of a mail; another running server may have sent it, and named itself."""
    link = urlsplit(link_in(str(mail_of(address, subject).get_payload(decode=True), "utf-8")))
    page.goto(f"{link.path}?{link.query}")
    assert "token=" not in page.url
    look_at(page)


def press(page: Page, name: str) -> None:
    with page.expect_navigation():
        page.get_by_role("button", name=name, exact=True).click()


def take(page: Page, name: str) -> None:
    with page.expect_navigation():
        page.locator("a", has_text=name).click()


def enter(page: Page) -> None:
    """Send the form from the keyboard."""
    with page.expect_navigation():
        page.keyboard.press("Enter")


def expect_signed_in(page: Page, email: str) -> None:
    expect(page.locator("summary", has_text=email)).to_have_count(1)
    assert not path_of(page).startswith("/sign-in")


@on_a_phone
def test_password_and_second_factor_with_the_keyboard_alone(site: str, viewport: Viewport, alice: Actor):
    wait_for_an_early_moment(12)
    secret, _ = enrol(alice)

    def steps(page: Page) -> None:
        page.goto("/settings/profile")
        look_at(page)
        page.keyboard.type("nobody")
        page.keyboard.press("Enter")  # the browser itself asks for an address
        page.keyboard.type("@acme.test")
        enter(page)
        page.wait_for_url("**/sign-in/password")
        look_at(page)
        take(page, "Change")
        expect(page.get_by_label("Email address")).to_have_value("nobody@acme.test")
        page.get_by_label("Email address").fill(alice.user.email)
        enter(page)
        page.get_by_label("Password").fill("wrong")
        enter(page)
        expect(page.get_by_role("alert")).to_contain_text("do not fit together")
        look_at(page)
        page.keyboard.type(PASSWORD)
        enter(page)
        page.wait_for_url("**/sign-in/code")
        look_at(page)
        page.keyboard.type(wrong_code(secret))
        enter(page)
        expect(page.get_by_role("alert")).to_contain_text("This code is wrong")
        page.get_by_label("Code").fill(code(secret))
        enter(page)
        page.wait_for_url("**/settings/profile")
        expect_signed_in(page, alice.user.email)

    journey(site, viewport, steps, refusals={401})


@on_a_phone
def test_signing_out_and_going_back_shows_nothing(site: str, viewport: Viewport, alice: Actor):
    def steps(page: Page) -> None:
        sign_in(page, alice.user.email)
        page.goto("/settings/profile")
        page.locator("summary", has_text=alice.user.email).click()
        press(page, "Sign out")
        expect(page.get_by_role("status")).to_contain_text("You are signed out.")
        look_at(page)
        page.goto("/settings/profile")
        assert path_of(page) == "/sign-in"

    journey(site, viewport, steps)


@on_a_phone
def test_signing_up_verifying_and_forgetting_the_password(site: str, viewport: Viewport, db):
    email = f"{'phone' if 'is_mobile' in viewport else 'desktop'}@person.test"

    def steps(page: Page) -> None:
        page.goto("/")
        take(page, "Create an account")
        look_at(page)
        page.get_by_label("Email address").fill(email)
        page.get_by_label("Your name").fill("<script>alert(1)</script>")
        page.get_by_label("Password").fill("short")
        press(page, "Create the account")
        expect(page.locator("#id_password-errors")).to_contain_text("at least 8 characters")
        look_at(page)
        page.get_by_label("Password").fill(PASSWORD)
        press(page, "Create the account")
        expect(page.get_by_role("heading", level=1)).to_have_text("Look into your mail")
        look_at(page)
        sign_in(page, email)
        expect(page.get_by_text("not verified yet")).to_be_visible()
        look_at(page)
        follow(page, email, "Verify your email address")
        press(page, "Verify the address")
        expect(page.get_by_role("status")).to_contain_text("Your email address is verified.")
        page.locator("summary", has_text=email).click()
        press(page, "Sign out")
        page.get_by_label("Email address").fill(email)
        press(page, "Continue")
        take(page, "Forgot your password?")
        look_at(page)
        expect(page.get_by_label("Email address")).to_have_value(email)
        press(page, "Send the link")
        look_at(page)
        follow(page, email, "Set a new password")
        page.get_by_label("New password").fill(NEW_PASSWORD)
        press(page, "Set the password")
        expect(page.get_by_role("status")).to_contain_text("Your password is changed.")
        sign_in(page, email, NEW_PASSWORD)
        expect_signed_in(page, email)

    journey(site, viewport, steps, refusals={422})


@on_a_phone
def test_accepting_an_invitation(site: str, viewport: Viewport, alice: Actor):
    link = urlsplit(invite(alice.request(), "new@person.test", "member").link)

    def steps(page: Page) -> None:
        page.goto(f"{link.path}?{link.query}")
        assert path_of(page) == "/accept-invite" and "token" not in page.url
        look_at(page)
        page.get_by_label("Password").fill(PASSWORD)
        press(page, "Accept the invitation")
        expect(page.get_by_role("status")).to_contain_text("Welcome to Acme.")
        expect_signed_in(page, "new@person.test")

    journey(site, viewport, steps)


@on_a_phone
def test_an_invitation_for_somebody_else_than_who_is_signed_in(
    site: str, viewport: Viewport, alice: Actor, bob: Actor, mallory: Actor
):
    link = urlsplit(invite(alice.request(), mallory.user.email, "member").link)

    def steps(page: Page) -> None:
        sign_in(page, bob.user.email)
        page.goto(f"{link.path}?{link.query}")
        look_at(page)
        press(page, "Sign out and go on")
        take(page, "Sign in first")
        page.get_by_label("Email address").fill(mallory.user.email)
        press(page, "Continue")
        page.get_by_label("Password").fill(PASSWORD)
        press(page, "Sign in")
        page.wait_for_url("**/accept-invite")
        look_at(page)
        press(page, "Accept the invitation")
        expect(page.get_by_role("status")).to_contain_text("Welcome to Acme.")

    journey(site, viewport, steps)


@pytest.fixture
def apple() -> Iterator[StandIn]:
    with serve(StandIn()) as provider:
        yield provider


@pytest.fixture
def site_with_apple(database_url: str, apple: StandIn) -> Iterator[str]:
    with launch(database_url, workers=1, extra_env=apple.environment()) as running:
        yield local(running)


@on_a_phone
def test_apple_posts_its_answer_across_sites(site_with_apple: str, viewport: Viewport, apple: StandIn):
    def steps(page: Page) -> None:
        page.goto("/settings/profile")
        look_at(page)
        take(page, "Continue with Apple")
        press(page, "Cancel")
        expect(page.get_by_role("alert")).to_contain_text("The sign-in was cancelled there.")
        look_at(page)
        take(page, "Try again")
        press(page, "Continue")
        page.wait_for_url("**/settings/profile")
        expect_signed_in(page, DANA["email"])

    journey(site_with_apple, viewport, steps, refusals={400})
    assert SignIn.objects.get().method == "apple"


@on_a_phone
@pytest.mark.parametrize("is_required", [False, True], ids=["offered", "required"])
def test_the_identity_provider_of_the_workspace(site: str, viewport: Viewport, alice: Actor, is_required: bool):
    Workspace.objects.filter(id=alice.workspace.id).update(requires_sso=is_required)

    def steps(page: Page) -> None:
        page.goto("/sign-in?next=/settings/profile")
        page.get_by_label("Email address").fill(alice.user.email)
        press(page, "Continue")
        if not is_required:
            look_at(page)
            take(page, "Continue with Acme")
        press(page, "Sign in at the provider")
        page.wait_for_url("**/settings/profile")
        expect_signed_in(page, alice.user.email)

    with saml_page(alice.workspace, alice.user.email):
        journey(site, viewport, steps)
    assert SignIn.objects.latest("created_at").method == "saml"


@on_a_phone
def test_a_locked_out_owner_repairs_single_sign_on(site: str, viewport: Viewport, alice: Actor):
    Workspace.objects.filter(id=alice.workspace.id).update(requires_sso=True)
    for sent in mail_files():
        sent.unlink()

    def steps(page: Page) -> None:
        page.goto("/sign-in")
        page.get_by_label("Email address").fill(alice.user.email)
        press(page, "Continue")
        press(page, "Sign in at the provider")
        expect(page.get_by_role("alert")).to_contain_text("was not accepted")
        expect(page.get_by_text("Reference:")).to_be_visible()
        look_at(page)
        page.get_by_role("link", name="Ask for a recovery link").click()
        page.wait_for_url("**/sso-recovery/ask")
        look_at(page)
        page.get_by_label("Your email address").fill(alice.user.email)
        page.get_by_label("Short name of the workspace").fill("acme")
        press(page, "Send the link")
        follow(page, alice.user.email, "Repair single sign-on of Acme")
        press(page, "Sign in for an hour")
        page.wait_for_url("**/sso-recovery/repair")
        look_at(page)
        press(page, "Stop requiring single sign-on")
        expect(page.get_by_role("status")).to_contain_text("not required any more")
        look_at(page)

    with saml_page(alice.workspace, alice.user.email, audiences=[["elsewhere"]]):
        journey(site, viewport, steps, refusals={400})
    assert not Workspace.objects.get(id=alice.workspace.id).requires_sso


def test_without_javascript_it_works_as_well(site: str, alice: Actor):
    def steps(page: Page) -> None:
        sign_in(page, alice.user.email)
        expect_signed_in(page, alice.user.email)

    journey(site, {"viewport": {"width": 1280, "height": 800}}, steps, java_script_enabled=False)
