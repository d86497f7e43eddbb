"""Signing in by the dashboard's pages: address, password, second factor; what is refused, and what nobody learns."""

import time
from urllib.parse import quote

import pytest
from django.conf import settings
from django.test import Client

from accounts.login import InvalidCredentials
from accounts.models import AuditEvent, SignIn, User
from accounts.throttles import DETECT_BY_ADDRESS, LOGIN_BY_EMAIL, SECOND_FACTOR
from dashboard.entering import PATIENCE
from sso.models import IdentityProvider
from tests.support.cast import PASSWORD, Actor
from tests.support.entrance import enter_password, is_signed_in, visitor, without_tokens
from tests.support.pages import keep, signed_in
from tests.support.required_sso import demand
from tests.support.totp import code, enrol, wait_for_an_early_moment, wrong_code

pytest_plugins = ["tests.support.saml_fixtures"]

SCRIPT = "<script>alert(1)</script>"


def test_address_and_password_lead_to_where_one_wanted_to_go(alice: Actor):
    browser = visitor()
    away = browser.get("/settings/sign-ins")
    assert away["Location"] == "/sign-in?next=%2Fsettings%2Fsign-ins"

    browser.get(away["Location"])
    answer = enter_password(browser, "  ALICE@acme.test ")

    assert (answer.status_code, answer["Location"]) == (302, "/settings/sign-ins")
    assert is_signed_in(browser)
    assert SignIn.objects.filter(user=alice.user, method="password").count() == 2


def test_correcting_the_address_keeps_where_one_wanted_to_go(alice: Actor):
    browser = visitor()
    browser.get("/sign-in?next=/settings/profile")
    browser.post("/sign-in", {"email": "alise@acme.test"})

    page = browser.get("/sign-in")

    assert b'value="alise@acme.test"' in page.content
    assert enter_password(browser, alice.user.email)["Location"] == "/settings/profile"


@pytest.mark.parametrize(
    "wanted", ["https://evil.example/", "//evil.example", "/\\evil.example", "/api/v1/auth/me", ""]
)
def test_it_never_leads_to_another_site(alice: Actor, wanted: str):
    browser = visitor()
    browser.get(f"/sign-in?next={quote(wanted)}")

    assert enter_password(browser, alice.user.email)["Location"] == "/"


def test_whoever_is_signed_in_is_not_asked_again(alice: Actor):
    browser = signed_in(alice, SERVER_NAME="localhost")

    assert browser.get("/sign-in?next=/settings/profile")["Location"] == "/settings/profile"


def test_steps_cannot_be_skipped(db: None):
    browser = visitor()

    for answer in (browser.get("/sign-in/password"), browser.post("/sign-in/password", {"password": PASSWORD})):
        assert answer["Location"] == "/sign-in"
    for answer in (browser.get("/sign-in/code"), browser.post("/sign-in/code", {"otp": "123456"})):
        assert answer["Location"] == "/sign-in"


def make_kinds() -> dict[str, str]:
    """Make an account of each kind that must not be told apart; return their addresses, equally long."""
    User.objects.create_user("known00@acme.test", "another password of theirs")
    User.objects.create_user("paused0@acme.test", PASSWORD, is_active=False)
    User.objects.create_user("nopass0@acme.test", None)
    kinds = ("known00", "paused0", "nopass0", "nobody0")
    return {kind: f"{kind}@acme.test" for kind in kinds}


def test_a_refused_password_tells_nothing_of_accounts(db: None):
    seen = set()
    for email in make_kinds().values():
        browser = visitor()
        asked = browser.post("/sign-in", {"email": email})
        page = browser.get("/sign-in/password")
        answer = enter_password(browser, email)
        pages = [without_tokens(each.content).replace(email.encode(), b"") for each in (asked, page, answer)]
        seen.add((asked.status_code, asked["Location"], answer.status_code, *pages))

    [(_, _, status, _, _, said)] = seen
    assert status == InvalidCredentials.status_code
    assert b"do not fit together" in said
    assert "WWW-Authenticate" not in answer


@pytest.mark.usefixtures("standing_clock")
def test_the_limits_are_those_of_the_api(alice: Actor, anyone):
    browser = visitor()
    for _ in range(int(LOGIN_BY_EMAIL.rate.split("/")[0])):
        assert enter_password(browser, alice.user.email, "wrong").status_code == 401

    answer = enter_password(browser, alice.user.email)
    by_api = anyone.post("/api/v1/auth/login", {"email": alice.user.email, "password": PASSWORD}, format="json")

    assert (answer.status_code, by_api.status_code) == (429, 429)
    assert abs(int(answer["Retry-After"]) - int(by_api["Retry-After"])) <= 1
    assert f"Wait {answer['Retry-After']} second".encode() in answer.content
    assert not is_signed_in(browser)


@pytest.mark.usefixtures("standing_clock")
def test_asking_for_the_way_is_limited_as_in_the_api(db: None):
    browser = visitor()
    for _ in range(int(DETECT_BY_ADDRESS.rate.split("/")[0])):
        assert browser.post("/sign-in", {"email": "a@b.test"}).status_code == 302

    assert browser.post("/sign-in", {"email": "a@b.test"}).status_code == 429


