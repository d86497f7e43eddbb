"""Callbacks of Google and Apple that refuse, lie or are malformed: each leaves no account, code or state behind."""

import json
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from rest_framework.test import APIClient
from social_django.models import UserSocialAuth

from tests.support.apple_provider import DANA, StandIn
from tests.support.oauth import CLIENT_STATE, FORM, begin, come_back, exchange, told
from tests.support.oauth_attacks import assert_nothing_was_made, assert_refused

pytest_plugins = ["tests.support.oauth_fixtures"]
pytestmark = pytest.mark.django_db


# --- The provider's answer


@pytest.mark.parametrize(
    ("error", "told_error"),
    [
        ("access_denied", "access_denied"),
        ("user_cancelled_authorize", "access_denied"),
        ("server_error", "provider_unavailable"),
        ("invalid_client", "provider_refused_service"),
        ("redirect_uri_mismatch", "provider_refused_service"),
        ("org_internal", "provider_refused_service"),
        ("<script>alert(1)</script>", "provider_unavailable"),
        ("x" * 10_000, "provider_unavailable"),
    ],
)
@pytest.mark.parametrize("name", ["google", "apple"])
def test_denied_consent_and_errors_lead_back(browser, google, apple, name, error, told_error):
    state = dict(parse_qsl(urlsplit(begin(browser, name, next="/welcome")).query))["state"]
    answer = {"state": state, "error": error, "error_description": "<b>text</b>", "code": "ignored"}

    back = come_back(browser, answer, name)

    assert urlsplit(back["Location"]).path == "/welcome"
    assert told(back) == {"error": told_error, "state": CLIENT_STATE}
    assert google.redeemed == apple.redeemed == []
    assert_refused(come_back(browser, answer, name))
    assert_nothing_was_made()


def test_apples_refusal_may_come_by_get(browser: APIClient, apple: StandIn):
    state = dict(parse_qsl(urlsplit(begin(browser, "apple")).query))["state"]

    back = browser.get("/api/v1/auth/oauth/apple/callback", {"state": state, "error": "user_cancelled_authorize"})

    assert told(back) == {"error": "access_denied", "state": CLIENT_STATE}


def test_an_answer_with_neither_code_nor_error(browser: APIClient, google: StandIn):
    state = dict(parse_qsl(urlsplit(begin(browser)).query))["state"]

    response = come_back(browser, {"state": state})

    assert (response.status_code, response.json()["error_code"]) == (400, "malformed_callback")
    assert_nothing_was_made()


def test_what_else_a_callback_says_is_not_believed(browser: APIClient, apple: StandIn):
    """social-core's own Apple backend takes its client id from here."""
    answer = apple.consent(begin(browser, "apple"))
    said = {"client_id": "evil", "redirect_uri": "https://evil.test", "next": "https://evil.test", "iss": "evil"}
    said |= {"id_token": "evil", "access_token": "evil", "code_verifier": "evil", "grant_type": "evil", "nonce": "evil"}

    back = come_back(browser, answer | said, "apple")

    assert told(back).keys() == {"code", "state"} and "evil" not in back["Location"]
    assert "evil" not in str(apple.redeemed)


def test_a_code_works_once_whatever_round_trip_it_is_brought_to(browser: APIClient, google: StandIn):
    answer = google.consent(begin(browser))
    assert told(come_back(browser, answer))["code"]
    again = google.consent(begin(browser)) | {"code": answer["code"]}

    assert told(come_back(browser, again))["error"] == "authorization_code_refused"


def test_a_stolen_code_does_not_fit_another_round_trip(browser: APIClient, google: StandIn):
    """Code injection: the provider compares the verifier of this round trip with the challenge of the other."""
    stolen = google.consent(begin(APIClient()))["code"]
    own = google.consent(begin(browser))

    assert told(come_back(browser, own | {"code": stolen}))["error"] == "authorization_code_refused"
    assert UserSocialAuth.objects.count() == 0


# --- Forms


