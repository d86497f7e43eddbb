"""Signing in to the dashboard by Google, Apple and a workspace's identity provider: out, back, and what goes wrong."""

import re
from typing import Any

import pytest
from django.conf import settings
from django.test import Client

from accounts.models import SignIn, User
from accounts.throttles import EXCHANGE_BY_ADDRESS, OAUTH_START_BY_ADDRESS, SAML_START_BY_ADDRESS
from dashboard.round_trip_errors import SENTENCES, UNKNOWN
from sso.models import IdentityProvider, LoginCode, SamlAttempt
from tests.support.apple_provider import DANA, StandIn
from tests.support.cast import Actor
from tests.support.entrance import is_signed_in, visitor
from tests.support.oauth import come_back, told
from tests.support.pages import signed_in
from tests.support.saml_idp import SamlIdp
from tests.support.saml_steps import bring_answer
from tests.support.totp import code, enrol, wait_for_an_early_moment, wrong_code

pytest_plugins = ["tests.support.oauth_fixtures", "tests.support.saml_fixtures"]

DOCS = [settings.BASE_DIR / "docs" / name for name in ("sso-google-apple.md", "saml.md")]


def leave(browser: Client, path: str) -> str:
    """Begin a round trip and return the provider's address."""
    answer = browser.get(path)
    assert answer.status_code == 302, answer.content
    return str(answer["Location"])


def back(browser: Client, answer: Any) -> Any:
    """Follow the provider's answer to the page that it leads to."""
    assert answer["Location"].startswith(f"{settings.PUBLIC_URL}/signed-in?")
    return browser.get(answer["Location"].removeprefix(settings.PUBLIC_URL))


@pytest.mark.parametrize("name", ["google", "apple"])
def test_a_provider_signs_in_to_where_one_wanted_to_go(db: None, name: str, google: StandIn, apple: StandIn):
    provider = {"google": google, "apple": apple}[name]
    browser = visitor()
    text = browser.get("/sign-in?next=/settings/sign-ins").content.decode()
    assert f'href="/sign-in/with/{name}"' in text

    url = leave(browser, f"/sign-in/with/{name}")
    answer = back(browser, come_back(browser, provider.consent(url), name))

    assert answer["Location"] == "/settings/sign-ins" and is_signed_in(browser)
    assert SignIn.objects.get().method == name


def test_providers_that_are_not_set_up_are_not_offered(db: None):
    browser = visitor()

    assert b"/sign-in/with/" not in browser.get("/sign-in").content
    assert browser.get("/sign-in/with/google").status_code == 503
    assert browser.get("/sign-in/with/nobody").status_code == 404


def test_the_answer_counts_in_the_browser_that_began_and_once(db: None, google: StandIn):
    browser, another = visitor(), visitor()
    answer = come_back(browser, google.consent(leave(browser, "/sign-in/with/google")))
    leave(another, "/sign-in/with/google")
    codes = LoginCode.objects.count()

    assert back(another, answer).status_code == 400 and not is_signed_in(another)
    assert back(visitor(), answer).status_code == 400
    assert LoginCode.objects.count() == codes  # a stranger's browser does not even spend it
    assert back(browser, answer).status_code == 302 and is_signed_in(browser)
    assert back(browser, answer).status_code == 400


def test_nothing_of_it_stands_in_an_address_but_the_code(db: None, google: StandIn):
    browser = visitor()
    url = leave(browser, "/sign-in/with/google")
    verifier = browser.session["round_trip"]["verifier"]

    answer = come_back(browser, google.consent(url))

    assert told(answer).keys() == {"code", "state"}
    assert verifier not in answer["Location"] + url


def test_a_second_factor_is_asked_for_behind_the_providers_word(alice: Actor, google: StandIn):
    wait_for_an_early_moment()
    google.person = DANA | {"email": alice.user.email}
    browser = visitor()
    back(browser, come_back(browser, google.consent(leave(browser, "/sign-in/with/google"))))  # links
    browser.post("/sign-out")
    secret, _ = enrol(alice)

    asked = back(browser, come_back(browser, google.consent(leave(browser, "/sign-in/with/google?next=/workspaces"))))
    assert asked["Location"] == "/sign-in/code" and not is_signed_in(browser)
    assert b"within a minute" in browser.get("/sign-in/code").content
    assert browser.post("/sign-in/code", {"otp": wrong_code(secret)}).status_code == 401
    answer = browser.post("/sign-in/code", {"otp": code(secret)})

    assert answer["Location"] == "/workspaces" and is_signed_in(browser)
    assert SignIn.objects.latest("created_at").method == "google"


def test_a_code_that_came_too_late_begins_anew(alice: Actor, google: StandIn):
    google.person = DANA | {"email": alice.user.email}
    browser = visitor()
    back(browser, come_back(browser, google.consent(leave(browser, "/sign-in/with/google"))))
    browser.post("/sign-out")
    secret, _ = enrol(alice)
    back(browser, come_back(browser, google.consent(leave(browser, "/sign-in/with/google"))))
    LoginCode.objects.all().delete()

    answer = browser.post("/sign-in/code", {"otp": code(secret)}, follow=True)

    assert answer.request["PATH_INFO"] == "/sign-in" and b"took too long" in answer.content


# --- A workspace's identity provider