@pytest.mark.parametrize("typed", ["", "no address", SCRIPT])
def test_what_is_no_address_is_said_next_to_the_field(db: None, typed: str):
    answer = visitor().post("/sign-in", {"email": typed})

    assert answer.status_code == 422
    text = answer.content.decode()
    assert 'aria-invalid="true"' in text and 'id="id_email-errors"' in text
    assert SCRIPT not in text


def test_a_blank_password_is_no_try(alice: Actor):
    browser = visitor()

    answer = enter_password(browser, alice.user.email, "")

    assert answer.status_code == 422 and b"id_password-errors" in answer.content
    assert not AuditEvent.objects.filter(action="auth.sign_in_failed").exists()


def test_forms_of_other_sites_are_refused(alice: Actor):
    browser = visitor(enforce_csrf_checks=True)

    for path, form in (("/sign-in", {"email": alice.user.email}), ("/sign-in/password", {"password": PASSWORD})):
        assert browser.post(path, form).status_code == 403
    assert not is_signed_in(browser)


def test_the_session_is_a_new_one_after_signing_in(alice: Actor):
    browser = visitor()
    browser.get("/sign-in")
    before = browser.cookies[settings.CSRF_COOKIE_NAME].value

    enter_password(browser, alice.user.email)

    assert browser.cookies[settings.CSRF_COOKIE_NAME].value != before
    assert not {"email", "way", "proven", "next"} & set(browser.session.keys())
    cookie = browser.cookies[settings.SESSION_COOKIE_NAME]
    assert cookie["secure"] and cookie["httponly"] and cookie["samesite"] == "Lax"


def test_another_host_name_of_ours_is_left_first(db: None):
    answer = Client(SERVER_NAME="127.0.0.1").get("/sign-in?next=/settings/profile")

    assert answer["Location"] == f"{settings.PUBLIC_URL}/sign-in?next=/settings/profile"


# --- The second factor


def test_the_second_factor_is_asked_for_behind_the_password(alice: Actor):
    wait_for_an_early_moment()
    secret, recovery_codes = enrol(alice)
    browser = visitor()
    browser.get("/sign-in?next=/settings/profile")

    assert enter_password(browser, alice.user.email, "wrong").status_code == 401
    assert enter_password(browser, alice.user.email)["Location"] == "/sign-in/code"
    assert not is_signed_in(browser)
    wrong = browser.post("/sign-in/code", {"otp": wrong_code(secret)})
    assert wrong.status_code == 401 and b"This code is wrong" in wrong.content
    assert browser.post("/sign-in/code", {"otp": ""}).status_code == 422
    answer = browser.post("/sign-in/code", {"otp": code(secret)})

    assert answer["Location"] == "/settings/profile" and is_signed_in(browser)
    another = visitor()
    enter_password(another, alice.user.email)
    assert another.post("/sign-in/code", {"otp": recovery_codes[0]}).status_code == 302 and is_signed_in(another)


def test_between_the_steps_no_password_is_kept(alice: Actor):
    enrol(alice)
    browser = visitor()

    enter_password(browser, alice.user.email)

    kept = str(dict(browser.session.items()))
    assert "proven" in kept and PASSWORD not in kept
    assert User.objects.get(id=alice.user.id).password not in kept


@pytest.mark.parametrize("change", ["time", "password", "inactive"])
def test_what_was_proven_is_worth_nothing_after_a_while_or_a_change(alice: Actor, change: str):
    wait_for_an_early_moment()
    secret, _ = enrol(alice)
    browser = visitor()
    enter_password(browser, alice.user.email)
    assert browser.get("/sign-in/code").status_code == 200

    if change == "time":
        kept = browser.session
        user_id, at, fingerprint = kept["proven"]
        kept["proven"] = [user_id, at - PATIENCE - 1, fingerprint]
        keep(browser, kept)
    elif change == "password":
        alice.user.set_password("quite another password")
        User.objects.filter(id=alice.user.id).update(password=alice.user.password)
    else:
        User.objects.filter(id=alice.user.id).update(is_active=False)
    answer = browser.post("/sign-in/code", {"otp": code(secret)}, follow=True)

    assert answer.request["PATH_INFO"] == "/sign-in" and b"took too long" in answer.content
    assert not is_signed_in(browser)


def test_codes_are_limited_by_account(alice: Actor):
    secret, _ = enrol(alice)
    browser = visitor()
    enter_password(browser, alice.user.email)
    for _ in range(int(SECOND_FACTOR.rate.split("/")[0]) - 1):
        SECOND_FACTOR.charge(alice.request(), str(alice.user.id))

    assert browser.post("/sign-in/code", {"otp": wrong_code(secret)}).status_code == 401
    assert browser.post("/sign-in/code", {"otp": code(secret)}).status_code == 429
    assert not is_signed_in(browser)


# --- Identity providers