@pytest.mark.parametrize("spoiled", ["a=\0", "state=again", "a=%ff", "&".join(f"f{i}=x" for i in range(51))])
@pytest.mark.parametrize("name", ["google", "apple"])
def test_a_malformed_callback_spends_the_state_that_it_names(browser, google, apple, name, spoiled):
    answer = {"google": google, "apple": apple}[name].consent(begin(browser, name))
    path, body = f"/api/v1/auth/oauth/{name}/callback", f"{urlencode(answer)}&{spoiled}".replace("\0", "%00")

    by_get = name == "google"
    response = browser.get(f"{path}?{body}") if by_get else browser.post(path, body, content_type=FORM)

    assert (response.status_code, response.json()["error_code"]) == (400, "malformed_form")
    assert_nothing_was_made()
    assert_refused(come_back(browser, answer, name))


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "multipart/form-data; boundary=x"])
def test_a_callback_of_another_type_spends_the_state_that_it_names(browser, apple: StandIn, content_type):
    answer = apple.consent(begin(browser, "apple"))

    response = browser.post("/api/v1/auth/oauth/apple/callback", json.dumps(answer), content_type=content_type)

    assert response.status_code == 415
    assert_nothing_was_made()
    assert_refused(come_back(browser, answer, "apple"))


def test_a_malformed_callback_of_many_states_costs_few_queries(browser, apple: StandIn, django_assert_max_num_queries):
    body = "&".join(f"state={i:043d}" for i in range(10_000))

    with django_assert_max_num_queries(15):
        response = browser.post("/api/v1/auth/oauth/apple/callback", body, content_type=FORM)

    assert response.status_code == 400


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        ("state=a&state=b", FORM, 400),
        ("state=a%00b", FORM, 400),
        ("state=%ff", FORM, 400),
        ("&".join(f"f{i}=x" for i in range(51)), FORM, 400),
        ("x" * 1_100_000, FORM, 413),
        ('{"state": "a"}', "application/json", 415),
        ("state=a", "multipart/form-data; boundary=x", 415),
        ("", FORM, 400),
    ],
)
def test_odd_forms(browser: APIClient, apple: StandIn, body, content_type, status):
    response = browser.post("/api/v1/auth/oauth/apple/callback", body, content_type=content_type)

    assert response.status_code == status and response.json()["detail"]


@pytest.mark.parametrize(
    "user",
    [
        "{",
        "null",
        "[]",
        "1",
        '"text"',
        '{"name": ["x"]}',
        '{"name": "Dana"}',
        '{"name": {"firstName": 1}}',
        '{"name": {"firstName": {"a": "b"}}}',
        "[" * 50_000,
        '{"name": {"firstName": "' + "x" * 1000,
    ],
)
def test_apples_user_field_broken(browser: APIClient, apple: StandIn, user):
    answer = apple.consent(begin(browser, "apple")) | {"user": user}

    response = come_back(browser, answer, "apple")

    assert (response.status_code, response.json()["error_code"]) == (400, "malformed_callback")
    assert apple.redeemed == []
    assert_refused(come_back(browser, answer, "apple"))
    assert_nothing_was_made()


@pytest.mark.parametrize(
    ("user", "name"),
    [
        ("{}", ""),
        ('{"name": null}', ""),
        ('{"name": {"firstName": null, "lastName": "Doe"}}', "Doe"),
        ('{"name": {"firstName": " Dana ", "lastName": "D\\u0000o\\u202ee\\ud800"}}', "Dana D o e"),
        ('{"name": {"firstName": "<script>", "lastName": "%s"}}' % ("x" * 500), "<script> " + "x" * 246),
        ('{"name": {"firstName": "Dana"}, "email": "alice@acme.test"}', "Dana"),
    ],
)
def test_apples_user_field_is_text_of_a_stranger(browser: APIClient, apple: StandIn, user, name):
    answer = apple.consent(begin(browser, "apple")) | {"user": user}

    body = exchange(browser, told(come_back(browser, answer, "apple"))["code"]).json()

    assert (body["user"]["name"], body["user"]["email"]) == (name, DANA["email"])
