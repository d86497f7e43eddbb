"""Whole sign-ins in a real browser at identity providers that we did not write: pysaml2's and Debian's SimpleSAMLphp.

An owner connects each by its own metadata, and it reads ours. It is at 127.0.0.1 and so another site than the service
and the app at localhost: cookies cross, or do not, as they would on the internet.
"""

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from django.conf import settings
from playwright.sync_api import Page, Request, Route
from social_django.models import UserSocialAuth

from accounts.models import SignIn
from sso.models import LoginCode, SamlRequest
from tests.support.app_page import app_page
from tests.support.browser import browse
from tests.support.cast import Actor
from tests.support.dns_server import DnsServer, dns_server
from tests.support.launch import launch
from tests.support.oauth import CHALLENGED, CLIENT_STATE, VERIFIER
from tests.support.pysaml2_idp import pysaml2_idp
from tests.support.race import call
from tests.support.real_providers import BOB, EVE, PERSISTENT, RealProvider
from tests.support.simplesamlphp import simplesamlphp

pytestmark = pytest.mark.django_db(transaction=True)

TRADE = """async ([api, body]) => {
    const headers = {"Content-Type": "application/json"};
    const asked = {method: "POST", headers, body: JSON.stringify(body)};
    const traded = await fetch(`${api}/api/v1/auth/sso/exchange`, asked);
    const pair = await traded.json();
    const bearer = {headers: {Authorization: `Bearer ${pair.access_token}`}};
    const fences = await fetch(`${api}/api/v1/geofences/`, bearer);
    return {status: traded.status, pair, fences: fences.status};
}"""
REFRESH = """async () => {
    const refreshed = await fetch("/api/v1/auth/refresh", {method: "POST"});
    const pair = await refreshed.json();
    const fences = await fetch("/api/v1/geofences/", {headers: {Authorization: `Bearer ${pair.access_token}`}});
    return [refreshed.status, fences.status];
}"""
POST = """([url, answer]) => {
    const form = Object.assign(document.createElement("form"), {method: "post", action: url});
    for (const [name, value] of Object.entries(answer)) {
        form.append(Object.assign(document.createElement("input"), {type: "hidden", name, value}));
    }
    document.body.append(form);
    form.submit();
}"""


SIGNED: dict[str, dict[str, Any]] = {
    "both-signed": {},
    "assertion-signed": {"signs_response": False},
    "response-signed": {"signs_assertion": False},
}


def only(start: Any) -> pytest.MarkDecorator:
    """Run a test with one of the providers: the other cannot do what it needs."""
    return pytest.mark.parametrize("running", [start], ids=[start.__name__], indirect=True)


@pytest.fixture(scope="module")
def dns() -> Iterator[DnsServer]:
    with dns_server() as running:
        yield running


@pytest.fixture(scope="module")
def app() -> Iterator[str]:
    with app_page() as page:
        yield page


@pytest.fixture(scope="module")
def api(database_url: str, app: str, dns: DnsServer) -> Iterator[str]:
    """The service at localhost, which asks our DNS and knows the app."""
    environment = {"CORS_ALLOWED_ORIGINS": app, "DNS_RESOLVER": "{}:{}".format(*dns.address)}
    environment |= {"JWT_ISSUER": settings.PUBLIC_URL}  # so that it takes the token that Alice has from us
    with launch(database_url, workers=1, extra_env=environment) as server:
        yield server.replace("127.0.0.1", "localhost")


@pytest.fixture(scope="module", params=[pysaml2_idp, simplesamlphp], ids=["pysaml2", "SimpleSAMLphp"])
def running(request: pytest.FixtureRequest) -> Iterator[RealProvider]:
    with request.param() as provider:
        yield provider


@pytest.fixture
def provider(running: RealProvider) -> RealProvider:
    running.answer()
    return running


class Owner:
    """Alice at the API of the running service."""

    def __init__(self, api: str, alice: Actor) -> None:
        self.api, self.token = api, alice.pair.access_token

    def ask(self, method: str, path: str, body: Any = None, expected: int = 200) -> Any:
        answer = call(self.api, method, f"/api/v1/{path}", body, {"Authorization": f"Bearer {self.token}"})
        assert answer.status == expected, (path, answer)
        return answer.body

    def prove(self, dns: DnsServer, domain: str = "acme.test") -> None:
        claimed = self.ask("POST", "workspaces/domains", {"domain": domain}, 201)
        dns.records[claimed["dns_name"]] = [claimed["dns_value"]]
        assert self.ask("POST", f"workspaces/domains/{claimed['id']}/verify")["status"] == "proven"

    def import_metadata(self, provider: RealProvider, **others: Any) -> Any:
        return self.ask("POST", "workspaces/saml-config/metadata", {"xml": provider.metadata().decode(), **others})

    def patch(self, **fields: Any) -> Any:
        return self.ask("PATCH", "workspaces/saml-config", fields)

    def last_attempt(self) -> Any:
        return self.ask("GET", "workspaces/saml-config/attempts?limit=1")["attempts"][0]