def test_a_covered_address_may_choose_where_single_sign_on_is_not_required(alice: Actor, connection: IdentityProvider):
    browser = visitor()
    browser.post("/sign-in", {"email": alice.user.email})

    text = browser.get("/sign-in/password").content.decode()

    assert 'href="/sign-in/by/acme"' in text and "Continue with" in text
    assert browser.post("/sign-in/password", {"password": PASSWORD})["Location"] == "/"


def test_where_it_is_required_the_address_leads_to_the_provider(alice: Actor, connection: IdentityProvider):
    connection.workspace.requires_sso = True
    connection.workspace.save()
    for email in (alice.user.email, "nobody@acme.test"):
        browser = visitor()

        answer = browser.post("/sign-in", {"email": email})
        page = browser.get(answer["Location"])

        assert answer["Location"] == "/sign-in/sso/acme"
        assert page["Refresh"] == "0; url=/sign-in/by/acme"


def test_who_tries_a_password_all_the_same_is_led_there_before_it_is_looked_at(alice: Actor):
    browser = visitor()
    assert browser.post("/sign-in", {"email": alice.user.email})["Location"] == "/sign-in/password"
    demand(alice.workspace)
    failed = AuditEvent.objects.count()

    for password in (PASSWORD, "wrong"):
        answer = browser.post("/sign-in/password", {"password": password})
        assert (answer.status_code, answer["Location"]) == (302, "/sign-in/sso/acme")

    page = browser.get("/sign-in/sso/acme")
    assert b"require single sign-on" in page.content and "Refresh" not in page
    assert AuditEvent.objects.count() == failed


# --- Signing out, and sessions that end by themselves


def test_signing_out_ends_this_sign_in_on_the_server_and_no_other(alice: Actor):
    browser, copy = signed_in(alice, alice.sign_in_again(), SERVER_NAME="localhost"), visitor()
    copy.cookies[settings.SESSION_COOKIE_NAME] = browser.cookies[settings.SESSION_COOKIE_NAME].value
    assert is_signed_in(copy)

    answer = browser.post("/sign-out", follow=True)

    assert b"You are signed out." in answer.content
    assert not is_signed_in(browser) and not is_signed_in(copy)
    assert list(SignIn.objects.live().values_list("id", flat=True)) == [alice.sign_in_id]
    assert browser.get("/sign-out")["Location"] == "/"


@pytest.mark.parametrize(
    ("name", "seconds"), [("seen_at", settings.DASHBOARD_IDLE_LIFETIME), ("began_at", settings.DASHBOARD_LIFETIME)]
)
def test_a_session_that_is_over_ends_its_sign_in_on_the_server(alice: Actor, name: str, seconds: int):
    browser = signed_in(alice, SERVER_NAME="localhost")
    for age, is_there in ((seconds - 5, True), (seconds + 5, False)):
        kept = browser.session
        kept["began_at"] = kept["seen_at"] = int(time.time())
        kept[name] = int(time.time()) - age
        keep(browser, kept)

        assert is_signed_in(browser) is is_there
        assert SignIn.objects.live().filter(id=alice.sign_in_id).exists() is is_there

    assert SignIn.objects.get(id=alice.sign_in_id).revoked_reason == "dashboard_expired"
    assert "sign_in" not in browser.session


def test_a_sign_in_of_the_dashboard_lives_no_longer_than_its_session(alice: Actor):
    browser = visitor()
    enter_password(browser, alice.user.email)

    newest = SignIn.objects.latest("created_at")

    assert (newest.expires_at - newest.created_at).total_seconds() <= settings.DASHBOARD_LIFETIME + 5


def test_signing_in_again_ends_what_the_browser_had(alice: Actor, bob: Actor):
    browser = signed_in(alice, SERVER_NAME="localhost")

    browser.post("/sign-in", {"email": bob.user.email})
    browser.post("/sign-in/password", {"password": PASSWORD})

    assert SignIn.objects.get(id=alice.sign_in_id).revoked_reason == "replaced"
    assert is_signed_in(browser)


# --- What everybody who is signed in is told


def test_whoever_has_not_verified_the_address_is_told_on_every_page_and_can_have_the_mail_again(alice: Actor):
    User.objects.filter(id=alice.user.id).update(email_verified_at=None)
    browser = signed_in(alice, SERVER_NAME="localhost")

    for path in ("/settings/sign-ins", "/settings/profile"):
        assert b"not verified yet" in browser.get(path).content
    answer = browser.post("/resend-verification", {"next": "/settings/profile"}, follow=True)

    assert answer.request["PATH_INFO"] == "/settings/profile"
    assert b"A new link is on its way" in answer.content
    assert browser.post("/resend-verification", {"next": "https://evil.example"})["Location"] == "/"


def test_whoever_lacks_the_second_factor_that_the_workspace_demands_is_told(alice: Actor):
    alice.workspace.requires_second_factor = True
    alice.workspace.save()
    browser = signed_in(alice, SERVER_NAME="localhost")

    assert b"requires a second factor" in browser.get("/settings/profile").content
