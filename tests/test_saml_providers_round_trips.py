"""A real browser's ways to two real identity providers and back: to sign in, to test a connection, and to sign out."""

from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from playwright.sync_api import Page
from social_django.models import UserSocialAuth

from sso.models import LoginCode
from tests.support.browser import browse
from tests.support.pysaml2_idp import pysaml2_idp
from tests.support.real_provider_fixtures import (  # noqa: F401 - pytest finds them here
    fixture_api,
    fixture_app,
    fixture_dns,
    fixture_owner,
    fixture_provider,
    fixture_running,
    fixture_sign_in,
    only,
)
from tests.support.real_provider_steps import (
    POST,
    Owner,
    arrive,
    keep_answer,
    leave,
    post,
    read_ours,
    sign_ins_of_bob,
    trade,
)
from tests.support.real_providers import BOB, RealProvider
from tests.support.simplesamlphp import simplesamlphp

pytestmark = pytest.mark.django_db(transaction=True)

REFRESH = """async () => {
    const refreshed = await fetch("/api/v1/auth/refresh", {method: "POST"});
    const pair = await refreshed.json();
    const fences = await fetch("/api/v1/geofences/", {headers: {Authorization: `Bearer ${pair.access_token}`}});
    return [refreshed.status, fences.status];
}"""
LEAVE = """async ([api, token, place]) => {
    const headers = {"Content-Type": "application/json", Authorization: `Bearer ${token}`};
    const asked = {method: "POST", headers, body: JSON.stringify({next: place})};
    return (await (await fetch(`${api}/api/v1/auth/saml/logout`, asked)).json()).logout_url;
}"""
STATUS = """async ([api, token]) => {
    return (await fetch(`${api}/api/v1/geofences/`, {headers: {Authorization: `Bearer ${token}`}})).status;
}"""


# Signing in


def test_a_wrong_password_at_the_provider(api: str, app: str, owner: Owner, provider: RealProvider):
    def steps(page: Page) -> tuple[list[tuple[str, str]], Any]:
        leave(page, api, app)
        provider.log_in(page, BOB, "wrong")
        page.wait_for_selector(f"text={provider.complaint}")
        url = page.url
        provider.log_in(page, BOB)
        return url, trade(page, api, arrive(page, app)["code"])

    url, traded = browse(steps)

    assert url.startswith(str(provider))
    assert traded["status"] == 200
    assert sign_ins_of_bob() == [("saml", "acme")]


def test_without_a_challenge_the_browser_itself_is_signed_in(api: str, owner: Owner, provider: RealProvider):
    def steps(page: Page) -> tuple[str, list[int], list[Any]]:
        page.goto(f"{api}/api/v1/auth/saml/acme/initiate?{urlencode({'next': '/settings/sign-ins'})}")
        provider.log_in(page, BOB)
        page.wait_for_url(f"{api}/settings/sign-ins")
        return page.inner_text("main"), page.evaluate(REFRESH), page.context.cookies()

    text, statuses, cookies = browse(steps)

    assert "Single sign-on" in text and set(statuses) == {401}  # no token for whoever leads a browser here
    ours = {c["name"]: (c["sameSite"], c["secure"], c["httpOnly"]) for c in cookies if c["domain"] == "localhost"}
    assert ours["__Host-sso"] == ("None", True, True) and "spatialflow_refresh" not in ours
    assert sign_ins_of_bob() == [("saml", "acme")]


def test_whoever_is_signed_in_goes_to_the_provider_once_they_want_to(api: str, owner: Owner, provider: RealProvider):
    """And signing out in the dashboard ends the session there."""

    def steps(page: Page) -> tuple[str, str, bool]:
        page.goto(f"{api}/sign-in/by/acme")
        provider.log_in(page, BOB)
        page.wait_for_url(lambda url: url.startswith(api) and "/sign-in/" not in url and "/acs" not in url)
        page.goto(f"{api}/api/v1/auth/saml/acme/initiate?{urlencode({'next': '/settings/sign-ins'})}")
        asked = page.inner_text("main")
        page.click("main button:has-text('Sign in by')")
        page.wait_for_url(f"{api}/settings/sign-ins")
        page.evaluate("document.querySelector('form[action=\"/sign-out\"]').requestSubmit()")
        page.wait_for_url(f"{api}/sign-in")
        page.goto(f"{api}/sign-in/by/acme")
        page.wait_for_selector("input[name=password]")
        return asked, page.url, page.url.startswith(str(provider))

    asked, _, asks_for_a_password = browse(steps)

    assert "You are signed in as" in asked and asks_for_a_password
    assert sign_ins_of_bob() == [("saml", "acme")] * 2