@pytest.fixture
def owner(api: str, alice: Actor, bob: Actor, dns: DnsServer, provider: RealProvider) -> Owner:
    """Alice, after she has connected the provider as anybody would: metadata in, proof by DNS, our metadata out."""
    owner = Owner(api, alice)
    owner.prove(dns)
    owner.import_metadata(provider, covered_domain="acme.test")
    owner.patch(attribute_mapping=provider.attributes)
    read_ours(api, provider)
    return owner


def read_ours(api: str, provider: RealProvider) -> None:
    """Let the provider's administrator fetch our metadata (anew)."""
    provider.fetch(f"{api}/api/v1/auth/saml/acme/metadata")


def leave(page: Page, api: str, app: str) -> None:
    """Begin at the app's page, and be sent to the provider."""
    page.goto(app)
    page.goto(f"{api}/api/v1/auth/saml/acme/initiate?{urlencode({**CHALLENGED, 'next': f'{app}/signed-in'})}")


def arrive(page: Page, app: str) -> dict[str, str]:
    """Return what the app's page is told when the browser is back."""
    page.wait_for_url(f"{app}/signed-in?*")
    return dict(parse_qsl(urlsplit(page.url).query))


def trade(page: Page, api: str, code: str) -> Any:
    return page.evaluate(TRADE, [api, {"code": code, "code_verifier": VERIFIER, "state": CLIENT_STATE}])


@pytest.fixture
def sign_in(api: str, app: str, provider: RealProvider) -> Callable[..., Any]:
    """Call it to go all the way in a new browser; returns what the page was told, and what trading the code gave."""

    def run(person: Any = BOB) -> tuple[dict[str, str], Any]:
        def steps(page: Page) -> tuple[dict[str, str], Any]:
            leave(page, api, app)
            provider.log_in(page, person)
            back = arrive(page, app)
            return back, trade(page, api, back["code"]) if "code" in back else None

        return browse(steps)

    return run


def keep_answer(page: Page, api: str, *, deliver: bool) -> list[tuple[str, dict[str, str]]]:
    """Return the list that will hold what the provider lets this page post to us, and whether it gets here."""
    kept: list[tuple[str, dict[str, str]]] = []

    def on_post(route: Route, request: Request) -> None:
        kept.append((request.url, dict(parse_qsl(request.post_data or "", keep_blank_values=True))))
        route.continue_() if deliver else route.fulfill(body="<p>kept back", content_type="text/html")

    page.route(f"{api}/api/v1/auth/saml/acme/acs", on_post)
    return kept


def post(page: Page, url: str, answer: dict[str, str]) -> tuple[int, str]:
    """Post an answer across sites from the page where the browser is; return the status and the page."""
    with page.expect_response(url) as response:
        page.evaluate(POST, [url, answer])
    page.wait_for_load_state()
    return response.value.status, page.inner_text("main")


def sign_ins_of_bob() -> list[tuple[str, str]]:
    """Return method and workspace of those that the identity provider has vouched for."""
    return list(SignIn.objects.exclude(method="password").values_list("method", "workspace__slug"))


@pytest.mark.parametrize(
    "answers", [*SIGNED.values(), {"name_id_format": PERSISTENT}], ids=[*SIGNED, "persistent-name-id"]
)
def test_a_member_signs_in(owner: Owner, provider: RealProvider, bob: Actor, sign_in: Any, answers: dict[str, Any]):
    provider.answer(**answers)

    back, traded = sign_in()

    assert (back.keys(), back.get("state")) == ({"code", "state"}, CLIENT_STATE), owner.last_attempt()
    assert (traded["status"], traded["fences"], traded["pair"]["user"]["email"]) == (200, 200, BOB.email)
    assert traded["pair"]["created"] is False
    assert sign_ins_of_bob() == [("saml", "acme")]
    identity = UserSocialAuth.objects.get()
    assert (identity.user, identity.provider[:5], identity.extra_data) == (bob.user, "saml-", {})
    assert (identity.uid == BOB.email) is ("name_id_format" not in answers)
    assert (SamlRequest.objects.count(), LoginCode.objects.count()) == (0, 0)


def test_a_persistent_name_id_is_the_same_each_time(owner: Owner, provider: RealProvider, bob: Actor, sign_in: Any):
    provider.answer(name_id_format=PERSISTENT)

    assert [sign_in()[1]["status"] for _ in range(2)] == [200, 200]
    assert UserSocialAuth.objects.get().user == bob.user