@pytest.mark.parametrize("is_required", [False, True])
def test_the_workspaces_provider_signs_in(alice: Actor, idp: SamlIdp, connection: IdentityProvider, is_required: bool):
    connection.workspace.requires_sso = is_required
    connection.workspace.save()
    browser = visitor()
    browser.get("/sign-in?next=/settings/sign-ins")
    browser.post("/sign-in", {"email": alice.user.email})

    url = leave(browser, "/sign-in/by/acme")
    answer = back(browser, bring_answer(browser, idp.respond(url, name_id=alice.user.email)))

    assert answer["Location"] == "/settings/sign-ins" and is_signed_in(browser)
    assert SignIn.objects.latest("created_at").method == "saml"


def test_what_the_provider_says_wrong_is_told_with_a_reference(alice: Actor, idp: SamlIdp, connection):
    browser = visitor()
    url = leave(browser, "/sign-in/by/acme")

    answer = back(browser, bring_answer(browser, idp.respond(url, name_id=alice.user.email, audiences=[["elsewhere"]])))

    reference = SamlAttempt.objects.get().reference
    assert answer.status_code == 400 and not is_signed_in(browser)
    text = answer.content.decode()
    assert reference in text and 'href="/sign-in/by/acme"' in text


def test_a_workspace_without_a_provider_leads_nowhere(alice: Actor):
    assert visitor().get("/sign-in/by/acme").status_code == 404
    assert visitor().get("/sign-in/by/%3Cscript%3E").status_code == 404


# --- Errors


def test_every_code_in_the_docs_has_its_sentence():
    table = DOCS[0].read_text().split("As an answer in JSON")[0].split("## What can go wrong")[1]
    codes = {code for row in re.findall(r"^\| (`.+?) \|", table, re.MULTILINE) for code in re.findall(r"`(\w+)`", row)}
    codes -= {"error"}

    assert len(codes) > 15
    assert codes | {"sso_failed"} == set(SENTENCES)


def came_back_with(browser: Client, **query: str) -> Any:
    return browser.get("/signed-in", {"state": browser.session["round_trip"]["state"], **query})


def test_cancelling_at_the_provider_leads_back(db: None, google: StandIn):
    browser = visitor()
    url = leave(browser, "/sign-in/with/google?next=/workspaces")
    state = dict(part.split("=") for part in url.split("?")[1].split("&"))["state"]

    answer = back(browser, come_back(browser, {"error": "access_denied", "state": state}))

    text = answer.content.decode()
    assert answer.status_code == 400 and SENTENCES["access_denied"] in text
    assert 'href="/sign-in/with/google"' in text and 'href="/sign-in?next=%2Fworkspaces"' in text


@pytest.mark.parametrize("error", ["<script>alert(1)</script>", "made_up"])
def test_what_stands_in_the_address_is_not_repeated(db: None, google: StandIn, error: str):
    browser = visitor()
    leave(browser, "/sign-in/with/google")

    answer = came_back_with(browser, error=error, reference=error)

    text = answer.content.decode()
    assert UNKNOWN in text and error not in text and "alert(1)" not in text


def test_an_error_that_nobody_began_is_not_believed(db: None):
    answer = visitor().get("/signed-in", {"error": "account_inactive", "state": "x", "reference": "AB12"})

    text = answer.content.decode()
    assert answer.status_code == 400 and "not begun in this browser" in text
    assert SENTENCES["account_inactive"] not in text and "AB12" not in text


def test_coming_to_the_end_without_anything_goes_on(alice: Actor):
    assert visitor().get("/signed-in")["Location"] == "/sign-in"
    assert signed_in(alice, SERVER_NAME="localhost").get("/signed-in")["Location"] == "/"


def test_a_code_of_somebody_elses_round_trip_is_refused(db: None, google: StandIn):
    """Login CSRF: a code that an attacker got for their own account, brought to another browser."""
    attacker, victim = visitor(), visitor()
    stolen = told(come_back(attacker, google.consent(leave(attacker, "/sign-in/with/google"))))["code"]
    leave(victim, "/sign-in/with/google")

    answer = came_back_with(victim, code=stolen)

    assert answer.status_code == 400 and not is_signed_in(victim)


@pytest.mark.parametrize(
    ("limit", "path"),
    [(OAUTH_START_BY_ADDRESS, "/sign-in/with/google"), (SAML_START_BY_ADDRESS, "/sign-in/by/acme")],
)
@pytest.mark.usefixtures("standing_clock")
def test_beginning_is_limited_as_in_the_api(alice: Actor, limit, path: str, google: StandIn, connection):
    for _ in range(int(limit.rate.split("/")[0])):
        limit.charge(alice.request(), "127.0.0.1")

    answer = visitor().get(path)

    assert answer.status_code == 429 and int(answer["Retry-After"]) > 0


@pytest.mark.usefixtures("standing_clock")
def test_trading_is_limited_as_in_the_api(alice: Actor, google: StandIn):
    browser = visitor()
    answer = come_back(browser, google.consent(leave(browser, "/sign-in/with/google")))
    for _ in range(int(EXCHANGE_BY_ADDRESS.rate.split("/")[0])):
        EXCHANGE_BY_ADDRESS.charge(alice.request(), "127.0.0.1")

    answer = back(browser, answer)

    assert answer.status_code == 429 and int(answer["Retry-After"]) > 0
    assert not is_signed_in(browser)


def test_a_suspended_account_hears_why(db: None, google: StandIn):
    browser = visitor()
    back(browser, come_back(browser, google.consent(leave(browser, "/sign-in/with/google"))))
    browser.post("/sign-out")
    User.objects.update(is_active=False)

    answer = back(browser, come_back(browser, google.consent(leave(browser, "/sign-in/with/google"))))

    assert answer.status_code == 400 and SENTENCES["account_inactive"] in answer.content.decode()