def test_the_same_answer_works_once(api: str, app: str, owner: Owner, provider: RealProvider):
    def steps(page: Page) -> tuple[Any, tuple[int, str]]:
        kept = keep_answer(page, api, deliver=True)
        leave(page, api, app)
        provider.log_in(page, BOB)
        traded = trade(page, api, arrive(page, app)["code"])
        page.goto(provider.metadata_url.rpartition("/")[0])  # across sites again
        return traded, post(page, *kept[0])

    traded, (status, refused) = browse(steps)

    assert traded["status"] == 200
    assert status == 400 and owner.last_attempt()["reference"] in refused
    assert sign_ins_of_bob() == [("saml", "acme")]


def test_the_answer_is_worth_nothing_in_another_browser(api: str, app: str, owner: Owner, provider: RealProvider):
    """Login CSRF: a page of Mallory's lets a victim's browser post the answer that the provider has given to her."""

    def steps(page: Page) -> tuple[tuple[int, str], list[str]]:
        kept = keep_answer(page, api, deliver=False)
        leave(page, api, app)
        provider.log_in(page, BOB)
        page.wait_for_selector("text=kept back")
        victim = (page.context.browser or pytest.fail("no browser")).new_context().new_page()
        leave(victim, api, app)  # it has a round trip and a cookie of its own
        answer = post(victim, *kept[0])
        return answer, [cookie["name"] for cookie in victim.context.cookies(f"{api}/api/v1/auth/")]

    (status, refused), cookies = browse(steps)

    assert (status, cookies) == (400, ["__Host-sso"]) and owner.last_attempt()["reference"] in refused
    assert owner.last_attempt()["failed_check"] == "request"
    assert (sign_ins_of_bob(), LoginCode.objects.count()) == ([], 0)


def test_an_answer_that_came_late_to_its_own_browser_signs_in(api: str, app: str, owner: Owner, provider: RealProvider):
    """The same steps as in the test above, in one browser: there it was refused for the browser's sake alone."""

    def steps(page: Page) -> dict[str, str]:
        kept = keep_answer(page, api, deliver=False)
        leave(page, api, app)
        provider.log_in(page, BOB)
        page.wait_for_selector("text=kept back")
        page.unroute(f"{api}/api/v1/auth/saml/acme/acs")
        page.goto(provider.metadata_url.rpartition("/")[0])
        page.evaluate(POST, list(kept[0]))
        return arrive(page, app)

    assert browse(steps).keys() == {"code", "state"}


@only(simplesamlphp)
def test_a_sign_in_that_begins_at_the_provider(api: str, owner: Owner, provider: RealProvider, sign_in: Any):
    """Refused unless the owner allows it, and then for whom a sign-in that began here has bound."""
    service = owner.ask("GET", "workspaces/saml-config")["service_provider"]["entity_id"]
    query = urlencode({"spentityid": service, "RelayState": "/settings/sign-ins"})

    def begin_there(ends_at: str, goes_on: bool) -> tuple[int, str]:
        def steps(page: Page) -> tuple[int, str]:
            page.goto(f"{provider}/saml2/idp/SSOService.php?{query}")
            with page.expect_response("**/acs") as answer:
                provider.log_in(page, BOB)
            page.wait_for_url(ends_at)
            text = page.inner_text("main")
            if goes_on:
                page.click("main button:has-text('Continue')")
                page.wait_for_url(f"{api}/settings/sign-ins")
            return answer.value.status, text

        return browse(steps)

    sign_in()
    switched_off, refusal = begin_there(f"{api}/api/v1/auth/saml/acme/acs", False)
    owner.patch(allows_idp_initiated=True)
    allowed, question = begin_there(f"{api}/signed-in/unasked?*", True)

    assert (switched_off, allowed) == (400, 302)
    assert "Reference" in refusal and f"signed you in as {BOB.email}" in question
    assert sign_ins_of_bob() == [("saml", "acme")] * 2


# An owner's tests


