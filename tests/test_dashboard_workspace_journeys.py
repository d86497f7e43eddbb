"""How an owner runs a workspace, in a real browser at a desktop's and at a phone's width: invite somebody who comes in,
change a role, send invitations again, decide security, read, export and verify the audit log, and end it.
"""

from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from accounts.audit import Action, Person, record
from accounts.models import AuditEvent, Invitation, Membership, Workspace
from accounts.principal import Client
from tests.support.cast import Actor
from tests.support.dashboard_browser import PHONE, Viewport, journey, look_at, on_a_desktop, scan, sign_in

pytest_plugins = ["tests.support.dashboard_fixtures"]
pytestmark = pytest.mark.django_db(transaction=True)

GUEST = "guest@guests.test"


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def follow(page: Page, name: str) -> None:
    page.get_by_role("main").get_by_role("link", name=name, exact=True).click()


def is_at(page: Page, heading: str) -> None:
    expect(page.get_by_role("heading", level=1)).to_contain_text(heading)


def go_to(page: Page, place: str) -> None:
    page.get_by_role("navigation", name="Settings").first.get_by_role("link", name=place, exact=True).click()


@on_a_desktop
def test_somebody_is_invited_comes_in_and_gets_another_role(site: str, viewport: Viewport, alice: Actor):
    def invite(page: Page) -> str:
        go_to(page, "Members")
        press(page, "Invite somebody")
        page.get_by_label("Email address").fill("alice@acme.test")
        press(page, "Invite")
        expect(page.get_by_text("This is your own address")).to_be_visible()
        look_at(page)
        page.get_by_label("Email address").fill(GUEST)
        page.get_by_label("Manager").check()
        press(page, "Invite")
        is_at(page, "The invitation is on its way")
        expect(page.get_by_role("img", name="QR code")).to_be_visible()
        look_at(page)
        link = page.locator("#invitation-link").inner_text()
        assert scan(page) == link
        return link

    def steps(page: Page) -> None:
        sign_in(page, alice.user.email)
        link = invite(page)
        guest = page.context.browser.new_context(base_url=site, **viewport).new_page()
        guest.goto(link)
        guest.locator("main button[type=submit]").last.click()
        guest.wait_for_url(lambda url: "accept-invite" not in url)
        guest.context.close()
        go_to(page, "Members")
        expect(page.get_by_text("2 people belong")).to_be_visible()
        page.get_by_role("link", name=f"Change role of {GUEST}").click()
        page.get_by_label("Member", exact=False).last.check()
        look_at(page)
        press(page, "Change role")
        expect(page.get_by_text("is member now.")).to_be_visible()
        page.get_by_role("link", name=f"Remove {GUEST}").click()
        look_at(page)
        press(page, "Remove")
        expect(page.get_by_text("is removed from the workspace")).to_be_visible()

    journey(site, viewport, steps, refusals={400})
    assert Membership.objects.filter(workspace=alice.workspace).count() == 1


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without"])
def test_many_invitations_are_sent_again_with_progress(site: str, alice: Actor, scripts: bool):
    now = timezone.now()
    Invitation.objects.bulk_create(
        Invitation(
            workspace=alice.workspace,
            email=f"p{number}@guests.test",
            role="member",
            digest=number.to_bytes(32, "big"),
            invited_by=alice.user,
            expires_at=now + timedelta(days=1),
        )
        for number in range(210)
    )

    def steps(page: Page) -> None:
        sign_in(page, alice.user.email)
        go_to(page, "Members")
        follow(page, "Invitations")
        press(page, "Send all again")
        press(page, "Send them all again")
        if not scripts:
            expect(page.get_by_text("200 of 210 looked at so far, 200 sent.")).to_be_visible()
            press(page, "Go on")
        expect(page.get_by_text("Done: 210 of 210 sent again.")).to_be_visible()
        press(page, "Back to the invitations")
        is_at(page, "Invitations")

    journey(site, PHONE, steps, java_script_enabled=scripts)
    assert Invitation.objects.pending().filter(expires_at__gt=now + timedelta(days=6)).count() == 210


