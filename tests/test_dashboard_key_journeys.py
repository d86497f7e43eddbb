"""What people do with a key they have, in a real browser at a desktop's and at a phone's width: see its use, narrow
and change it, stop and wake it, replace its secret. How a key comes and goes is in test_dashboard_whole_way.py.
"""

from datetime import timedelta

import pytest
from django.conf import settings
from django.contrib.sessions.backends.signed_cookies import SessionStore
from django.utils import timezone
from playwright.sync_api import Page, expect

from accounts.models import CredentialUsage
from accounts.scopes import SCOPE_BITS
from apikeys.models import ApiKey
from dashboard.session import FRESH_FOR
from tests.support.cast import PASSWORD, Actor
from tests.support.dashboard_browser import Viewport, journey, look_at, on_a_phone, sign_in
from tests.support.race import call

pytest_plugins = ["tests.support.dashboard_fixtures"]
pytestmark = pytest.mark.django_db(transaction=True)

PLACE = "/settings/api-keys"
BOTH = ["geofences:read", "geofences:write"]
HIDE = """(state) => { Object.defineProperty(document, "visibilityState", {value: state, configurable: true});
    document.dispatchEvent(new Event("visibilitychange")); }"""


@pytest.fixture
def key(alice: Actor) -> ApiKey:
    """A key that has read for a month, and could write."""
    made, _ = alice.make_key(BOTH, name="Delivery tracker", created_at=timezone.now() - timedelta(days=40))
    for days_ago in range(1, 25):
        use(made, timedelta(days=days_ago), 100 * days_ago)
    return made


def use(key: ApiKey, ago: timedelta, requests: int) -> None:
    moment = timezone.now() - ago
    CredentialUsage.objects.create(
        credential_id=key.id,
        workspace_id=key.workspace_id,
        started_at=moment,
        requests=requests,
        refusals=7,
        last_used_at=moment,
        last_ip="203.0.113.9",
        last_user_agent="curl/8.5.0",
        scopes_used=SCOPE_BITS["geofences:read"],
    )


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def is_at(page: Page, heading: str) -> None:
    expect(page.get_by_role("heading", level=1)).to_contain_text(heading)


def grow_old(page: Page) -> None:
    """Let the last proof of who is at the browser be too old."""
    [cookie] = [one for one in page.context.cookies() if one["name"] == settings.SESSION_COOKIE_NAME]
    kept = SessionStore(cookie["value"])
    kept["proven_at"] -= FRESH_FOR + 1
    kept.save()
    page.context.add_cookies([{**cookie, "value": kept.session_key}])


@on_a_phone
def test_its_use_is_seen_live_and_what_it_does_not_need_is_taken_away(site: str, viewport: Viewport, alice, key):
    def steps(page: Page) -> None:
        sign_in(page, alice.user.email)
        page.get_by_role("link", name="Delivery tracker").click()
        chart = page.get_by_role("img", name="Last 30 days")
        expect(chart).to_be_visible()
        page.get_by_text("As a table").last.click()
        look_at(page)
        page.get_by_text("As a table").last.click()
        watch(page)
        expect(page.get_by_text("You could remove:")).to_be_visible()
        grow_old(page)  # taking rights away wants no proof
        press(page, "Remove it")
        is_at(page, "Remove permissions")
        look_at(page)
        press(page, "Remove what it did not need")
        is_at(page, "Delivery tracker")
        expect(page.get_by_text("You could remove:")).not_to_be_visible()
        look_at(page)

    def watch(page: Page) -> None:
        requests = page.locator("#usage figcaption").first
        before = requests.inner_text()
        page.evaluate("document.activeElement.blur()")
        page.evaluate(HIDE, "hidden")
        with page.expect_response(lambda response: response.request.headers.get("hx-request") == "true"):
            page.evaluate(HIDE, "visible")
        assert requests.inner_text() == before
        expect(page.locator("#usage")).to_have_count(1)

    journey(site, viewport, steps)
    assert ApiKey.objects.get().scopes == ["geofences:read"]


@on_a_phone
def test_widening_it_leads_by_way_of_a_proof_back_to_the_form(site: str, viewport: Viewport, alice, key):
    def steps(page: Page) -> None:
        sign_in(page, alice.user.email)
        page.goto(f"{PLACE}/{key.id}")
        press(page, "Edit")
        widen(page)
        grow_old(page)
        press(page, "Save changes")
        is_at(page, "Confirm that it is you")
        expect(page.get_by_text("Nothing has changed yet")).to_be_visible()
        page.get_by_label("Your password").fill(PASSWORD)
        press(page, "Confirm")
        is_at(page, "Delivery tracker")
        expect(page.get_by_text("devices:read")).to_be_visible()

    def widen(page: Page) -> None:
        page.get_by_label("See devices and their locations").check()
        page.get_by_label("Requests an hour").fill("50")

    journey(site, viewport, steps)
    changed = ApiKey.objects.get()
    assert (changed.scopes, changed.hourly_limit) == ([*BOTH, "devices:read"], 50)


@on_a_phone
def test_it_is_stopped_woken_given_an_end_and_a_new_secret(site: str, viewport: Viewport, alice: Actor):
    key, old_raw = alice.make_key(["geofences:read"], name="Tablet")
    date = (timezone.now() + timedelta(days=20)).date().isoformat()

    def works(raw: str) -> bool:
        return call(site, "GET", "/api/v1/geofences", headers={"X-API-KEY": raw}).status == 200

    def steps(page: Page) -> None:
        sign_in(page, alice.user.email)
        page.goto(f"{PLACE}/{key.id}")
        for act, badge, does_work in (("Disable", "Disabled", False), ("Enable", "Active", True)):
            press(page, act)
            press(page, f"{act} API key")
            expect(page.locator("h1 .badge")).to_have_text(badge)
            look_at(page)
            assert works(old_raw) == does_work
        page.get_by_role("link", name="Change").click()
        expect(page.get_by_label("Date")).not_to_be_visible()
        page.get_by_label("Expiration").select_option("On a date")
        page.get_by_label("Date").fill(date)
        look_at(page)
        press(page, "Change expiration")
        expect(page.get_by_text("in 20 days")).to_be_visible()
        press(page, "Regenerate")
        press(page, "Regenerate API key")
        look_at(page)
        raw = page.locator("#api-key").inner_text().strip()
        assert (works(old_raw), works(raw)) == (False, True)

    journey(site, viewport, steps)
    assert ApiKey.objects.get().expires_at.isoformat() == f"{date}T23:59:59+00:00"


def test_all_of_it_works_without_scripts(site: str, alice: Actor):
    def steps(page: Page) -> None:
        sign_in(page, alice.user.email)
        page.goto(f"{PLACE}/new")
        page.get_by_label("Name").fill("By hand")
        page.get_by_label("Expiration").select_option("On a date")
        press(page, "Generate the key")
        expect(page.get_by_text("Choose a date.")).to_be_visible()
        expect(page.get_by_label("Name")).to_have_value("By hand")
        page.get_by_label("Expiration").select_option("Never")
        press(page, "Generate the key")
        page.get_by_role("button", name="I have copied it").click()
        press(page, "Revoke")
        press(page, "Revoke API key")
        expect(page.get_by_text("“By hand” is revoked.")).to_be_visible()

    journey(site, {"viewport": {"width": 1280, "height": 800}}, steps, refusals=[422], java_script_enabled=False)
    assert ApiKey.objects.get().revoked_at is not None
