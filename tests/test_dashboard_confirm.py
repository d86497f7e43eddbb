"""Step-up in the dashboard: a fresh proof before what a stolen session must not be able to do."""

import time

import pytest
from django.conf import settings
from django.http import HttpResponse
from django.test import Client
from lxml import html

from apikeys.models import ApiKey
from dashboard import session
from tests.support.cast import PASSWORD, Actor
from tests.support.pages import age_session, hidden_fields, keep, signed_in
from tests.support.totp import code, enrol, wait_for_an_early_moment


@pytest.fixture
def page(alice: Actor) -> Client:
    """Alice's browser, whose proof is too old."""
    browser = signed_in(alice)
    age_session(browser, session.FRESH_FOR + 1)
    return browser


def test_a_sign_in_of_just_now_is_fresh(alice: Actor):
    answer = signed_in(alice).get("/confirm?next=/settings/profile")

    assert (answer.status_code, answer["Location"]) == (302, "/settings/profile")


def test_the_right_password_leads_back_and_counts_for_a_quarter_of_an_hour(page: Client):
    assert page.get("/confirm?next=/settings/security").status_code == 200

    answer = page.post("/confirm?next=/settings/security", {"current_password": PASSWORD})

    assert (answer.status_code, answer["Location"]) == (302, "/settings/security")
    assert abs(page.session["proven_at"] - time.time()) < 5
    age_session(page, session.FRESH_FOR + 1)
    assert page.get("/confirm?next=/settings/security").status_code == 200


def test_a_wrong_password_is_said_and_freshens_nothing(page: Client):
    before = page.session["proven_at"]

    answer = page.post("/confirm?next=/settings/security", {"current_password": "wrong horse"})

    assert answer.status_code == 400
    assert b"The current password is wrong." in answer.content and b"wrong horse" not in answer.content
    assert page.session["proven_at"] == before
    assert page.post("/confirm", {}).status_code == 422


def test_with_a_second_factor_its_code_is_asked_for_too(alice: Actor):
    wait_for_an_early_moment()
    secret, _ = enrol(alice)
    page = signed_in(alice)
    age_session(page, session.FRESH_FOR + 1)
    assert b'name="otp"' in page.get("/confirm").content

    assert page.post("/confirm", {"current_password": PASSWORD}).status_code == 422
    assert page.post("/confirm", {"current_password": PASSWORD, "otp": "000000"}).status_code == 400
    assert page.post("/confirm", {"current_password": "wrong", "otp": code(secret)}).status_code == 400
    assert page.post("/confirm", {"current_password": PASSWORD, "otp": code(secret)}).status_code == 302
    age_session(page, session.FRESH_FOR + 1)
    assert page.post("/confirm", {"current_password": PASSWORD, "otp": code(secret)}).status_code == 400  # spent


def test_guesses_are_limited_as_in_the_api(page: Client, alice: Actor):
    answers = [page.post("/confirm", {"current_password": "wrong"}).status_code for _ in range(15)]
    last = page.post("/confirm", {"current_password": PASSWORD})

    assert answers == [400] * 15
    assert last.status_code == 429 and int(last["Retry-After"]) > 0
    body = {"current_password": PASSWORD, "new_password": "another horse battery"}
    assert alice.client.post("/api/v1/auth/change-password", body, format="json").status_code == 429


@pytest.mark.parametrize(
    "elsewhere",
    ["https://evil.test/", "//evil.test", "/\\evil.test", "/%0d%0aX: y", "javascript:alert(1)", "/api/v1/docs", ""],
)
def test_next_leads_to_pages_of_ours_alone(page: Client, elsewhere: str):
    answer = page.post("/confirm", {"current_password": PASSWORD}, query_params={"next": elsewhere})

    assert answer.status_code == 302
    assert answer["Location"] in ("/", elsewhere) and "evil" not in answer["Location"].removeprefix("/%0d%0aX: y")
    assert answer["Location"] != "/api/v1/docs"