@on_a_desktop
def test_an_owner_decides_security_and_ends_the_workspace(site: str, viewport: Viewport, alice: Actor):
    def steps(page: Page) -> None:
        sign_in(page, alice.user.email)
        go_to(page, "Workspace")
        page.get_by_label("Name").fill("Acme Harbour")
        press(page, "Save")
        expect(page.get_by_text("The workspace is saved.")).to_be_visible()
        is_at(page, "Acme Harbour")
        follow(page, "Plan and use")
        expect(page.get_by_role("progressbar")).to_have_count(2)
        follow(page, "Security")
        page.get_by_label("Access tokens last").select_option("15 minutes")
        page.get_by_label("Everybody needs a second factor").check()
        press(page, "Save")
        expect(page.get_by_text("Set up a second factor of your own first")).to_be_visible()
        look_at(page)
        page.get_by_label("Everybody needs a second factor").uncheck()
        press(page, "Save")
        expect(page.get_by_text("The workspace's security is saved.")).to_be_visible()
        follow(page, "General")
        press(page, "Delete the workspace")
        page.get_by_label("Type the workspace's short name").fill("other")
        press(page, "Delete the workspace")
        expect(page.locator("#id_slug-errors")).to_be_visible()
        look_at(page)
        page.get_by_label("Type the workspace's short name").fill("acme")
        press(page, "Delete the workspace")
        expect(page.get_by_text("The workspace is deleted")).to_be_visible()

    journey(site, viewport, steps, refusals={409, 422})
    assert not Workspace.objects.filter(id=alice.workspace.id).exists()


def tell(alice: Actor, mallory: Actor) -> None:
    """Let something have happened in both workspaces."""
    client, actor = Client("203.0.113.9", "a program"), Person(alice.user.id, alice.user.email)
    for number in range(60):
        described = f"Event {number:02}."
        record(Action.KEY_CREATED, client, described, workspace_id=alice.workspace.id, actor=actor)
    record(Action.KEY_REVOKED, client, "Theirs alone.", workspace_id=mallory.workspace.id)


@on_a_desktop
def test_the_audit_log_is_searched_exported_and_verified(
    site: str, viewport: Viewport, alice: Actor, mallory: Actor, tmp_path: Path
):
    tell(alice, mallory)

    def search(page: Page) -> None:
        go_to(page, "Audit log")
        page.get_by_role("combobox", name="What").select_option("API key: created")
        press(page, "Filter")
        expect(page.get_by_text("Event 59.")).to_be_visible()
        press(page, "Older ones")
        expect(page.get_by_text("Event 00.")).to_be_visible()
        page.get_by_label("Search").fill("event 07")
        press(page, "Filter")
        expect(page.locator("tbody tr")).to_have_count(1)

    def steps(page: Page) -> None:
        sign_in(page, alice.user.email)
        search(page)
        for name in ("CSV", "JSON"):
            with page.expect_download() as given:
                press(page, f"Export {name}")
            given.value.save_as(tmp_path / name)
        expect(page.get_by_role("button", name="Export CSV")).to_be_enabled()
        follow(page, "API key: created")
        expect(page.get_by_text("203.0.113.9")).to_be_visible()
        look_at(page)
        go_to(page, "Audit log")
        press(page, "Verify it")
        press(page, "Verify it now")
        expect(page.get_by_text("The chain holds: all")).to_be_visible()
        look_at(page)
        press(page, "Back to the audit log")
        expect(page.get_by_text("Holds", exact=True)).to_be_visible()

    journey(site, viewport, steps)
    for name in ("CSV", "JSON"):
        text = (tmp_path / name).read_text()
        assert "Event 07." in text and "Event 08." not in text and "Theirs" not in text
    assert AuditEvent.objects.filter(action=Action.AUDIT_VERIFIED).count() == 1
