"""Token endpoints of Google and Apple that fail or lie, how often one may call, and what the log tells of it."""

import time
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from rest_framework.test import APIClient

from tests.support.apple_provider import Handler, StandIn
from tests.support.oauth import CLIENT_STATE, begin, come_back, get_code, told
from tests.support.oauth_attacks import assert_nothing_was_made, assert_refused

pytest_plugins = ["tests.support.oauth_fixtures"]
pytestmark = pytest.mark.django_db


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


# --- Limits and logs


def test_each_step_is_limited_by_address(anyone: APIClient, google: StandIn):
    for path in ("/api/v1/auth/oauth/google/authorize", "/api/v1/auth/oauth/google/callback"):
        statuses = [anyone.get(path).status_code for _ in range(61)]
        assert statuses.index(429) == 60


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