def test_an_owner_tests_the_connection(app: str, owner: Owner, provider: RealProvider):
    url = owner.ask("POST", "workspaces/saml-config/test", {"next": f"{app}/tested"})["url"]

    def steps(page: Page) -> dict[str, str]:
        page.goto(url)
        provider.log_in(page, BOB)
        page.wait_for_url(f"{app}/tested?*")
        return dict(parse_qsl(urlsplit(page.url).query))

    back = browse(steps)

    attempt = owner.ask("GET", f"workspaces/saml-config/attempts/{back['attempt']}")
    assert (back.keys(), attempt["is_test"], attempt["succeeded"], attempt["failed_check"]) == (
        {"attempt"},
        True,
        True,
        "",
    )
    assert all(check["passed"] for check in attempt["checks"])
    assert attempt["attributes"][provider.attributes["email"]] == [BOB.email]
    assert attempt["attributes"][provider.attributes["last_name"]] == [BOB.last_name]
    assert owner.ask("GET", "workspaces/saml-config")["tested_at"] is not None
    assert (sign_ins_of_bob(), UserSocialAuth.objects.count(), LoginCode.objects.count()) == ([], 0, 0)


@only(pysaml2_idp)
def test_a_second_provider_is_staged_tested_and_swapped_in(
    api: str, app: str, owner: Owner, provider: RealProvider, sign_in: Any
):
    """From pysaml2's to SimpleSAMLphp and back again: the first serves until the moment of the swap."""
    with simplesamlphp() as second:
        owner.import_metadata(second, staged=True)
        owner.ask("PATCH", "workspaces/saml-config/staged", {"attribute_mapping": second.attributes})
        read_ours(api, second)
        owner.ask("POST", "workspaces/saml-config/staged/promote", expected=409)
        test = owner.ask("POST", "workspaces/saml-config/test", {"staged": True, "next": f"{app}/signed-in"})["url"]

        def steps(page: Page) -> dict[str, str]:
            page.goto(test)
            second.log_in(page, BOB)
            return arrive(page, app)

        def through_the_second(page: Page) -> Any:
            leave(page, api, app)
            second.log_in(page, BOB)
            return trade(page, api, arrive(page, app)["code"])["status"]

        tested = browse(steps)
        before = sign_in()[1]["status"]
        promoted = owner.ask("POST", "workspaces/saml-config/staged/promote")["entity_id"]
        after = browse(through_the_second)
        owner.ask("POST", "workspaces/saml-config/rollback")
        again = sign_in()[1]["status"]

    assert tested.keys() == {"attempt"}
    assert (before, after, again) == (200, 200, 200)
    assert promoted == f"{second}/entity"


# Single logout


def enter(page: Page, api: str, app: str, provider: RealProvider) -> str:
    """Sign Bob in and return his access token."""
    leave(page, api, app)
    provider.log_in(page, BOB)
    token: str = trade(page, api, arrive(page, app)["code"])["pair"]["access_token"]
    return token


def is_known_at_the_provider(page: Page, api: str, app: str) -> bool:
    """Begin once more, and return whether the provider answers without asking who it is."""
    leave(page, api, app)
    page.wait_for_selector("input[name=password], p:has-text('the app')")
    return page.url.startswith(app)


def test_signing_out_here_signs_out_at_the_provider(api: str, app: str, owner: Owner, provider: RealProvider):
    def steps(page: Page) -> tuple[Any, ...]:
        token = enter(page, api, app, provider)
        before = page.evaluate(STATUS, [api, token]), is_known_at_the_provider(page, api, app)
        url = page.evaluate(LEAVE, [api, token, f"{app}/signed-out"])
        page.goto(url)
        page.wait_for_url(f"{app}/signed-out*")
        place = page.url
        after = page.evaluate(STATUS, [api, token]), is_known_at_the_provider(page, api, app)
        return before, url, place, after

    before, url, place, after = browse(steps)

    assert (before, after) == ((200, True), (401, False))
    assert (url.startswith(str(provider)), place) == (True, f"{app}/signed-out"), owner.last_attempt()


def test_signing_out_at_the_provider_signs_out_here(api: str, app: str, owner: Owner, provider: RealProvider):
    def steps(page: Page) -> tuple[Any, ...]:
        token = enter(page, api, app, provider)
        with page.expect_response(f"{api}/api/v1/auth/saml/acme/slo?*") as answer:
            page.goto(provider.logout_url)
        page.wait_for_load_state()
        place, text = page.url, page.inner_text("body")
        page.goto(app)
        return answer.value.status, place, text, page.evaluate(STATUS, [api, token])

    status, place, text, after = browse(steps)

    assert (status, after) == (302, 401), owner.last_attempt()
    assert place.startswith(str(provider)) and ("signed out" in text or "logged out" in text), (place, text)
    event = owner.ask("GET", "audit-logs?page_size=1")["logs"][0]
    assert event["action"] == "sso.logged_out"
