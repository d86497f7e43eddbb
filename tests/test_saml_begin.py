"""Beginning a sign-in by a workspace's provider in a browser: nobody is led into one, and what is refused is a page."""

from typing import Any

import pytest
from django.test import Client

from accounts.models import SignIn
from sso.models import IdentityProvider, SamlAttempt, SamlRequest
from tests.support.cast import Actor, make_workspace
from tests.support.entrance import is_signed_in, visitor
from tests.support.oauth import CHALLENGED, FORM, told
from tests.support.pages import signed_in
from tests.support.saml_idp import SamlIdp
from tests.support.saml_steps import bring_answer

pytest_plugins = ["tests.support.saml_fixtures"]
pytestmark = pytest.mark.django_db

BY_ACME = "/sign-in/by/acme"
PAGE = {"HTTP_ACCEPT": "text/html,application/xhtml+xml,*/*;q=0.8"}


def leads_on(answer: Any) -> bool:
    return bool(answer.status_code == 302 and answer["Location"].startswith("https://idp.acme.test/sso?"))


def asks(answer: Any) -> bool:
    text = answer.content.decode()
    return answer.status_code == 200 and "Sign in by the identity provider of <strong>Acme</strong>" in text


# Who is asked first


@pytest.mark.parametrize(
    "headers",
    [
        {"HTTP_SEC_FETCH_SITE": "cross-site"},
        {"HTTP_SEC_FETCH_SITE": "same-site"},
        {"HTTP_REFERER": "https://evil.test/"},
        {"HTTP_REFERER": "https://localhost.evil.test/"},
    ],
    ids=str,
)
def test_a_link_of_another_site_begins_nothing(connection, headers):
    browser = visitor()

    assert asks(browser.get(BY_ACME, **headers))
    assert not SamlRequest.objects.exists() and "__Host-sso" not in browser.cookies
    answer = browser.post(BY_ACME)
    assert answer["Refresh"].startswith("0; url=https://idp.acme.test/sso?") and SamlRequest.objects.count() == 1


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"HTTP_SEC_FETCH_SITE": "none"},
        {"HTTP_SEC_FETCH_SITE": "same-origin", "HTTP_REFERER": "http://localhost/sign-in"},
        {"HTTP_REFERER": "http://localhost/sign-in"},
    ],
    ids=str,
)
def test_whoever_comes_by_themselves_is_led_on(connection, headers):
    assert leads_on(visitor().get(BY_ACME, **headers))


def test_whoever_is_signed_in_is_asked_and_stays_so(alice: Actor, bob, idp, connection):
    browser = signed_in(alice, SERVER_NAME="localhost")

    answer = browser.get(BY_ACME, HTTP_SEC_FETCH_SITE="same-origin")

    assert asks(answer) and "You are signed in as alice@acme.test" in answer.content.decode()
    assert SignIn.objects.live().filter(id=alice.sign_in_id).exists() and is_signed_in(browser)
    url = browser.post(BY_ACME)["Refresh"].removeprefix("0; url=")
    browser.get(bring_answer(browser, idp.respond(url))["Location"].removeprefix("http://localhost:8000"))
    assert b"bob@acme.test" in browser.get("/settings/profile").content
    assert not SignIn.objects.live().filter(id=alice.sign_in_id).exists()


def test_another_site_cannot_answer_for_them(connection):
    browser = visitor(enforce_csrf_checks=True)

    for headers in ({}, {"HTTP_SEC_FETCH_SITE": "cross-site"}, {"HTTP_ORIGIN": "https://evil.test"}):
        assert browser.post(BY_ACME, **headers).status_code == 403
    assert not SamlRequest.objects.exists()


def test_the_address_of_the_api_begins_nothing_by_itself(connection, browser):
    answer = browser.get("/api/v1/auth/saml/acme/initiate", {"next": "/geofences?page=2"})

    assert (answer.status_code, answer["Location"]) == (302, f"{BY_ACME}?next=%2Fgeofences%3Fpage%3D2")
    assert not SamlRequest.objects.exists()
    assert browser.get("/api/v1/auth/saml/acme/initiate")["Location"] == BY_ACME


def test_a_page_of_another_origin_has_to_bring_a_challenge(connection, browser, settings):
    settings.CORS_ALLOWED_ORIGINS = ["https://app.acme.test"]
    query = {"next": "https://app.acme.test/back"}

    refusal = browser.get("/api/v1/auth/saml/acme/initiate", query)

    assert (refusal.status_code, refusal.json()["error_code"]) == (400, "code_challenge_required")
    assert leads_on(browser.get("/api/v1/auth/saml/acme/initiate", CHALLENGED | query))


