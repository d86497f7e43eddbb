"""Attacks on a browser's sign-in by Google or Apple, and providers that fail or lie. Each leaves no account, no login
code and no state behind.
"""

import json
import time
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from rest_framework.test import APIClient
from social_django.models import UserSocialAuth

from accounts.models import User
from sso.binding import BINDING_COOKIE
from sso.models import LoginCode, OAuthState
from tests.support.apple_provider import DANA, GOOGLE_CLIENT, Handler, StandIn, lying_google, serve, signing_key
from tests.support.cast import Actor
from tests.support.launch import launch
from tests.support.oauth import CHALLENGED, CLIENT_STATE, FORM, begin, come_back, exchange, get_code, told
from tests.support.race import at_once, call

pytest_plugins = ["tests.support.oauth_fixtures"]
pytestmark = pytest.mark.django_db

INVALID_STATE = {
    "detail": "This sign-in was not begun in this browser, or it has expired. Begin it again.",
    "error_code": "invalid_state",
}


def assert_nothing_was_made() -> None:
    assert (OAuthState.objects.count(), LoginCode.objects.count()) == (0, 0)
    assert (User.objects.count(), UserSocialAuth.objects.count()) == (0, 0)


def assert_refused(response: Any) -> None:
    assert (response.status_code, response.json()) == (400, INVALID_STATE)


# --- The state


@pytest.mark.parametrize("state", [None, "", "unknown", "x" * 10_000, "é", "\udcff"])
def test_a_state_that_is_missing_or_unknown(browser: APIClient, google: StandIn, state):
    answer = google.consent(begin(browser))
    wrong = {"code": answer["code"]} | ({} if state is None else {"state": state})

    query = urlencode(wrong, errors="surrogatepass")
    response = browser.get(f"/api/v1/auth/oauth/google/callback?{query}")

    assert response.status_code == 400 and response.json()["error_code"] in ("invalid_state", "malformed_form")
    assert google.redeemed == []
    assert told(come_back(browser, answer)).keys() == {"code", "state"}


def test_a_state_works_once(browser: APIClient, google: StandIn):
    answer = google.consent(begin(browser))
    assert told(come_back(browser, answer))["code"]

    assert_refused(come_back(browser, answer))
    assert len(google.redeemed) == 1


def test_a_state_of_another_browser(browser: APIClient, google: StandIn):
    """Login CSRF: Mallory lets a victim's browser finish what she began, to have it signed in as her."""
    answer = google.consent(begin(browser))
    victim = APIClient()
    begin(victim)

    assert_refused(come_back(victim, answer))
    assert_refused(come_back(browser, answer))  # it is spent
    assert google.redeemed == []
    assert OAuthState.objects.count() == 1  # the victim's own


@pytest.mark.parametrize("cookie", [None, "", "x", "x" * 43, "x" * 10_000])
def test_a_browser_without_its_cookie(browser: APIClient, google: StandIn, cookie):
    answer = google.consent(begin(browser))
    browser.cookies.clear()
    if cookie is not None:
        browser.cookies[BINDING_COOKIE] = cookie

    assert_refused(come_back(browser, answer))
    assert google.redeemed == []
    assert_nothing_was_made()


def test_a_state_of_the_other_provider(browser: APIClient, google: StandIn, apple: StandIn):
    """Mix-up: what began at one provider must not be answered by the other."""
    for began, ended in (("google", "apple"), ("apple", "google")):
        answer = {"google": google, "apple": apple}[began].consent(begin(browser, began))
        assert_refused(come_back(browser, answer, ended))
        assert_refused(come_back(browser, answer, began))
    assert google.redeemed == apple.redeemed == []
    assert_nothing_was_made()


def test_an_expired_state(browser: APIClient, google: StandIn):
    answer = google.consent(begin(browser))
    OAuthState.objects.update(expires_at="2026-01-01T00:00:00Z")

    assert_refused(come_back(browser, answer))
    assert_nothing_was_made()