@pytest.mark.parametrize("signed", SIGNED.values(), ids=SIGNED)
def test_an_encrypted_assertion_signs_in_and_a_plain_one_no_more(
    api: str, owner: Owner, provider: RealProvider, sign_in: Any, signed: dict[str, Any]
):
    owner.patch(requires_encryption=True)
    read_ours(api, provider)

    provider.answer(encrypts=True, **signed)
    _, encrypted = sign_in()
    provider.answer(encrypts=False, **signed)
    plain, _ = sign_in()

    assert encrypted is not None, owner.ask("GET", "workspaces/saml-config/attempts")
    assert (encrypted["status"], encrypted["fences"]) == (200, 200)
    assert (plain.keys(), owner.last_attempt()["failed_check"]) == ({"error", "reference", "state"}, "encryption")
    assert sign_ins_of_bob() == [("saml", "acme")]


@only(pysaml2_idp)
def test_an_assertion_encrypted_with_triple_des_is_refused(
    api: str, owner: Owner, provider: RealProvider, sign_in: Any
):
    """It is what pysaml2 uses unless it is told otherwise."""
    owner.patch(requires_encryption=True)
    read_ours(api, provider)
    provider.answer(encrypts=True, signs_assertion=False, cipher="http://www.w3.org/2001/04/xmlenc#tripledes-cbc")

    back, _ = sign_in()

    assert (back["error"], owner.last_attempt()["failed_check"]) == ("sso_failed", "structure")
    assert sign_ins_of_bob() == []


def test_the_provider_changes_its_key(owner: Owner, provider: RealProvider, sign_in: Any):
    provider.answer(announces_next_key=True)
    certificates = owner.import_metadata(provider)["certificates"]
    _, before = sign_in()
    provider.answer(signing_key="next")
    _, after = sign_in()

    assert [certificate["is_expired"] for certificate in certificates] == [False, False]
    assert (before["status"], after["status"]) == (200, 200)


def test_a_key_that_the_owner_has_not_taken_over_is_refused(owner: Owner, provider: RealProvider, sign_in: Any):
    provider.answer(signing_key="next")

    back, _ = sign_in()

    attempt = owner.last_attempt()
    assert (back["error"], back["reference"]) == ("sso_failed", attempt["reference"])
    assert (attempt["failed_check"], attempt["attributes"]) == ("signature", {})
    assert sign_ins_of_bob() == []


def test_the_provider_wants_signed_requests(api: str, owner: Owner, provider: RealProvider, sign_in: Any):
    owner.patch(signs_requests=True)
    read_ours(api, provider)
    provider.answer(wants_signed_requests=True)

    _, traded = sign_in()

    assert (traded["status"], traded["fences"]) == (200, 200)


def test_a_provider_that_wants_signed_requests_refuses_unsigned_ones(
    api: str, app: str, owner: Owner, provider: RealProvider
):
    """So that the test above proves something."""
    owner.patch(signs_requests=True)
    read_ours(api, provider)
    owner.patch(signs_requests=False)
    provider.answer(wants_signed_requests=True)

    def steps(page: Page) -> str:
        leave(page, api, app)
        if page.locator("input[name=password]").count():
            provider.log_in(page, BOB)  # pysaml2's looks at the request when it answers
        page.wait_for_selector(f"text={provider.refusal}")
        return page.url

    assert browse(steps).startswith(str(provider))
    assert sign_ins_of_bob() == []


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
    assert ours["spatialflow_sso"] == ("None", True, True) and "spatialflow_refresh" not in ours
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

    assert (status, cookies) == (400, ["spatialflow_sso"]) and owner.last_attempt()["reference"] in refused
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


def test_a_person_of_another_domain_is_refused(owner: Owner, sign_in: Any):
    back, _ = sign_in(EVE)

    attempt = owner.last_attempt()
    assert (back["error"], back["reference"]) == ("sso_failed", attempt["reference"])
    assert attempt["failed_check"] == "domain"
    assert (UserSocialAuth.objects.count(), LoginCode.objects.count()) == (0, 0)


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


# --- Single logout


LEAVE = """async ([api, token, place]) => {
    const headers = {"Content-Type": "application/json", Authorization: `Bearer ${token}`};
    const asked = {method: "POST", headers, body: JSON.stringify({next: place})};
    return (await (await fetch(`${api}/api/v1/auth/saml/logout`, asked)).json()).logout_url;
}"""
STATUS = """async ([api, token]) => {
    return (await fetch(`${api}/api/v1/geofences/`, {headers: {Authorization: `Bearer ${token}`}})).status;
}"""


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
