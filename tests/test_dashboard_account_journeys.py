"""What people do about their account in the dashboard, in a real browser at a desktop's and at a phone's width. Judged
here are the pages that come of what they do; those that have an address are judged where all of them are.
"""

from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from django.conf import settings
from django.contrib.sessions.backends.signed_cookies import SessionStore
from playwright.sync_api import Page, expect

from dashboard.session import FRESH_FOR
from tests.support.cast import PASSWORD, Actor
from tests.support.dashboard_browser import Viewport, journey, look_at, on_a_desktop, scan, sign_in
from tests.support.totp import code, wait_for_an_early_moment

pytest_plugins = ["tests.support.dashboard_fixtures"]
pytestmark = pytest.mark.django_db(transaction=True)


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def fill(page: Page, **typed: str) -> None:
    for name, text in typed.items():
        page.locator(f"main [name={name}]").fill(text)


def is_at(page: Page, heading: str) -> None:
    expect(page.get_by_role("heading", level=1)).to_have_text(heading)


def grow_old(page: Page) -> None:
    """Let the last proof of who is at the browser be too old."""
    [cookie] = [one for one in page.context.cookies() if one["name"] == settings.SESSION_COOKIE_NAME]
    kept = SessionStore(cookie["value"])
    kept["proven_at"] -= FRESH_FOR + 1
    kept.save()
    page.context.add_cookies([{**cookie, "value": kept.session_key}])


@on_a_desktop
def test_a_second_factor_is_set_up_used_and_removed(site: str, viewport: Viewport, alice: Actor):
    def steps(page: Page) -> None:
        sign_in(page, alice.user.email)
        page.goto("/settings/security")
        page.get_by_role("button", name="Set up second factor").click()
        fill(page, current_password=PASSWORD)
        press(page, "Go on")
        expect(page.get_by_role("img", name="QR code")).to_be_visible()
        look_at(page)
        secret = page.locator("#secret").inner_text()
        scanned = urlsplit(scan(page))
        assert (scanned.scheme, scanned.netloc, parse_qs(scanned.query)["secret"]) == ("otpauth", "totp", [secret])
        press(page, "Copy")
        assert page.evaluate("navigator.clipboard.readText()") == secret
        fill(page, otp=code(secret, -1))
        press(page, "Turn it on")
        is_at(page, "Keep your recovery codes")
        look_at(page)
        with page.expect_download() as download:
            press(page, "Download as text")
        codes = Path(download.value.path()).read_text().split()
        assert len(codes) == 10 and download.value.suggested_filename == "spatialflow-recovery-codes.txt"
        page.get_by_role("button", name="I have kept them").click()
        expect(page.get_by_text("On since")).to_be_visible()
        sign_out(page)

        sign_in_with_code(page, alice.user.email, code(secret))
        page.goto("/settings/security/recovery-codes")
        fill(page, current_password=PASSWORD, otp=codes[0])
        press(page, "Make new codes")
        renewed = page.locator("#codes").inner_text().split()
        assert len(renewed) == 10 and not set(renewed) & set(codes)
        page.goto("/settings/security/second-factor/remove")
        fill(page, current_password=PASSWORD, otp=renewed[0])
        press(page, "Remove second factor")
        expect(page.get_by_text("Your second factor is removed.")).to_be_visible()

    wait_for_an_early_moment(12)
    journey(site, viewport, steps)


def sign_out(page: Page) -> None:
    page.locator("details.account summary").click()
    page.get_by_role("button", name="Sign out", exact=True).click()
    page.wait_for_url("**/sign-in")


def sign_in_with_code(page: Page, email: str, otp: str) -> None:
    fill(page, email=email)
    page.keyboard.press("Enter")
    fill(page, password=PASSWORD)
    page.keyboard.press("Enter")
    fill(page, otp=otp)
    page.keyboard.press("Enter")
    page.wait_for_url(lambda url: "/sign-in" not in url)


