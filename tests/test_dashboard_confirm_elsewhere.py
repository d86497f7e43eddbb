"""Step-up at a provider: the same person comes back, and the sign-in that was there goes on."""

import time

from django.test import Client
from social_django.models import UserSocialAuth

from accounts.models import SignIn, User
from accounts.principal import Client as Caller
from accounts.tokens import AccessToken, issue
from dashboard.session import FRESH_FOR
from sso.models import IdentityProvider
from tests.support.apple_provider import DANA, StandIn
from tests.support.cast import Actor
from tests.support.oauth import come_back
from tests.support.pages import age_session, signed_in
from tests.support.saml_idp import SamlIdp, parse_request
from tests.support.saml_steps import bring_answer
from tests.support.totp import code, enrol, wait_for_an_early_moment

pytest_plugins = ["tests.support.oauth_fixtures", "tests.support.saml_fixtures"]

CONFIRM = "/confirm?next=/settings/profile/delete"
BY_GOOGLE = "/confirm/elsewhere?way=google&next=/settings/profile/delete"
BY_WORKSPACE = "/confirm/elsewhere?way=workspace&next=/settings/profile/delete"


def old_session(actor: Actor, **options: object) -> Client:
    browser = signed_in(actor, SERVER_NAME="localhost", **options)
    age_session(browser, FRESH_FOR + 1)
    return browser


def link(actor: Actor) -> None:
    """Let Google's Dana be the actor."""
    UserSocialAuth.objects.create(user=actor.user, provider="google", uid=DANA["sub"])


def go(browser: Client, path: str) -> str:
    """Follow our own redirects, and return where the browser leaves us for."""
    answer = browser.get(path)
    while answer.status_code == 302 and answer["Location"].startswith("/"):
        answer = browser.get(answer["Location"])
    assert answer.status_code == 302, answer.content
    return str(answer["Location"])


def live(actor: Actor) -> list[object]:
    return list(SignIn.objects.live().filter(user=actor.user).values_list("id", flat=True))


def is_fresh(browser: Client) -> bool:
    return time.time() - browser.session["proven_at"] < FRESH_FOR


def test_google_confirms_whom_it_is_linked_to(alice: Actor, google: StandIn):
    link(alice)
    browser = old_session(alice)
    assert b"Sign in with Google again" in browser.get(CONFIRM).content

    back = come_back(browser, google.consent(go(browser, BY_GOOGLE)))
    answer = browser.get(back["Location"])

    assert (answer.status_code, answer["Location"]) == (302, "/settings/profile/delete")
    assert is_fresh(browser) and browser.session["sign_in"][0] == str(alice.sign_in_id)
    assert live(alice) == [alice.sign_in_id]
    assert SignIn.objects.get(method="google").revoked_reason == "confirmed_only"
    assert browser.get("/settings/profile/delete").status_code == 200


def test_with_a_second_factor_its_code_is_asked_for_as_well(alice: Actor, google: StandIn):
    wait_for_an_early_moment()
    secret, _ = enrol(alice)
    link(alice)
    browser = old_session(alice)

    back = come_back(browser, google.consent(go(browser, BY_GOOGLE)))
    asked = browser.get(back["Location"])
    assert asked["Location"] == "/sign-in/code" and not is_fresh(browser)
    assert browser.post("/sign-in/code", {"otp": "000000"}).status_code == 401 and not is_fresh(browser)
    answer = browser.post("/sign-in/code", {"otp": code(secret)})

    assert answer["Location"] == "/settings/profile/delete" and is_fresh(browser)
    assert live(alice) == [alice.sign_in_id]


def test_somebody_else_confirms_nothing(alice: Actor, bob: Actor, google: StandIn):
    link(alice)
    browser = old_session(alice)
    away = go(browser, BY_GOOGLE)
    UserSocialAuth.objects.update(user=bob.user)

    answer = browser.get(come_back(browser, google.consent(away))["Location"], follow=True)

    assert answer.request["PATH_INFO"] == "/confirm" and not is_fresh(browser)
    assert b"somebody else, not as alice@acme.test" in answer.content
    assert browser.session["sign_in"][0] == str(alice.sign_in_id)
    assert not SignIn.objects.live().filter(method="google").exists()


def test_ways_that_are_not_ones_own_are_not_there(alice: Actor, google: StandIn):
    browser = old_session(alice)

    for way in ("google", "apple", "workspace", "", "<script>"):
        assert browser.get("/confirm/elsewhere", {"way": way}).status_code == 404
    assert b"again</a>" not in browser.get(CONFIRM).content


def test_without_a_password_the_provider_is_the_way(alice: Actor, google: StandIn):
    User.objects.filter(id=alice.user.id).update(password="!")
    link(alice)
    browser = old_session(alice)

    text = browser.get(CONFIRM).content.decode()

    assert "Sign in with Google again" in text and 'name="current_password"' not in text
    assert browser.post(CONFIRM, {"current_password": ""}).status_code == 404
    UserSocialAuth.objects.all().delete()
    assert 'href="/forgot-password"' in browser.get(CONFIRM).content.decode()


def test_the_workspaces_provider_is_asked_for_a_new_login(alice: Actor, idp: SamlIdp, connection: IdentityProvider):
    saml = issue(alice.membership, "saml", Caller("192.0.2.8", "tests"))
    browser = signed_in(alice, saml, SERVER_NAME="localhost")
    age_session(browser, FRESH_FOR + 1)
    text = browser.get(CONFIRM).content.decode()
    assert "Sign in by single sign-on again" in text and 'name="current_password"' not in text

    away = go(browser, BY_WORKSPACE)
    assert parse_request(away).tree.get("ForceAuthn") == "true"
    answer = browser.get(bring_answer(browser, idp.respond(away, name_id="alice@acme.test"))["Location"])

    assert answer["Location"] == "/settings/profile/delete" and is_fresh(browser)
    assert set(live(alice)) == {alice.sign_in_id, AccessToken.read(saml.access_token).sid}


def test_a_colleague_at_the_provider_confirms_nothing(alice: Actor, bob: Actor, idp: SamlIdp, connection):
    saml = issue(alice.membership, "saml", Caller("192.0.2.8", "tests"))
    browser = signed_in(alice, saml, SERVER_NAME="localhost")
    age_session(browser, FRESH_FOR + 1)

    away = go(browser, BY_WORKSPACE)
    answer = browser.get(bring_answer(browser, idp.respond(away, name_id="bob@acme.test"))["Location"])

    assert answer["Location"].startswith("/confirm?") and not is_fresh(browser)
    assert len(live(bob)) == 1


def test_what_was_begun_to_confirm_and_given_up_signs_in_as_usual_later(alice: Actor, bob: Actor, google: StandIn):
    link(alice)
    browser = old_session(alice)
    go(browser, BY_GOOGLE)

    away = go(browser, "/sign-in/with/google?next=/workspaces")
    answer = browser.get(come_back(browser, google.consent(away))["Location"])

    assert answer["Location"] == "/workspaces"
    assert browser.session["sign_in"][0] == str(SignIn.objects.get(method="google").id)