@pytest.mark.django_db(transaction=True)
def test_of_sixteen_callbacks_at_once_one_goes_on(database_url):
    with serve(lying_google()) as google, launch(database_url, extra_env=google.environment()) as server:
        begun = call(server, "GET", "/api/v1/auth/oauth/google/authorize?" + urlencode(CHALLENGED))
        answer = google.consent(begun.body["authorization_url"])
        cookie = {"Cookie": begun.headers["set-cookie"].partition(";")[0]}
        path = "/api/v1/auth/oauth/google/callback?" + urlencode(answer)

        answers = at_once(16, lambda _: call(server, "GET", path, headers=cookie).status)

    assert sorted(answers) == [302] + [400] * 15
    assert (len(google.redeemed), User.objects.count(), LoginCode.objects.count()) == (1, 1, 1)


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


# --- The token endpoint


def gigabyte(handler: Handler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Type", "application/json")
    handler.end_headers()
    for _ in range(1024):
        handler.wfile.write(b" " * 1024 * 1024)


def dripping(handler: Handler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "100")
    handler.end_headers()
    for _ in range(60):
        handler.wfile.write(b" ")
        time.sleep(0.2)


def silent(handler: Handler) -> None:
    time.sleep(7)


def closing(handler: Handler) -> None:
    handler.close_connection = True


def saying(status: int, body: bytes, **headers: str) -> Any:
    return lambda handler: handler.say(status, "application/json", body, **headers)


@pytest.mark.parametrize(
    ("endpoint", "told_error"),
    [
        pytest.param(saying(500, b"{}"), "provider_unavailable", id="500"),
        pytest.param(saying(503, b'{"error": "invalid_grant"}'), "provider_unavailable", id="503"),
        pytest.param(saying(429, b"{}"), "provider_unavailable", id="429"),
        pytest.param(saying(200, b"<html>sign in</html>"), "provider_unavailable", id="html"),
        pytest.param(saying(403, b"<html>no</html>"), "provider_unavailable", id="html-403"),
        pytest.param(saying(200, b""), "provider_unavailable", id="empty"),
        pytest.param(saying(200, b"\xff\xfe"), "provider_unavailable", id="bytes"),
        pytest.param(saying(200, b"[" * 100_000), "provider_unavailable", id="deep"),
        pytest.param(saying(200, b"[]"), "provider_unavailable", id="list"),
        pytest.param(saying(200, b"null"), "provider_unavailable", id="null"),
        pytest.param(saying(200, b"{}"), "provider_unavailable", id="nothing"),
        pytest.param(saying(200, b'{"access_token": "a"}'), "provider_unavailable", id="no-id-token"),
        pytest.param(saying(200, b'{"access_token": "a", "id_token": 1}'), "provider_unavailable", id="number"),
        pytest.param(saying(200, b'{"access_token": "a", "id_token": {}}'), "provider_unavailable", id="object"),
        pytest.param(saying(200, b'{"access_token": "a", "id_token": "x"}'), "invalid_identity_token", id="text"),
        pytest.param(saying(200, b'{"error": "invalid_grant"}'), "authorization_code_refused", id="200-error"),
        pytest.param(saying(400, b'{"error": "invalid_grant"}'), "authorization_code_refused", id="refused"),
        pytest.param(saying(400, b'{"error": ["x"]}'), "provider_unavailable", id="odd-error"),
        pytest.param(saying(400, b"[1]"), "provider_unavailable", id="error-list"),
        pytest.param(saying(401, b'{"error": "invalid_client"}'), "provider_refused_service", id="unknown-client"),
        pytest.param(saying(400, b'{"error": "invalid_client"}'), "provider_refused_service", id="unknown-client-400"),
        pytest.param(saying(400, b'{"error": "redirect_uri_mismatch"}'), "provider_refused_service", id="redirect-uri"),
        pytest.param(saying(403, b'{"error": "org_internal"}'), "provider_refused_service", id="internal"),
        pytest.param(saying(500, b'{"error": "invalid_client"}'), "provider_unavailable", id="500-with-a-word"),
        pytest.param(saying(302, b"", Location="/keys"), "provider_unavailable", id="redirect"),
        pytest.param(gigabyte, "provider_unavailable", id="gigabyte"),
        pytest.param(dripping, "provider_unavailable", id="dripping"),
        pytest.param(silent, "provider_unavailable", id="silent"),
        pytest.param(closing, "provider_unavailable", id="closing"),
    ],
)
def test_a_token_endpoint_that_fails_or_lies(browser: APIClient, google: StandIn, endpoint, told_error):
    answer = google.consent(begin(browser))
    google.token_endpoint = endpoint
    began = time.monotonic()

    back = come_back(browser, answer)

    assert time.monotonic() - began < 6
    assert told(back) == {"error": told_error, "state": CLIENT_STATE}
    assert_refused(come_back(browser, answer))
    assert_nothing_was_made()


def test_a_provider_that_is_down(browser: APIClient, google: StandIn, settings):
    answer = google.consent(begin(browser))
    settings.GOOGLE_TOKEN_URL = "http://127.0.0.1:9/token"

    assert told(come_back(browser, answer))["error"] == "provider_unavailable"
    assert_nothing_was_made()


@pytest.mark.parametrize("url", ["http://example.com/token", "ftp://127.0.0.1/token", "file:///etc/passwd"])
def test_no_secret_goes_out_but_by_https(browser: APIClient, google: StandIn, settings, url):
    answer = google.consent(begin(browser))
    settings.GOOGLE_TOKEN_URL = url

    assert told(come_back(browser, answer))["error"] == "provider_unavailable"


def test_a_wrong_client_secret_is_the_operators_to_repair(browser: APIClient, apple: StandIn, settings):
    settings.APPLE_KEY_ID = "ANOTHERKEY"

    assert told(come_back(browser, apple.consent(begin(browser, "apple")), "apple"))["error"] == (
        "provider_refused_service"
    )
    assert_nothing_was_made()


def test_apples_client_secret_is_made_for_each_call(browser: APIClient, apple: StandIn):
    get_code(browser, apple, "apple")
    time.sleep(1.1)  # its times are whole seconds
    get_code(browser, apple, "apple")

    first, second = (form["client_secret"] for form in apple.redeemed)
    assert first != second  # that they are ES256, ours and short-lived, the stand-in has checked


# --- The id token


@pytest.mark.parametrize(
    "claims",
    [
        {"nonce": "another"},
        {"nonce": ""},
        {"nonce": None},
        {"nonce": ["x"]},
        {"aud": "another-app"},
        {"aud": "ios.apps.google.test"},
        {"aud": [GOOGLE_CLIENT, "another-app"]},
        {"aud": []},
        {"azp": "another-app"},
        {"iss": "https://accounts.google.com"},
        {"iss": "https://appleid.apple.com"},
        {"iss": None},
        {"exp": 1},
        {"exp": "soon"},
        {"iat": 1},
        {"iat": 99_999_999_999},
        {"sub": ""},
        {"sub": None},
        {"sub": 1},
        {"sub": "x" * 300},
        {"at_hash": "another"},
        {"at_hash": 1},
        {"at_hash": ""},
    ],
    ids=str,
)
def test_an_id_token_that_lies(browser: APIClient, google: StandIn, claims):
    answer = google.consent(begin(browser))
    google.claims = claims

    back = come_back(browser, answer)

    assert told(back) == {"error": "invalid_identity_token", "state": CLIENT_STATE}
    assert_nothing_was_made()


@pytest.mark.parametrize("forge", ["none", "HS256", "other key", "unknown kid", "no kid", "cut"])
def test_an_id_token_that_is_forged(browser: APIClient, google: StandIn, forge):
    answer = google.consent(begin(browser))
    google.token_endpoint = lambda handler: handler.say_json(200, forged(google, answer["code"], forge))

    assert told(come_back(browser, answer))["error"] == "invalid_identity_token"
    assert_nothing_was_made()


def forged(google: StandIn, code: str, how: str) -> dict[str, str]:
    right = google.id_token(google.grants[code]["nonce"], "access")
    claims = jwt.decode(right, options={"verify_signature": False})
    modulus = str(signing_key.public_key().public_numbers().n)
    token = {
        "none": lambda: jwt.encode(claims, None, "none", headers={"kid": "k1"}),
        "HS256": lambda: jwt.encode(claims, modulus, "HS256", headers={"kid": "k1"}),
        "other key": lambda: jwt.encode(
            claims, rsa.generate_private_key(public_exponent=65537, key_size=2048), "RS256", headers={"kid": "k1"}
        ),
        "unknown kid": lambda: jwt.encode(claims, signing_key, "RS256", headers={"kid": "k2"}),
        "no kid": lambda: jwt.encode(claims, signing_key, "RS256"),
        "cut": lambda: right.rpartition(".")[0] + ".",
    }[how]()
    return {"access_token": "access", "id_token": token}


def test_an_id_token_of_another_round_trip(browser: APIClient, google: StandIn):
    """Replay: the provider's answer for one visit, nonce and all, is brought to the next."""
    first = google.consent(begin(browser))
    replayed = google.id_token(google.grants[first["code"]]["nonce"], "access")
    answer = google.consent(begin(browser))
    google.token_endpoint = lambda handler: handler.say_json(200, {"access_token": "access", "id_token": replayed})

    assert told(come_back(browser, answer))["error"] == "invalid_identity_token"
    assert (LoginCode.objects.count(), User.objects.count()) == (0, 0)


@pytest.mark.parametrize(
    ("status", "body", "logged"),
    [
        (
            400,
            b'{"error": "redirect_uri_mismatch", "error_description": "a secret"}',
            "127.0.0.1 answered 400 redirect_uri",
        ),
        (401, b'{"error": "invalid_client"}', "127.0.0.1 answered 401 invalid_client"),
        (500, b"a secret", "127.0.0.1 answered 500"),
        (400, b'{"error": "a secret"}', "127.0.0.1 answered 400"),
    ],
)
def test_the_log_names_the_host_and_the_providers_word(browser, google: StandIn, caplog, status, body, logged):
    google.token_endpoint = saying(status, body)

    come_back(browser, google.consent(begin(browser)))

    assert logged in caplog.text and "a secret" not in caplog.text


# --- Whose account


@pytest.mark.parametrize("verified", [False, "false", None, 1, "yes"])
def test_an_address_that_the_provider_has_not_verified(browser: APIClient, google: StandIn, alice: Actor, verified):
    google.person |= {"email": alice.user.email, "email_verified": verified}

    back = told(come_back(browser, google.consent(begin(browser))))

    assert back.keys() == {"error", "state"}
    assert (UserSocialAuth.objects.count(), LoginCode.objects.count(), User.objects.count()) == (0, 0, 1)


def test_an_account_that_somebody_made_in_wait_is_not_entered(browser: APIClient, google: StandIn):
    """Pre-hijacking: Mallory signs up with Dana's address, which nobody has verified, and waits for her."""
    User.objects.create_user(DANA["email"], "mallorys password of old")

    back = told(come_back(browser, google.consent(begin(browser))))

    assert back.keys() == {"error", "state"}
    assert (UserSocialAuth.objects.count(), LoginCode.objects.count()) == (0, 0)


def test_an_inactive_person_stays_out(browser: APIClient, google: StandIn):
    get_code(browser, google)
    User.objects.update(is_active=False)

    back = told(come_back(browser, google.consent(begin(browser))))

    assert back.keys() == {"error", "state"}
    assert LoginCode.objects.count() == 1  # the one of before, which is refused at its trade


# --- Limits and logs


def test_each_step_is_limited_by_address(anyone: APIClient, google: StandIn):
    for path in ("/api/v1/auth/oauth/google/authorize", "/api/v1/auth/oauth/google/callback"):
        statuses = [anyone.get(path).status_code for _ in range(121)]  # a window may end in between
        assert 429 in statuses and statuses.index(429) >= 60


def test_no_secret_of_a_round_trip_is_logged(browser: APIClient, google: StandIn, caplog):
    caplog.set_level("DEBUG")
    google.claims = {"aud": "another-app"}
    url = begin(browser)
    answer = google.consent(url)
    come_back(browser, answer)
    google.token_endpoint = saying(500, b"provider-refresh-token")
    come_back(browser, google.consent(begin(browser)))

    log = caplog.text  # as it is before the filter that redacts
    secrets = [*answer.values(), *dict(parse_qsl(urlsplit(url).query)).values(), "provider-refresh-token"]
    assert "refused" in log
    assert [secret for secret in secrets if len(secret) > 15 and secret in log] == []