@on_a_desktop
def test_sign_ins_are_ended_and_a_workspace_is_made_and_entered(site: str, viewport: Viewport, alice: Actor):
    def steps(page: Page) -> None:
        sign_in(page, alice.user.email)
        page.goto("/settings/sign-ins")
        expect(page.get_by_text("This one")).to_have_count(1)
        look_at(page)
        before = page.locator("tbody tr").count()
        page.get_by_role("button", name="End the sign-in").first.click()
        expect(page.get_by_text("The sign-in has ended.")).to_be_visible()
        assert page.locator("tbody tr").count() == before - 1
        page.get_by_role("button", name="End all others").click()
        press(page, "End all other sign-ins")
        expect(page.locator("tbody tr")).to_have_count(1)

        page.goto("/workspaces/new")
        fill(page, name="Northwind Logistics")
        press(page, "Make the workspace")
        is_at(page, "Workspaces")
        summary = page.locator("details.workspaces summary")
        summary.focus()
        page.keyboard.press("Enter")
        look_at(page)
        page.keyboard.press("Escape")
        expect(summary).to_be_focused()
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        expect(page.get_by_text("You are in Northwind Logistics now.")).to_be_visible()
        expect(summary).to_contain_text("Northwind Logistics")

        page.goto("/settings/sign-ins/everywhere")
        press(page, "Sign out everywhere")
        page.wait_for_url("**/sign-in")
        page.goto("/settings/profile")
        page.wait_for_url("**/sign-in?next=*")

    alice.sign_in_again()
    alice.sign_in_again()
    journey(site, viewport, steps)


@on_a_desktop
def test_a_profile_is_kept_and_an_account_ends_after_a_fresh_proof(site: str, viewport: Viewport, alice: Actor):
    def steps(page: Page) -> None:
        sign_in(page, alice.user.email)
        page.goto("/settings/profile")
        fill(page, name="Alice Liddell", phone_number="044")
        page.get_by_label("Time zone").select_option("Europe/Zurich")
        page.get_by_label("News about the product").check()
        press(page, "Save")
        expect(page.locator("#id_phone_number")).to_have_attribute("aria-invalid", "true")
        look_at(page)
        fill(page, phone_number="+41446681800")
        press(page, "Save")
        expect(page.get_by_text("Your profile is saved.")).to_be_visible()
        expect(page.get_by_label("Time zone")).to_have_value("Europe/Zurich")
        expect(page.get_by_label("News about the product")).to_be_checked()

        grow_old(page)
        page.get_by_role("button", name="Delete account").click()
        is_at(page, "Confirm that it is you")
        fill(page, current_password="wrong")
        press(page, "Confirm")
        expect(page.get_by_text("The current password is wrong.")).to_be_visible()
        fill(page, current_password=PASSWORD)
        press(page, "Confirm")
        is_at(page, "Delete account")
        fill(page, confirmation="alice")
        press(page, "Delete my account")
        expect(page.locator("#id_confirmation-errors")).to_be_visible()
        fill(page, confirmation="alice@acme.test")
        press(page, "Delete my account")
        expect(page.get_by_text("Your account is deleted.")).to_be_visible()

    journey(site, viewport, steps, refusals={400, 422})


@on_a_desktop
def test_the_address_and_the_password_change(site: str, viewport: Viewport, alice: Actor):
    def steps(page: Page) -> None:
        sign_in(page, alice.user.email)
        page.goto("/settings/security/email")
        fill(page, new_email="new@acme.test", current_password=PASSWORD)
        press(page, "Send the link")
        expect(page.get_by_text("A link is on its way to new@acme.test.")).to_be_visible()
        page.get_by_role("button", name="Change password").click()
        fill(page, current_password=PASSWORD, new_password="password")
        press(page, "Change password")
        expect(page.locator("#id_new_password-errors")).to_be_visible()
        look_at(page)
        fill(page, current_password=PASSWORD, new_password="another horse battery")
        press(page, "Change password")
        expect(page.get_by_text("Your password is changed.")).to_be_visible()
        page.goto("/nowhere")
        look_at(page)
        page.goto("/settings/security/accounts/google/disconnect")
        look_at(page)

    journey(site, viewport, steps, refusals={422, 404})