def test_nobody_is_sent_to_the_sign_in(db: None):
    answer = Client().get("/confirm?next=/settings/security")

    assert (answer.status_code, answer["Location"]) == (302, "/sign-in?next=%2Fconfirm%3Fnext%3D%2Fsettings%2Fsecurity")


def test_a_form_from_elsewhere_is_refused(alice: Actor):
    page = signed_in(alice, enforce_csrf_checks=True)
    age_session(page, session.FRESH_FOR + 1)

    assert page.post("/confirm", {"current_password": PASSWORD}).status_code == 403
    assert page.session["proven_at"] < time.time() - session.FRESH_FOR
    assert settings.SESSION_COOKIE_SAMESITE == "Lax"


@pytest.mark.parametrize(("site", "status"), [("same-origin", 302), ("cross-site", 403), ("same-site", 403), ("", 403)])
def test_a_browser_that_names_no_origin_says_that_it_is_ours(alice: Actor, site: str, status: int):
    """Under Referrer-Policy: no-referrer the header Origin of our own forms is null."""
    page = signed_in(alice, enforce_csrf_checks=True)
    age_session(page, session.FRESH_FOR + 1)
    token = page.get("/confirm").context["csrf_token"]
    form = {"current_password": PASSWORD, "csrfmiddlewaretoken": str(token)}
    said = {"Origin": "null"} | ({"Sec-Fetch-Site": site} if site else {})

    assert page.post("/confirm", form, headers=said).status_code == status


NEW_KEY = {"name": "<b>Typed", "permissions": ["geofences:read", "devices:read"], "expires_in": "never"}


def confirm(page: Client, asked: HttpResponse, password: str = PASSWORD) -> HttpResponse:
    """Fill in the page that asks, and send it with what it carries."""
    form = html.document_fromstring(asked.content.decode()).xpath("//main//form[@method='post']")[0]
    body: dict[str, list[str]] = {"current_password": [password]}
    for hidden in form.xpath(".//input[@type='hidden']"):
        body.setdefault(hidden.get("name"), []).append(hidden.get("value"))
    return page.post(form.get("action"), body, follow=True)


def test_what_was_typed_is_carried_out_once_confirmed(alice: Actor):
    page = signed_in(alice)
    drawn = hidden_fields(page.get("/settings/api-keys/new"))
    age_session(page, session.FRESH_FOR + 1)

    asked = page.post("/settings/api-keys/new", {**drawn, **NEW_KEY, "password": "not to be shown"}, follow=True)

    text = asked.content.decode()
    assert asked.status_code == 200 and "Nothing has changed yet" in text and not ApiKey.objects.exists()
    assert "not to be shown" not in text and 'value="&lt;b&gt;Typed"' in text
    wrong = confirm(page, asked, "wrong horse")
    assert wrong.status_code == 400 and "wrong horse" not in wrong.content.decode()
    made = confirm(page, wrong)
    assert made.status_code == 200 and b'id="api-key"' in made.content
    key = ApiKey.objects.get()
    assert (key.name, key.scopes) == ("<b>Typed", ["geofences:read", "devices:read"])


def test_who_confirmed_in_another_tab_goes_on(page: Client, alice: Actor):
    key, _ = alice.make_key(name="CI", is_active=False)
    path = f"/settings/api-keys/{key.id}/enable"

    asked = page.post(path, follow=True)
    freshened = page.session
    freshened["proven_at"] = int(time.time())
    keep(page, freshened)
    answer = page.post(f"/confirm?next={path}&typed=1", {"carries": "1"})

    assert asked.status_code == 200 and (answer.status_code, answer["Location"]) == (307, path)
    assert page.get("/confirm/done").status_code == 200


def test_a_form_carried_along_is_protected_as_any_other(alice: Actor):
    page = signed_in(alice, enforce_csrf_checks=True)
    age_session(page, session.FRESH_FOR + 1)

    for path in ("/confirm?next=/settings/api-keys/new", "/confirm?next=/settings/api-keys/new&typed=1"):
        assert page.post(path, {**NEW_KEY, "carries": "1", "current_password": PASSWORD}).status_code == 403