# Tabs


def test_two_tabs_do_not_disturb_each_other(alice, bob, idp, connection):
    browser = visitor()
    first = browser.get(f"{BY_ACME}?next=/geofences")["Location"]
    second = browser.get(f"{BY_ACME}?next=/workspaces")["Location"]

    for url in (first, second):
        back = bring_answer(browser, idp.respond(url))
        arrived = browser.get(back["Location"].removeprefix("http://localhost:8000"))
        assert arrived.status_code == 302 and is_signed_in(browser)
    assert SignIn.objects.filter(method="saml").count() == 2


def test_the_session_keeps_a_few_of_them(alice, bob, idp, connection):
    browser = visitor()
    urls = [browser.get(BY_ACME)["Location"] for _ in range(20)]

    assert len(browser.cookies["sessionid"].value if "sessionid" in browser.cookies else "") < 4000
    ends = [
        browser.get(bring_answer(browser, idp.respond(url))["Location"].removeprefix("http://localhost:8000"))
        for url in (urls[0], urls[-1])
    ]
    assert [end.status_code for end in ends] == [400, 302]


# What a browser sees of a refusal


@pytest.mark.parametrize(
    "bring",
    [
        lambda idp: bring_answer(Client(), idp.respond("_unknown")),
        lambda idp: bring_answer(Client(), idp.respond(None)),
        lambda idp: bring_answer(Client(), "no response"),
    ],
    ids=["of another browser", "unasked", "unreadable"],
)
def test_a_refusal_is_a_page_with_its_reference(idp, connection, bring):
    assert bring(idp)["Content-Type"] == "application/json"  # a program's

    browser = Client(**PAGE)
    answer = bring_answer(browser, idp.respond("_unknown"))

    reference = SamlAttempt.objects.latest("created_at").reference
    text = answer.content.decode()
    assert (answer.status_code, answer["Content-Type"]) == (400, "text/html; charset=utf-8")
    assert reference in text and "The sign-in failed. Begin it again" in text
    assert answer["Cache-Control"] == "no-store" and "RateLimit-Limit" in answer


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/v1/auth/saml/nowhere/initiate", 404),
        ("/api/v1/auth/saml/acme/initiate?next=https://evil.test", 400),
        ("/api/v1/auth/sso/start", 400),
        ("/api/v1/auth/saml/acme/slo", 400),
        ("/api/v1/auth/oauth/google/callback?state=x", 400),
    ],
)
def test_so_is_whatever_else_a_browser_is_led_to(connection, path, status):
    page, program = Client(**PAGE).get(path), Client(HTTP_ACCEPT="application/json").get(path)

    assert (page.status_code, page["Content-Type"]) == (status, "text/html; charset=utf-8")
    assert (program.status_code, program["Content-Type"]) == (status, "application/json")
    assert b"<h1>" in page.content and program.json()["error_code"]


def test_a_form_that_cannot_be_read_is_one_too(connection):
    answer = Client(**PAGE).post("/api/v1/auth/saml/acme/acs", b"SAMLResponse=%ff", content_type=FORM)

    assert 400 <= answer.status_code < 500 and answer["Content-Type"] == "text/html; charset=utf-8"


def test_a_refusal_on_the_way_from_the_dashboard_ends_there(bob, idp: SamlIdp, connection: IdentityProvider):
    browser = visitor()
    url = browser.get(BY_ACME)["Location"]

    back = bring_answer(browser, idp.respond(url, name_id="nobody@acme.test"))

    assert told(back)["error"] == "sso_failed"
    page = browser.get(back["Location"].removeprefix("http://localhost:8000")).content.decode()
    assert told(back)["reference"] in page


def test_a_workspace_without_a_provider_asks_nothing(connection):
    make_workspace("bare")

    assert visitor().get("/sign-in/by/bare", HTTP_SEC_FETCH_SITE="cross-site").status_code == 404
    assert visitor().post("/sign-in/by/bare").status_code == 404


def test_a_name_of_the_owners_choice_is_no_markup(idp, connection):
    connection.workspace.name = "<b>Acme</b>"
    connection.workspace.save()

    assert "&lt;b&gt;Acme" in visitor().get(BY_ACME, HTTP_SEC_FETCH_SITE="cross-site").content.decode()
